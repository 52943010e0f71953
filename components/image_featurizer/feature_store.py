"""Features already computed, kept by the content hash of their image: immutable packs of fixed-size rows.

A store is a folder of packs; a worker appends by writing a whole new pack (aside, then renamed), so a pack
is there entirely or not at all and any number of workers may write at once. Packs written before a crash
are found by the next run. It works on every file system that Beam knows.

Pack, little-endian:
  header    magic (8 bytes), row size in bytes (uint32), rows (uint32)
  index     for each row: SHA-256 of the image (32 bytes), CRC-32 of the row (uint32)
  rows
"""

import collections
import dataclasses
import hashlib
import os
import struct
import threading
import time
import uuid
import zlib
from typing import BinaryIO, Final

import numpy as np
from absl import logging
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

_MAGIC: Final = b"FEATURE1"
_HEADER: Final = struct.Struct("<8sII")
_ENTRY: Final = np.dtype([("digest", "S32"), ("crc", "<u4")])  # S32: equal lengths, so compared exactly
_OPEN_FILES: Final = 8
_PACK_SUFFIX: Final = ".pack"
_UNFINISHED_SUFFIX: Final = ".unfinished"
_ABANDONED_SECONDS: Final = 24 * 3600


class FeatureStoreError(ValueError):
    """The store cannot serve this encoder."""


def _open(path: str) -> BinaryIO:
    return FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)


class FeatureReader:
    """Rows of the packs that a store holds when the reader is made.

    Memory: 44 bytes a row for the index; the rows stay on disk. Safe to use from several threads.
    """

    def __init__(self, path: str, row_bytes: int):
        """Reads the index of every pack under `path` (none if it does not exist).

        Unreadable packs are left out with a warning: their images are computed again.

        Raises:
          FeatureStoreError: a pack has rows of another size than `row_bytes`.
        """
        self._row_bytes = row_bytes
        self._packs: list[tuple[str, int]] = []  # file, and where its rows begin
        # A thread has its own files: on a network a row takes milliseconds, for which others need not wait.
        self._local = threading.local()
        entries = []
        for name, size in sorted(_files(path, _PACK_SUFFIX)):
            pack = read_pack(name, size)
            if pack is None:
                continue
            if pack.row_bytes != row_bytes:
                raise FeatureStoreError(
                    f"{name} has rows of {pack.row_bytes} bytes, but the encoder makes {row_bytes}: the "
                    "folder holds another encoder's features. Delete the folder, or give another store_dir."
                )
            self._packs.append((pack.path, pack.rows_at))
            entries.append(pack.index)
        index = np.concatenate(entries) if entries else np.empty(0, _ENTRY)
        counts = [len(part) for part in entries]
        entries.clear()
        order = np.argsort(index["digest"], kind="stable")
        self._digests = index["digest"][order]
        self._crcs = index["crc"][order]
        self._pack_of = np.repeat(np.arange(len(counts), dtype=np.int32), counts)[order]
        starts = np.cumsum([0, *counts[:-1]])
        self._row_of = (np.arange(len(index)) - np.repeat(starts, counts or [0]))[order].astype(np.int32)

    def __len__(self) -> int:
        """Returns the number of rows, counting an image once for each pack that has it."""
        return len(self._digests)

    def find(self, digest: bytes) -> bytes | None:
        """Returns the row of the image with this SHA-256, or None if it must be computed."""
        at = int(np.searchsorted(self._digests, np.bytes_(digest)))
        if at == len(self._digests) or self._digests[at] != digest.rstrip(b"\0"):
            return None
        row = self._read(int(self._pack_of[at]), int(self._row_of[at]))
        if row is None or zlib.crc32(row) != self._crcs[at]:
            logging.warning("Damaged row in %s: computed again.", self._packs[int(self._pack_of[at])][0])
            return None
        return row

    def _read(self, pack: int, row: int) -> bytes | None:
        path, rows_at = self._packs[pack]
        files: collections.OrderedDict[int, BinaryIO] = self._local.__dict__.setdefault(
            "files", collections.OrderedDict()
        )
        file = files.pop(pack, None)
        try:
            file = file or _open(path)
            files[pack] = file  # last: most recently used
            if len(files) > _OPEN_FILES:
                files.popitem(last=False)[1].close()
            file.seek(rows_at + row * self._row_bytes)
            return file.read(self._row_bytes)
        except OSError as error:
            logging.warning("%s cannot be read: %s", path, error)
            return None


class FeatureWriter:
    """Appends rows to a store, a pack at a time. Owned by one thread."""

    def __init__(self, path: str, row_bytes: int, rows_per_pack: int = 256, salt: bytes = b""):
        """`rows_per_pack` bounds the memory, and the work that a killed worker loses.

        With another `salt`, packs of the same images are other files.
        """
        self._salt = salt
        self._path = path
        self._row_bytes = row_bytes
        self._rows_per_pack = rows_per_pack
        self._pending: dict[bytes, bytes] = {}

    def add(self, digest: bytes, row: bytes) -> None:
        """Adds the row of the image with this SHA-256; writes a pack when enough have come together."""
        if len(row) != self._row_bytes:
            raise FeatureStoreError(f"expected a row of {self._row_bytes} bytes; got {len(row)}")
        self._pending[digest] = row
        if len(self._pending) >= self._rows_per_pack:
            self.flush()

    def flush(self) -> None:
        """Writes what was added and not yet written."""
        if not self._pending:
            return
        index = np.array([(digest, zlib.crc32(row)) for digest, row in self._pending.items()], _ENTRY)
        _make_folder(self._path)
        # By its images: a bundle that an engine tries again elsewhere writes the same packs, and adds none.
        name = os.path.join(self._path, self._name())
        aside = f"{name}-{uuid.uuid4().hex}{_UNFINISHED_SUFFIX}"
        with FileSystems.create(aside, compression_type=CompressionTypes.UNCOMPRESSED) as f:
            f.write(_HEADER.pack(_MAGIC, self._row_bytes, len(index)))
            f.write(index.tobytes())
            for row in self._pending.values():
                f.write(row)
        FileSystems.rename([aside], [name + _PACK_SUFFIX])
        self._pending.clear()

    def _name(self) -> str:
        return hashlib.sha256(b"".join((self._salt, *self._pending))).hexdigest()[:32]


def remove_abandoned(path: str) -> None:
    """Deletes unfinished packs older than a day: what killed runs left behind."""
    old = [
        name
        for name, _ in _files(path, _UNFINISHED_SUFFIX)
        if time.time() - FileSystems.last_updated(name) > _ABANDONED_SECONDS
    ]
    if old:
        FileSystems.delete(old)


@dataclasses.dataclass(frozen=True)
class Pack:
    """A whole pack.

    Attributes:
      path: its file.
      row_bytes: size of each row.
      index: for each row `digest`, the SHA-256 of the image, and `crc`, the CRC-32 of the row.
    """

    path: str
    row_bytes: int
    index: np.ndarray

    @property
    def rows_at(self) -> int:
        """Offset of the first row."""
        return _HEADER.size + len(self.index) * _ENTRY.itemsize


def read_pack(path: str, size: int) -> Pack | None:
    """Reads the index of a pack, a file of `size` bytes; None, with a warning, if the file is damaged."""
    try:
        with _open(path) as file:
            magic, width, count = _HEADER.unpack(file.read(_HEADER.size))
            index = np.frombuffer(file.read(count * _ENTRY.itemsize), _ENTRY)
    except (OSError, struct.error, ValueError) as error:
        logging.warning("%s cannot be read (%s): its images are computed again.", path, error)
        return None
    pack = Pack(path, width, index)
    if magic != _MAGIC or size != pack.rows_at + count * width:
        logging.warning("%s is damaged or incomplete: its images are computed again.", path)
        return None
    return pack


def _files(path: str, suffix: str) -> list[tuple[str, int]]:
    """Returns name and size of the files in `path` with this suffix."""
    found = FileSystems.match([os.path.join(path, "*" + suffix)])[0].metadata_list
    return [(metadata.path, metadata.size_in_bytes) for metadata in found]


def _make_folder(path: str) -> None:
    try:
        FileSystems.mkdirs(path)
    except OSError:  # Beam's mkdirs fails on an existing folder; writing into a missing one fails by itself
        if not FileSystems.exists(path):
            raise
