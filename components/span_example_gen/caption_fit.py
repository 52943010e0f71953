"""Whether captions fit their images, told by the model in service.

A caption is scored with its own image and with another one. The words are the same both times, so what the
captions are like cancels out, and what is left is how much likelier the right image makes them: the gap, in
nats a word. Captions shuffled among their images have a gap of nothing. How large it is for captions that fit
depends on the model, so it is measured on accepted eval data, which the model has not learned from, and a new
span's gap is given as a share of that.

The other image is one of the span, and one that was accepted; the larger gap counts. In a span of much the
same pictures every image fits every caption, and pictures of a new kind may make any caption unlikely:
neither is the captions' fault, and neither makes both gaps small.
"""

import dataclasses
import json
import math
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
      other: the same, given another image of the sample.
      accepted: the same, given an image that was accepted; none for what was accepted itself.
      tokens: how many tokens that is of; 0 where none of the image's captions can be scored.
      feature_means: of the image's features.
    """

    own: tuple[float, ...] = ()
    other: tuple[float, ...] = ()
    accepted: tuple[float, ...] = ()
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
    theirs = _resampled(reference, reference.other, random)
    reference_gap, low = _gap(reference, reference.other), float(np.quantile(theirs, 1 - _SURE))
    others = [other for other in (span.other, span.accepted) if other]
    gap = max(_gap(span, other) for other in others)
    if low <= 0:  # where the reference may have no gap, the share has no bound
        return Fit(gap, reference_gap, low, gap / reference_gap if reference_gap > 0 else 0.0, math.inf)
    at_most = max(float(np.quantile(_resampled(span, other, random) / theirs, _SURE)) for other in others)
    return Fit(gap, reference_gap, low, gap / reference_gap, at_most)


def _gap(scores: Scores, other: Sequence[float]) -> float:
    return (sum(other) - sum(scores.own)) / sum(scores.tokens)


def _resampled(scores: Scores, other: Sequence[float], random: np.random.Generator) -> np.ndarray:
    """Gaps of samples drawn with replacement, [`_RESAMPLES`]."""
    tokens = np.asarray(scores.tokens)
    gaps = np.asarray(other) - np.asarray(scores.own)
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
        reference = encode(model, sample(question.reference, question.images))
        both = {
            "span": score(model, encode(model, sample(question.span, question.images)), reference.stored),
            "reference": score(model, reference),
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
        except (tf.errors.DataLossError, DecodeError):  # torn: `reading` says so
            continue
    return found


@dataclasses.dataclass(frozen=True)
class Encoded:
    """Images that could be decoded, in one order.

    Attributes:
      stored: their features as the ImageFeaturizer stores them.
      captions: of each.
      feature_means: of each one's features.
    """

    stored: list[bytes]
    captions: list[list[bytes]]
    feature_means: list[float]


def encode(model: Any, examples: Sequence[tf.train.Example]) -> Encoded:
    """Encodes images with the encoder of a SavedModel of `models.export`."""
    done = Encoded([], [], [])
    for start in range(0, len(examples), _BATCH):
        batch = examples[start : start + _BATCH]
        images = [each.features.feature[features.IMAGE_ENCODED].bytes_list.value[0] for each in batch]
        encoded, good = model.encoder.encode(tf.constant(images))
        for example, row, fine in zip(batch, encoded.numpy(), good.numpy(), strict=True):
            if fine:
                done.stored.append(row.astype("<f2").tobytes())
                done.feature_means.extend(of_features(row)[FEATURE_MEAN])
                done.captions.append(list(example.features.feature[features.CAPTIONS].bytes_list.value))
    return done


def score(model: Any, images: Encoded, accepted: Sequence[bytes] = ()) -> Scores:
    """Asks a SavedModel of `models.export` about images and their captions.

    Args:
      model: the loaded SavedModel.
      images: to ask about.
      accepted: features of accepted images.
    """
    own, tokens = _likelihood(model, images.stored, images.captions)
    other, _ = _likelihood(model, images.stored[1:] + images.stored[:1], images.captions)
    instead: list[float] = []
    if accepted:
        others = [accepted[i % len(accepted)] for i in range(len(images.stored))]
        instead, _ = _likelihood(model, others, images.captions)
    return Scores(tuple(own), tuple(other), tuple(instead), tuple(tokens), tuple(images.feature_means))


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
