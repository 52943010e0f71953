"""Lines in files of bounded size and number.

A file is written by one process and never again after it; its name begins with the time, so that names sort
as the files were begun. A reader takes whole lines only: what a full disk or a killed process left of one has
no line break after it.
"""

import contextlib
import datetime
import errno
import os
import pathlib
import secrets
from collections.abc import Iterator
from typing import Final

_NAME: Final = "requests-{}-{}.jsonl"
_PATTERN: Final = "requests-*.jsonl"


class LogFiles:
    """Appends to the newest file of a folder, begins another when it is full, and removes the oldest.

    Several processes may share a folder: each has files of its own, and the bound holds for all together.
    """

    def __init__(self, folder: pathlib.Path, file_bytes: int, files: int):
        """`file_bytes`: most of a file, if no single `append` is larger. `files`: most in the folder."""
        self._folder = folder
        self._file_bytes = file_bytes
        self._files = files
        self._path: pathlib.Path | None = None
        self._file = -1
        self._size = 0

    def append(self, lines: bytes) -> None:
        """Writes whole lines, all of them or none. Raises OSError."""
        full = self._size > 0 and self._size + len(lines) > self._file_bytes
        if self._path is None or full or not self._path.exists():
            self.close()
            self._begin()
        try:
            if os.write(self._file, lines) < len(lines):
                raise OSError(errno.ENOSPC, "there is no room for more", str(self._path))
        except OSError:
            self._take_back()
            raise
        begun = self._size == 0
        self._size += len(lines)
        if begun:  # not before: a disk without room must not cost the good files
            self._remove_oldest()

    def close(self) -> None:
        """Ends the file; the next `append` begins another."""
        if self._path is not None:
            os.close(self._file)
            self._path = None

    def _begin(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S.%f")
        path = self._folder / _NAME.format(now, secrets.token_hex(4))
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o640)
        self._path, self._size = path, 0

    def _take_back(self) -> None:
        """Ends the file as it was before the last write; what cannot be taken back has no line break."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, self._size)
        if self._path is not None and self._size == 0:
            self._path.unlink(missing_ok=True)
        self.close()

    def _remove_oldest(self) -> None:
        others = [path for path in sorted(self._folder.glob(_PATTERN)) if path != self._path]
        for path in others[: max(0, len(others) - self._files + 1)]:
            path.unlink(missing_ok=True)


def whole_lines(folder: pathlib.Path) -> Iterator[Iterator[bytes]]:
    """Yields the lines of each file in a folder and in those below it, the newest file first."""
    for path in sorted(folder.rglob(_PATTERN), key=lambda path: path.name, reverse=True):
        yield _whole_lines(path)


def _whole_lines(path: pathlib.Path) -> Iterator[bytes]:
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:  # it may be removed meanwhile
        for line in file:
            if line.endswith(b"\n"):
                yield line
