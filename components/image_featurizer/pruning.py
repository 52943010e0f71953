"""Takes features out of a store that nobody needs: those of images that are gone, and second copies.

A pack is never changed: what it keeps is written as a new pack, and then the old one goes. Cut off in
between, both are there, which readers take well; the next pruning takes the second copies out.
"""

import dataclasses
import os
import pathlib
import uuid
import zlib
from collections.abc import Iterator

import numpy as np
from absl import logging

from components.image_featurizer import feature_store
from components.image_featurizer.feature_store import FeatureWriter, Pack

# A digest as bytes; NumPy drops trailing zeros from all of them alike, so equality is that of the digests.
DIGEST = np.dtype("S32")


@dataclasses.dataclass(frozen=True)
class Stale:
    """A pack with rows that can go.

    Attributes:
      pack: as it is.
      gone: for each row, whether it can go.
    """

    pack: Pack
    gone: np.ndarray

    @property
    def rows(self) -> int:
        """Rows that can go."""
        return int(self.gone.sum())

    @property
    def size(self) -> int:
        """Bytes that they take."""
        return self.rows * (self.pack.row_bytes + self.pack.index.itemsize)


def find(packs: str, images: np.ndarray) -> list[Stale]:
    """Returns the packs in the folder `packs` that hold more than they need. Changes nothing.

    Memory: some 100 bytes a row of the store.

    Args:
      packs: a folder on this machine's file systems; need not exist.
      images: SHA-256 of every image whose features are needed, of `DIGEST`, in any order.
    """
    there = list(_read(packs))
    if not there:
        return []
    digests = np.concatenate([pack.index["digest"] for pack in there])
    first = np.zeros(len(digests), bool)
    first[np.unique(digests, return_index=True)[1]] = True
    gone = ~(first & np.isin(digests, images))
    ends = np.cumsum([len(pack.index) for pack in there])
    parts = zip(there, np.split(gone, ends[:-1]), strict=True)
    return [Stale(pack, part) for pack, part in parts if part.any()]


def remove(stale: Stale) -> None:
    """Removes the rows of a pack that can go. Nobody may be writing to the store."""
    pack = stale.pack
    writer = FeatureWriter(
        os.path.dirname(pack.path),
        pack.row_bytes,
        rows_per_pack=len(pack.index) + 1,
        # A pack with the very rows that stay may be there already, of a pruning that was killed, and go next.
        salt=uuid.uuid4().bytes,
    )
    with open(pack.path, "rb") as file:
        for number in np.flatnonzero(~stale.gone):
            file.seek(pack.rows_at + int(number) * pack.row_bytes)
            row = file.read(pack.row_bytes)
            digest, crc = pack.index[number]
            if zlib.crc32(row) != crc:
                logging.warning("Damaged row in %s: left out, to be computed again.", pack.path)
                continue
            writer.add(bytes(digest).ljust(DIGEST.itemsize, b"\0"), row)
    writer.flush()
    os.unlink(pack.path)


def _read(packs: str) -> Iterator[Pack]:
    for path in sorted(pathlib.Path(packs).glob("*.pack")):
        pack = feature_store.read_pack(str(path), path.stat().st_size)
        if pack is not None:
            yield pack
