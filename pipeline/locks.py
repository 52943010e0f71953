"""Locks that the operating system lets go when their holder ends, however it ends."""

import contextlib
import fcntl
import os
import pathlib
from collections.abc import Iterator

from pipeline.errors import UserError


@contextlib.contextmanager
def alone(path: pathlib.Path, taken: str) -> Iterator[None]:
    """Holds the lock for the length of the block.

    Raises:
      UserError: another process holds it; the message is `taken`, with who it is for `{pid}`.
    """
    with open(path, "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise UserError(taken.replace("{pid}", file.read() or "unknown")) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


@contextlib.contextmanager
def shortly(path: pathlib.Path) -> Iterator[None]:
    """Waits for the lock and holds it for the length of the block, which must be short."""
    with open(path, "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def held(path: str | os.PathLike[str]) -> bool:
    """Whether a process holds the lock; a file that is not there is held by none."""
    try:
        with open(path, encoding="utf-8") as file:
            # Shared, and let go at once: it is asked for, not taken.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        pass
    return False
