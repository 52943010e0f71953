"""The spans of a data folder, found by the names and sizes of their files: no image is read.

DATA/span-0012/train-00000-of-00003.tfrecord.gz
DATA/span-0012/eval-00000-of-00001.tfrecord.gz
DATA/span-0012/manifest.json                      what the importer knows of it; need not be there
"""

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Collection, Iterable
from typing import Final

from apache_beam.io.filesystem import FileMetadata
from apache_beam.io.filesystems import FileSystems
from tfx.dsl.io import fileio

TRAIN: Final = "train"
EVAL: Final = "eval"
SPLITS: Final = (TRAIN, EVAL)
MANIFEST: Final = "manifest.json"
SUFFIX: Final = ".tfrecord.gz"

NONE: Final = "none"  # there was no span when the run was planned
NEWEST: Final = "newest"  # look when the component runs

_NAME: Final = re.compile(r"span-(\d+)")


@dataclasses.dataclass(frozen=True)
class Span:
    """One span.

    Attributes:
      number: of the span.
      folder: where it lies.
      shards: name and size in bytes of every file of `SPLITS`, by split and name.
      digest: equal for the same content.
    """

    number: int
    folder: str
    shards: tuple[tuple[str, int], ...]
    digest: str

    @property
    def name(self) -> str:
        """Name of the folder, e.g. `span-0012`."""
        return os.path.basename(self.folder)

    def paths(self, split: str) -> list[str]:
        """Files of a split, in order; none if the span has no such split."""
        return [os.path.join(self.folder, name) for name, _ in self.shards if split_of(name) == split]

    def listed(self) -> dict[str, "Listed"]:
        """What the manifest says of each file of `SPLITS`; nothing where there is no manifest.

        Raises:
          ValueError: it is not one that importers write.
        """
        path = os.path.join(self.folder, MANIFEST)
        if not fileio.exists(path):
            return {}
        with fileio.open(path, "rb") as file:
            text = file.read()
        try:
            splits = json.loads(text)["splits"]
            return {
                shard["file"]: Listed(int(shard["bytes"]), str(shard["sha256"]), int(shard["images"]))
                for split in SPLITS
                for shard in splits[split]["shards"]
            }
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{MANIFEST} is not one that importers write ({type(error).__name__}: {error})"
            ) from error


@dataclasses.dataclass(frozen=True)
class Listed:
    """A file as the manifest has it: size in bytes, hex digest, number of images."""

    size: int
    sha256: str
    images: int


def split_of(shard: str) -> str:
    """The split of a shard, from the name of its file."""
    return os.path.basename(shard).partition("-")[0]


def find(data_dir: str) -> list[Span]:
    """Returns the spans of a folder, the oldest first; none without the folder."""
    if not fileio.isdir(data_dir):
        return []
    names = sorted(name.rstrip("/") for name in fileio.listdir(data_dir))
    spans = (
        _read(os.path.join(data_dir, name), int(match[1]))
        for name in names
        if (match := _NAME.fullmatch(name))
    )
    return sorted(spans, key=lambda span: span.number)


def identify(data_dir: str, refused: Collection[int]) -> str:
    """Returns a name for the spans that may be learned from, `NEWEST-DIGEST`, or `none`.

    Pass it to `SpanExampleGen` as `spans`: it is part of the cache key. It changes with every new, changed or
    removed span and when one is refused or let in after all, but not when one is accepted, nor with one that
    was refused before: nothing is computed again for a span that nothing is learned from.

    Args:
      data_dir: the folder of the spans.
      refused: of `records.refused`: numbers of those that are refused.
    """
    return _identity(find(data_dir), refused)


def resolve(data_dir: str, planned: str, refused: Collection[int]) -> list[Span]:
    """Returns the spans that `planned` names, the oldest first, and refused ones between them.

    One that came in since is not among them.

    Args:
      data_dir: the folder of the spans.
      planned: of `identify`, or `newest`.
      refused: as for `identify`.

    Raises:
      ValueError: `planned` is none of these forms.
      FileNotFoundError: these spans are no longer there as they were.
    """
    spans = find(data_dir)
    if planned == NEWEST:
        return spans
    newest, dash, _ = planned.partition("-")
    if planned != NONE and not (newest.isdecimal() and dash):
        raise ValueError(f"expected spans to be {NONE!r}, {NEWEST!r} or NEWEST-DIGEST; got {planned!r}")
    if planned == NONE:
        return [span for span in spans if span.number in refused]
    spans = [span for span in spans if span.number <= int(newest)]
    if _identity(spans, refused) != planned:
        raise FileNotFoundError(
            f"the spans in {data_dir}, or a person's word on them, are not what they were when this run was "
            "planned. Run the pipeline again: it takes what is there now"
        )
    return spans


def _identity(spans: Iterable[Span], refused: Collection[int]) -> str:
    listed = [(span.number, span.digest) for span in spans if span.number not in refused]
    if not listed:
        return NONE
    return f"{listed[-1][0]}-{hashlib.sha256(json.dumps(listed).encode()).hexdigest()[:16]}"


def _read(folder: str, number: int) -> Span:
    files = sorted(
        (file for file in _list(folder) if split_of(file.path) in SPLITS),
        key=lambda file: (SPLITS.index(split_of(file.path)), file.path),
    )
    content = hashlib.sha256()
    manifest = os.path.join(folder, MANIFEST)
    if fileio.exists(manifest):
        with fileio.open(manifest, "rb") as opened:  # it has a digest of every file
            content.update(opened.read())
        stamps = ["" for _ in files]
    else:
        stamps = [repr(file.last_updated_in_seconds) for file in files]
    for file, stamp in zip(files, stamps, strict=True):
        content.update(f"{os.path.basename(file.path)} {file.size_in_bytes} {stamp}\n".encode())
    shards = tuple((os.path.basename(file.path), file.size_in_bytes) for file in files)
    return Span(number, folder, shards, content.hexdigest()[:16])


def _list(folder: str) -> list[FileMetadata]:
    (match,) = FileSystems.match([os.path.join(folder, f"*{SUFFIX}")])
    return list(match.metadata_list)
