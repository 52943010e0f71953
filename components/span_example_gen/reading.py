"""Reads the shards of a span once, and passes on what is small: never an image."""

import collections
import dataclasses
import hashlib
import os
from collections.abc import Iterator, Mapping
from typing import Any, Final

import apache_beam as beam
import tensorflow as tf
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from google.protobuf.message import DecodeError

from components.drift import features as drift_features
from components.span_example_gen import served_model
from components.span_example_gen.spans import Span, split_of
from components.statistics_gen.executor import leave_out_images
from models import features

# Outputs beside the main one.
VALUES: Final = "values"  # `drift.features.Values` of each image
PICTURES: Final = "pictures"  # (content hash, split) of each image
TALLY: Final = "tally"  # (name, count), several of a name
BROKEN: Final = (
    "broken"  # a sentence for each shard that cannot be read to its end, or is not the one written
)

# Names in the tally, those with a slash followed by the split.
IMAGES: Final = "images/"
CAPTIONS: Final = "captions/"
UNREADABLE: Final = "unreadable"
OTHER_HASH: Final = "other_hash"

_CHUNK: Final = 2**20


@dataclasses.dataclass(frozen=True)
class Shard:
    """A file to read.

    Attributes:
      path: of the file.
      sha256: hex digest that the manifest has of it; empty where it has none.
    """

    path: str
    sha256: str


def shards(span: Span) -> list[Shard]:
    """The shards of a span with what its manifest says of them, if it can be read."""
    try:
        listed = span.listed()
    except ValueError:  # `checks.files` says so
        listed = {}
    digests = {name: file.sha256 for name, file in listed.items()}
    return [Shard(os.path.join(span.folder, name), digests.get(name, "")) for name, _ in span.shards]


class ReadShard(beam.DoFn):
    """Shard -> serialized Examples whose image is an empty text, and the outputs named above."""

    def __init__(self, kinds: Mapping[str, str], vocabulary: str):
        """Args:
        kinds: `int64_list` or such by feature, as the schema has it.
        vocabulary: file of the words that the model in service knows; empty without one.
        """
        super().__init__()
        self._kinds = dict(kinds)
        self._vocabulary = vocabulary

    def setup(self) -> None:
        self._words = served_model.words(self._vocabulary)

    def process(self, shard: Shard) -> Iterator[Any]:
        name = os.path.basename(shard.path)
        if shard.sha256 and _sha256(shard.path) != shard.sha256:
            yield _broken(f"{name} is not the file that was imported: its SHA-256 is not the manifest's.")
        split = split_of(name)
        tally: collections.Counter[str] = collections.Counter()
        number = 0
        try:
            for record in tf.data.TFRecordDataset(shard.path, "GZIP").as_numpy_iterator():
                number += 1
                yield from self._read(record, split, tally)
        except tf.errors.DataLossError as error:
            # The file's fault; any other error of TensorFlow is the machine's, and is tried again.
            yield _broken(f"{name} is torn: {number} records can be read, then {_first_line(error)}")
        except (DecodeError, _Foreign) as error:
            yield _broken(f"record {number} of {name} is not what importers write: {_first_line(error)}")
        for each, count in tally.items():
            yield beam.pvalue.TaggedOutput(TALLY, (each, count))

    def _read(self, record: bytes, split: str, tally: collections.Counter[str]) -> Iterator[Any]:
        example = tf.train.Example.FromString(record)
        feature = example.features.feature
        for name, kind in self._kinds.items():
            if name in feature and feature[name].WhichOneof("kind") not in (kind, None):
                raise _Foreign(f"{name} is {feature[name].WhichOneof('kind')}; expected {kind}.")
        tally[IMAGES + split] += 1
        tally[CAPTIONS + split] += len(_values(example, features.CAPTIONS))
        for image in _values(example, features.IMAGE_ENCODED):
            digest = hashlib.sha256(image).hexdigest()
            tally[OTHER_HASH] += [digest.encode()] != _values(example, features.CONTENT_HASH)
            yield beam.pvalue.TaggedOutput(PICTURES, (digest, split))
        try:
            yield beam.pvalue.TaggedOutput(VALUES, drift_features.of_example(example, self._words))
        except ValueError:
            tally[UNREADABLE] += 1
        leave_out_images(example)
        yield example.SerializeToString(deterministic=True)


class _Foreign(Exception):
    pass


def _values(example: tf.train.Example, name: str) -> list[bytes]:
    """Values of a feature; none where it is missing, without adding it as reading it alone would."""
    feature = example.features.feature
    return list(feature[name].bytes_list.value) if name in feature else []


def _broken(sentence: str) -> beam.pvalue.TaggedOutput:
    return beam.pvalue.TaggedOutput(BROKEN, sentence)


def _first_line(error: Exception) -> str:
    """What happened, without TensorFlow's names of ops."""
    text = getattr(error, "message", None) or str(error)
    text = text.strip().splitlines()[0] if text.strip() else type(error).__name__
    return text.rpartition("}} ")[2].partition(" [Op:")[0].rstrip(".") + "."


def _sha256(path: str) -> str:
    digest = hashlib.sha256()
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
