"""Span folders: `DATA/span-0001`, whole or not there at all."""

import contextlib
import fcntl
import os
import pathlib
import re
import shutil
from collections.abc import Iterator

from pipeline.errors import UserError

_SPAN = re.compile(r"span-(\d+)")
_ASIDE = ".importing-"


def span_name(number: int) -> str:
    """The folder of a span: `span-0001` for 1."""
    return f"span-{number:04}"


def existing_spans(data: pathlib.Path) -> list[int]:
    """Numbers of the spans in a data folder, ascending; none if the folder is not there."""
    if not data.is_dir():
        return []
    return sorted(int(match[1]) for path in data.iterdir() if (match := _SPAN.fullmatch(path.name)))


def choose_span(data: pathlib.Path, wanted: str) -> int:
    """Turns `--span` (`next` or a number) into a span that does not exist yet. Raises UserError."""
    spans = existing_spans(data)
    free = max(spans, default=0) + 1
    if wanted == "next":
        return free
    if not wanted.isdecimal() or int(wanted) < 1:
        raise UserError(f"--span must be 'next' or a number from 1 on; got {wanted!r}")
    if int(wanted) in spans:
        raise UserError(
            f"{data / span_name(int(wanted))} exists, and a span is never changed once written. Take "
            f"--span {free} (or leave --span out), or delete that folder to import it again."
        )
    return int(wanted)


@contextlib.contextmanager
def new_span(data: pathlib.Path, wanted: str) -> Iterator[tuple[pathlib.Path, int]]:
    """Yields an empty folder that becomes the span when the block ends well, and vanishes when it does not.

    Args:
      data: the folder of the spans; made if need be.
      wanted: see `choose_span`.

    Yields:
      The folder to fill and the number of the span.

    After a kill the folder stays behind under a hidden name, which no reader takes for a span; the next
    import removes it.

    Raises:
      UserError: the span exists, another import is writing to `data`, or it cannot be written to.
    """
    created = [path for path in (data, *data.parents) if not path.exists()]
    try:
        data.mkdir(parents=True, exist_ok=True)
        handle = os.open(data, os.O_RDONLY)
    except OSError as error:
        raise UserError(f"Cannot write to {data} ({error.strerror}). Give another --out.") from error
    span = None
    try:
        _lock(handle, data)
        for stale in data.glob(f"{_ASIDE}*"):
            shutil.rmtree(stale)
        number = choose_span(data, wanted)
        aside = data / f"{_ASIDE}{span_name(number)}"
        try:
            aside.mkdir()
            yield aside, number
            _sync_tree(aside)
            span = aside.rename(data / span_name(number))
            os.fsync(handle)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    finally:
        os.close(handle)
        if span is None:
            _remove_empty(created)


def _remove_empty(folders: list[pathlib.Path]) -> None:
    with contextlib.suppress(OSError):  # not empty: someone else's
        for folder in folders:
            folder.rmdir()


def _lock(handle: int, data: pathlib.Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UserError(
            f"Another import is writing to {data}. Wait for it, or give another --out."
        ) from error


def _sync_tree(folder: pathlib.Path) -> None:
    for path in (*folder.iterdir(), folder):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
