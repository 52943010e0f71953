"""Whether captions fit their images, told by the model in service.

A caption is scored twice, with its own image and with another one of the sample. The words are the same both
times, so what the captions are like cancels out, and what is left is how much likelier the right image makes
them: the gap, in nats a word. Captions shuffled among their images have a gap of nothing. How large it is
for captions that fit depends on the model, so it is measured on accepted eval data, which the model has not
learned from, and a new span's gap is given as a share of that.
"""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

import apache_beam as beam
import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from components.drift.features import FEATURE_MEAN, of_features
from models import features

_BATCH: Final = 16
_RESAMPLES: Final = 2000
_SURE: Final = 0.99


@dataclasses.dataclass(frozen=True)
class Question:
    """What the model is asked about.

    Attributes:
      span: shards of the new span.
      reference: shards of accepted eval data.
      images: to take of each, the first.
    """

    span: tuple[str, ...]
    reference: tuple[str, ...]
    images: int


@dataclasses.dataclass(frozen=True)
class Scores:
    """What the model said of a sample's images, in one order.

    Attributes:
      own: negative log-likelihood of each image's captions, in nats.
      other: the same, given another image.
      tokens: how many tokens that is of; 0 where none of the image's captions can be scored.
      feature_means: of the image's features.
    """

    own: tuple[float, ...] = ()
    other: tuple[float, ...] = ()
    tokens: tuple[float, ...] = ()
    feature_means: tuple[float, ...] = ()

    @property
    def scored(self) -> int:
        """Images with captions that can be scored."""
        return sum(count > 0 for count in self.tokens)


@dataclasses.dataclass(frozen=True)
class Fit:
    """How well a span's captions fit, against accepted data.

    Attributes:
      gap, reference_gap: in nats a token.
      reference_low: the gap in accepted data is not below it, by 99 %.
      share: the first by the second.
      at_most: the share is not above it, by 99 %.
    """

    gap: float
    reference_gap: float
    reference_low: float
    share: float
    at_most: float


def compare(span: Scores, reference: Scores) -> Fit:
    """Compares two samples, each with an image that is scored; the bounds by bootstrap over images."""
    random = np.random.default_rng(0)
    ours, theirs = _resampled(span, random), _resampled(reference, random)
    gap, reference_gap = _gap(span), _gap(reference)
    # Where the reference may have no gap, neither may the share have a bound.
    low = float(np.quantile(theirs, 1 - _SURE))
    shares = ours / theirs if low > 0 else np.full_like(ours, np.inf)
    return Fit(
        gap,
        reference_gap,
        low,
        gap / reference_gap if reference_gap > 0 else 0.0,
        float(np.quantile(shares, _SURE)) if low > 0 else float("inf"),
    )


def _gap(scores: Scores) -> float:
    return (sum(scores.other) - sum(scores.own)) / sum(scores.tokens)


def _resampled(scores: Scores, random: np.random.Generator) -> np.ndarray:
    """Gaps of samples drawn with replacement, [`_RESAMPLES`]."""
    tokens = np.asarray(scores.tokens)
    gaps = np.asarray(scores.other) - np.asarray(scores.own)
    used = tokens > 0
    gaps, tokens = gaps[used], tokens[used]
    drawn = random.multinomial(len(gaps), np.full(len(gaps), 1 / len(gaps)), _RESAMPLES)
    return (drawn @ gaps) / (drawn @ tokens)


class AskModel(beam.DoFn):
    """Question -> JSON of the `Scores` of both samples, `span` and `reference`."""

    def __init__(self, path: str):
        """Args: `path` of the model's SavedModel."""
        super().__init__()
        self._path = path

    def process(self, question: Question) -> Iterator[str]:
        model = tf.saved_model.load(self._path)
        both = {
            "span": score(model, sample(question.span, question.images)),
            "reference": score(model, sample(question.reference, question.images)),
        }
        yield json.dumps({name: dataclasses.asdict(scores) for name, scores in both.items()}, sort_keys=True)


def scores_of(text: str) -> dict[str, Scores]:
    """Inverse of what `AskModel` gives."""
    return {
        name: Scores(**{key: tuple(values) for key, values in fields.items()})
        for name, fields in json.loads(text).items()
    }


def sample(paths: Sequence[str], count: int) -> list[tf.train.Example]:
    """The first images of shards that have captions, as far as the shards can be read.

    Importers put images into shards in the order of a hash, so the first are a fair sample of all.
    """
    found: list[tf.train.Example] = []
    for path in paths:
        try:
            for record in tf.data.TFRecordDataset(path, "GZIP").as_numpy_iterator():
                if len(found) == count:
                    return found
                example = tf.train.Example.FromString(record)
                feature = example.features.feature
                if len(feature[features.IMAGE_ENCODED].bytes_list.value) == 1 and len(
                    feature[features.CAPTIONS].bytes_list.value
                ):
                    found.append(example)
        except (tf.errors.OpError, DecodeError):  # torn: `reading` says so
            continue
    return found


def score(model: Any, examples: Sequence[tf.train.Example]) -> Scores:
    """Asks a SavedModel of `models.export` about images and their captions; images are encoded once."""
    stored: list[bytes] = []
    captions: list[list[bytes]] = []
    means: list[float] = []
    for start in range(0, len(examples), _BATCH):
        batch = examples[start : start + _BATCH]
        images = [each.features.feature[features.IMAGE_ENCODED].bytes_list.value[0] for each in batch]
        encoded, good = model.encoder.encode(tf.constant(images))
        for example, row, fine in zip(batch, encoded.numpy(), good.numpy(), strict=True):
            if fine:
                stored.append(row.astype("<f2").tobytes())
                means += of_features(row)[FEATURE_MEAN]
                captions.append(list(example.features.feature[features.CAPTIONS].bytes_list.value))
    own, tokens = _likelihood(model, stored, captions)
    other, _ = _likelihood(model, stored[1:] + stored[:1], captions)
    return Scores(tuple(own), tuple(other), tuple(tokens), tuple(means))


def _likelihood(
    model: Any, stored: Sequence[bytes], captions: Sequence[list[bytes]]
) -> tuple[list[float], list[float]]:
    """Sums over the tokens of each image's captions: nats, and how many tokens."""
    evaluate = model.signatures[features.EVAL_SIGNATURE]
    nats: list[float] = []
    tokens: list[float] = []
    for start in range(0, len(stored), _BATCH):
        batch = [
            _featurized(*each)
            for each in zip(stored[start : start + _BATCH], captions[start : start + _BATCH], strict=True)
        ]
        answer = evaluate(tf.constant(batch))
        nats += answer[features.TOKEN_NLL_OUTPUT].numpy().tolist()
        tokens += answer[features.TOKEN_COUNT_OUTPUT].numpy().tolist()
    return nats, tokens


def _featurized(stored: bytes, captions: list[bytes]) -> bytes:
    example = tf.train.Example()
    example.features.feature[features.IMAGE_FEATURES].bytes_list.value.append(stored)
    example.features.feature[features.CAPTIONS].bytes_list.value.extend(captions)
    return example.SerializeToString()
