"""Room on disk where files have several names: versions, baselines and spans share theirs by hard links."""

import collections
import dataclasses
import os
import pathlib
from collections.abc import Sequence

Inode = tuple[int, int]  # device, number


@dataclasses.dataclass(frozen=True)
class Usage:
    """The files under some folder.

    Attributes:
      names: of each file, how many of its names are there.
      sizes: of each file, bytes, and how many names it has anywhere.
    """

    names: collections.Counter[Inode]
    sizes: dict[Inode, tuple[int, int]]


def scan(*places: str | os.PathLike[str]) -> Usage:
    """Returns the files at or under `places`; what vanishes meanwhile is not counted."""
    names: collections.Counter[Inode] = collections.Counter()
    sizes: dict[Inode, tuple[int, int]] = {}
    for path in _files([pathlib.Path(place) for place in places]):
        try:
            status = path.lstat()
        except FileNotFoundError:
            continue
        inode = (status.st_dev, status.st_ino)
        names[inode] += 1
        sizes[inode] = (status.st_size, status.st_nlink)
    return Usage(names, sizes)


def _files(places: list[pathlib.Path]) -> list[pathlib.Path]:
    found = [place for place in places if place.is_symlink() or place.is_file()]
    for place in places:
        if place.is_symlink():
            continue
        for folder, _, names in os.walk(place):
            found += [pathlib.Path(folder, name) for name in names]
    return found


def freed(parts: Sequence[Usage]) -> list[int]:
    """Returns the bytes that come free when all `parts` go, each file counted with the first that has it.

    A file that has a name elsewhere, too, stays on disk and frees nothing.
    """
    gone: collections.Counter[Inode] = collections.Counter()
    for part in parts:
        gone.update(part.names)
    counted: set[Inode] = set()
    result = []
    for part in parts:
        total = 0
        for inode, (size, links) in part.sizes.items():
            if gone[inode] == links and inode not in counted:
                counted.add(inode)
                total += size
        result.append(total)
    return result
