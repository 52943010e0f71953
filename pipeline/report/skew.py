"""Skew: whether what servers are asked is like what the model learned from and was judged on.

Sizes of the images that came, from the request logs of servers, are compared with those of the training data.
Lengths of the captions given are compared with those that the same version gave in its evaluation: people's
captions are of another kind than any model's.
"""

import collections
import dataclasses
import datetime
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from components.drift import statistics
from components.drift.features import CAPTION_WORDS, FEATURES, HEIGHT, WIDTH
from components.drift.statistics import Statistics
from components.evaluator.records import ImageRecord
from models import features as names
from pipeline.report.summary import Summary
from serving import logged_image
from serving.logged_image import LoggedImage

DAYS: Final = 30.0


@dataclasses.dataclass(frozen=True)
class SkewRow:
    """A feature compared.

    Attributes:
      title: what the feature is.
      known_as, known: what it is compared with, of training or evaluation, and its values there.
      served_as, served: likewise of the request log.
      distance: Jensen-Shannon divergence, 0 (equal) to 1 (nothing in common).
      threshold: above it the feature is skewed.
    """

    title: str
    known_as: str
    known: Summary
    served_as: str
    served: Summary
    distance: float
    threshold: float

    @property
    def skewed(self) -> bool:
        """Whether the distance is more than chance and the threshold explain."""
        return self.distance > self.threshold

    @property
    def sentence(self) -> str:
        """The above in plain English."""
        return (
            f"{self.title[0].upper()}{self.title[1:]}: {self.served_as} "
            f"{'differ' if self.skewed else 'do not differ'} from {self.known_as}. The distance is "
            f"{self.distance:.2f}, at most {self.threshold:.2f} is allowed; the mean is {self.served.shown} "
            f"instead of {self.known.shown}."
        )


@dataclasses.dataclass(frozen=True)
class Skew:
    """What a request log says beside the data.

    Attributes:
      folder: of the log.
      images: in it.
      unreadable: lines that are none.
      since, until: of these images, UTC to the minute.
      statuses, formats, versions: how many images have which, the most frequent first.
      rows: what was compared.
      not_compared: what was not, and why, in sentences.
    """

    folder: str
    images: int = 0
    unreadable: int = 0
    since: str = ""
    until: str = ""
    statuses: Mapping[str, int] = dataclasses.field(default_factory=dict)
    formats: Mapping[str, int] = dataclasses.field(default_factory=dict)
    versions: Mapping[str, int] = dataclasses.field(default_factory=dict)
    rows: Sequence[SkewRow] = ()
    not_compared: Sequence[str] = ()


def measure(
    folder: pathlib.Path,
    trained: Statistics | None,
    captions: Mapping[int, Sequence[str]],
    threshold: float,
    days: float = DAYS,
) -> Skew:
    """Compares a request log with what is known of a model.

    Args:
      folder: of the log.
      trained: of the images that were learned from; None where that is not known.
      captions: those given in the evaluation, by version.
      threshold: Jensen-Shannon divergence above which a feature is skewed; chance comes on top.
      days: images that are older than the newest one by more are left out.
    """
    log = logged_image.read(folder, days)
    if not log.images:
        return Skew(str(folder), unreadable=log.unreadable)
    rows: list[SkewRow] = []
    not_compared: list[str] = []
    sizes = statistics.collect(
        {WIDTH: [image.width], HEIGHT: [image.height]} for image in log.images if image.width
    )
    if trained is None:
        not_compared.append("The images' sizes: the statistics of the training data are not known.")
    else:
        rows += _compare("the images learned from", trained, "the images served", sizes, threshold)
    for version, given in captions.items():
        served = [image for image in log.images if _is_default(image, version)]
        if served:
            rows += _compare(
                "its captions in the evaluation",
                _words(len(caption.split()) for caption in given),
                f"captions of version {version}",
                _words(image.caption_words or 0 for image in served),
                threshold,
            )
        else:
            not_compared.append(
                f"Captions of version {version}: none given without options ({names.SERVING_SIGNATURE}) was "
                "logged."
            )
    return Skew(
        str(folder),
        len(log.images),
        log.unreadable,
        _minute(log.images[0].time),
        _minute(log.images[-1].time),
        _counts(image.status for image in log.images),
        _counts(image.format for image in log.images),
        _counts(str(image.version) for image in log.images),
        rows,
        not_compared,
    )


def captions_of(records: Sequence[ImageRecord], versions: Mapping[str, int]) -> dict[int, list[str]]:
    """Returns the captions of an evaluation by version.

    Args:
      records: of the evaluation.
      versions: by the evaluation's name of the model; 0 for one that has none.
    """
    return {
        version: [record.models[model].caption for record in records if model in record.models]
        for model, version in versions.items()
        if version and any(model in record.models for record in records)
    }


def _is_default(image: LoggedImage, version: int) -> bool:
    """Whether the caption was written as in the evaluation."""
    return (
        image.version == version
        and image.signature == names.SERVING_SIGNATURE
        and image.caption_words is not None
    )


def _words(counts: Iterable[int]) -> Statistics:
    return statistics.collect({CAPTION_WORDS: [float(count)]} for count in counts)


def _compare(
    known_as: str, known: Statistics, served_as: str, served: Statistics, threshold: float
) -> list[SkewRow]:
    from components.drift import compare  # TFDV, which takes seconds to load

    measured = {each.feature: each for each in compare.measure(known, served, threshold)}
    summaries = [Summary.by_feature(each) for each in (known, served)]
    return [
        SkewRow(
            FEATURES[feature].title,
            known_as,
            summaries[0][feature],
            served_as,
            summaries[1][feature],
            measured[feature].distance,
            measured[feature].threshold,
        )
        for feature in FEATURES
        if feature in measured
    ]


def _counts(values: Iterable[str]) -> dict[str, int]:
    return dict(collections.Counter(values).most_common())


def _minute(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M")
