"""The Beam pipeline: each element is the name of a shard, and becomes one TFRecord file.

What goes into a shard lies beside it, as a plan: of the images nothing travels through Beam, not even their
names. A worker reads a plan, converts the images and writes the shard, so the job that a runner is handed
stays small and memory stays flat, however many images there are.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
import pickle
import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions, TypeOptions

from models import features
from pipeline.importers.images import to_upright_jpeg
from pipeline.importers.records import SPLITS, BadImage, Entry, Reason, Rejection, stable_hash

PLANS_FOLDER = ".plans"
PROGRESS_FOLDER = ".progress"
RESULTS_FOLDER = ".results"
FOLDERS = (PLANS_FOLDER, PROGRESS_FOLDER, RESULTS_FOLDER)


@dataclasses.dataclass(frozen=True)
class Shard:
    """One output file and what goes in.

    Attributes:
      name: file name, e.g. `train-00000-of-00006.tfrecord.gz`.
      split: one of SPLITS.
      entries: in the order of the file.
    """

    name: str
    split: str
    entries: tuple[Entry, ...]


@dataclasses.dataclass(frozen=True)
class ShardResult:
    """What became of a shard: JSON beside it, written last.

    Attributes:
      name, split: of the shard.
      sha256: hex digest of the file.
      size: of the file in bytes.
      captions: number written.
      images: `(image_id, content_hash)` of each image written, in order.
      rejections: images set aside.
    """

    name: str
    split: str
    sha256: str
    size: int
    captions: int
    images: list[tuple[str, str]]
    rejections: list[Rejection]

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "ShardResult":
        fields: dict[str, Any] = json.loads(text)
        fields["images"] = [(image_id, digest) for image_id, digest in fields["images"]]
        fields["rejections"] = [
            Rejection(**(rejection | {"reason": Reason(rejection["reason"])}))
            for rejection in fields["rejections"]
        ]
        return cls(**fields)


def plan_shards(entries: Iterable[Entry], shard_images: int) -> list[Shard]:
    """Divides entries into shards: by split, then in the order of a hash of the id, so mixed but stable."""
    shards = []
    ordered = sorted(entries, key=lambda entry: (stable_hash(entry.image_id), entry.image_id))
    for split in SPLITS:
        members = [entry for entry in ordered if entry.split == split]
        count = -(-len(members) // shard_images)
        for number in range(count):
            # Even shares: shards of nearly one size keep the workers equally busy.
            part = members[len(members) * number // count : len(members) * (number + 1) // count]
            shards.append(Shard(f"{split}-{number:05}-of-{count:05}.tfrecord.gz", split, tuple(part)))
    return shards


class WriteShard(beam.DoFn):
    """Name of a shard -> the shard and its result. Running it twice, also at once, gives the same files."""

    def __init__(self, folder: str, source: str, span: int, max_pixels: int):
        self._folder = pathlib.Path(folder)
        self._span = span
        self._source = source
        self._max_pixels = max_pixels

    def process(self, name: str) -> Iterator[str]:
        """Writes the shard with this name."""
        import tensorflow as tf

        shard: Shard = pickle.loads((self._folder / PLANS_FOLDER / name).read_bytes())
        rejections: list[Rejection] = []
        images: list[tuple[str, str]] = []
        captions = 0
        # Another attempt at the same shard may be running elsewhere: each writes aside, the rename decides.
        path = self._folder / shard.name
        aside = self._folder / f".{shard.name}.{uuid.uuid4().hex}"
        # Level 1: JPEG does not shrink, gzip is what the readers of the span expect.
        options = tf.io.TFRecordOptions(compression_type="GZIP", compression_level=1)
        progress = self._folder / PROGRESS_FOLDER / shard.name
        with open(progress, "wb", buffering=0) as ticks, tf.io.TFRecordWriter(str(aside), options) as writer:
            for entry in shard.entries:
                ticks.write(b".")
                try:
                    example, digest = make_example(entry, self._source, self._span, self._max_pixels)
                except BadImage as bad:
                    rejections.append(Rejection(entry.image.path, entry.image_id, bad.reason, str(bad)))
                    continue
                writer.write(example)
                images.append((entry.image_id, digest))
                captions += len(entry.captions)
        self._require_source(shard, rejections)
        sha256, size = _sync_and_hash(aside)
        os.rename(aside, path)
        result = ShardResult(shard.name, shard.split, sha256, size, captions, images, rejections)
        result_path = self._folder / RESULTS_FOLDER / f"{shard.name}.json"
        aside.write_text(result.to_json())
        os.rename(aside, result_path)
        yield shard.name

    def _require_source(self, shard: Shard, rejections: list[Rejection]) -> None:
        """Raises OSError where the source seems not to be on this machine: no image is there, no folder."""
        missing = [each.path for each in rejections if each.reason is Reason.MISSING_IMAGE]
        folders = {os.path.dirname(path) for path in missing}
        if len(missing) == len(shard.entries) > 1 and not any(map(os.path.isdir, folders)):
            raise OSError(
                f"none of the {len(missing)} images of {shard.name} is there, nor {min(folders)}: every "
                "worker must see the --source at the same path"
            )


def make_example(entry: Entry, source: str, span: int, max_pixels: int) -> tuple[bytes, str]:
    """Returns the serialized `tf.train.Example` of an entry and its content hash.

    Raises:
      BadImage: it is the file's fault.
      OSError: it is the machine's fault, and may be better another time or elsewhere.
    """
    import tensorflow as tf

    try:
        data = entry.image.read()
    except FileNotFoundError as error:
        raise BadImage(Reason.MISSING_IMAGE, "there is no such file") from error
    except (PermissionError, IsADirectoryError) as error:
        raise BadImage(Reason.UNREADABLE, f"{type(error).__name__}: {error}") from error
    picture = to_upright_jpeg(data, max_pixels)
    digest = hashlib.sha256(picture.encoded).hexdigest()

    def texts(*values: str | bytes) -> tf.train.Feature:
        encoded = [value.encode() if isinstance(value, str) else value for value in values]
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=encoded))

    def number(value: int) -> tf.train.Feature:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    feature = {
        features.IMAGE_ID: texts(entry.image_id),
        features.IMAGE_ENCODED: texts(picture.encoded),
        features.CAPTIONS: texts(*entry.captions),
        features.SOURCE: texts(source),
        features.WIDTH: number(picture.width),
        features.HEIGHT: number(picture.height),
        features.CONTENT_HASH: texts(digest),
        features.SPAN: number(span),
    }
    for name, count in ((features.OBJECTS, entry.objects), (features.PEOPLE, entry.people)):
        if count is not None:
            feature[name] = number(count)
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    return example.SerializeToString(deterministic=True), digest


def write_shards(
    shards: Sequence[Shard],
    folder: pathlib.Path,
    source: str,
    span: int,
    max_pixels: int,
    beam_args: Sequence[str],
) -> None:
    """Runs the pipeline until it is done. Raises what the runner raises.

    Args:
      shards: what to write.
      folder: existing folder that all workers can write to.
      source, span: written into the examples.
      max_pixels: see `to_upright_jpeg`.
      beam_args: flags of any Beam runner. Without `--runner`, this process does the work.
    """
    for name in FOLDERS:
        (folder / name).mkdir()
    for shard in shards:
        (folder / PLANS_FOLDER / shard.name).write_bytes(pickle.dumps(shard))
    options = PipelineOptions(list(beam_args))
    if options.view_as(StandardOptions).runner in (None, "DirectRunner"):
        # Beam's DirectRunner first looks for the Prism binary, on the network if need be. It does not for
        # pipelines with this flag, which changes nothing else here: the pipeline has no triggers of its own.
        options.view_as(TypeOptions).allow_unsafe_triggers = True
    with beam.Pipeline(options=options) as pipeline:
        _ = (
            pipeline
            | "Shards" >> beam.Create([shard.name for shard in shards])
            | "Spread" >> beam.Reshuffle()
            | "Write" >> beam.ParDo(WriteShard(os.path.abspath(folder), source, span, max_pixels))
        )


def read_results(shards: Sequence[Shard], folder: pathlib.Path) -> list[ShardResult]:
    """Returns the results in the order of `shards`. Raises FileNotFoundError if a shard was not written."""
    return [
        ShardResult.from_json((folder / RESULTS_FOLDER / f"{shard.name}.json").read_text())
        for shard in shards
    ]


def count_progress(folder: pathlib.Path) -> int:
    """Images handled so far: workers write one byte for each, on any runner."""
    try:
        with os.scandir(folder / PROGRESS_FOLDER) as files:
            return sum(file.stat().st_size for file in files)
    except FileNotFoundError:
        return 0


def _sync_and_hash(path: pathlib.Path) -> tuple[str, int]:
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest(), os.fstat(file.fileno()).st_size
