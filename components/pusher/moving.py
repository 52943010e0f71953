"""How versions come and go in a serving directory, so that a server never finds part of one.

A version without `saved_model.pb` is none to TensorFlow Serving, nor to `components.baseline.in_service`.
"""

import os
import time
import uuid
from collections.abc import Collection
from typing import Final

from tfx.dsl.io import fileio

from components.baseline import in_service

_ASIDE: Final = ".pushing"  # and when, and which one; not a number, so that no server takes it for a version
_LEFT_S: Final = 3600.0  # no copy takes longer: what is older, a killed push has left


def aside(directory: str, alone: bool) -> str:
    """Returns a folder for a version that is still being written, and removes those of killed pushes.

    One of its own for each push: unless this one is `alone`, as under a root's lock, two may be under way.
    """
    if fileio.exists(directory):
        for name in fileio.listdir(directory):
            mark, _, rest = name.rstrip("/").partition("-")
            begun = rest.partition("-")[0]
            young = begun.isdecimal() and time.time() - int(begun) < _LEFT_S
            if mark == _ASIDE and (alone or not young):
                fileio.rmtree(os.path.join(directory, name))
    return os.path.join(directory, f"{_ASIDE}-{time.time():.0f}-{uuid.uuid4().hex}")


def into_place(source: str, target: str) -> None:
    """Moves the folder of a whole version to where servers find it.

    In a bucket a folder is renamed file by file, so there `saved_model.pb` goes last.
    """
    if "://" not in target:
        fileio.rename(source, target)
        return
    last = os.path.join(source, in_service.SAVED_MODEL_FILE)
    files = [os.path.join(folder, name) for folder, _, names in fileio.walk(source) for name in names]
    for path in sorted(files, key=lambda path: path == last):
        moved = os.path.join(target, os.path.relpath(path, source))
        fileio.makedirs(os.path.dirname(moved))
        fileio.rename(path, moved, overwrite=True)
    fileio.rmtree(source)


def remove_old(directory: str, keep: int, spared: Collection[str | None] = ()) -> list[str]:
    """Removes versions beyond the newest `keep` (0 keeps all), and parts of such; returns their names."""
    kept = in_service.versions(directory)[:keep]
    if not kept:
        return []
    removed = []
    for name in sorted(name.rstrip("/") for name in fileio.listdir(directory)):
        if name.isdecimal() and int(name) < int(kept[-1]) and name not in spared:
            folder = os.path.join(directory, name)
            saved_model = os.path.join(folder, in_service.SAVED_MODEL_FILE)
            if fileio.exists(saved_model):
                fileio.remove(saved_model)
            fileio.rmtree(folder)
            removed.append(name)
    return removed
