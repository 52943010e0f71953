"""Progress of the featurizer where its workers run in this process (Beam's direct runner, in memory)."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from absl import logging
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

_LOG_SECONDS: Final = 30.0
_REFRESH_SECONDS: Final = 0.5


class _Count:
    """What the workers of this process have taken in."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.images = 0
        self.bytes = 0

    def add(self, size: int) -> None:
        with self._lock:
            self.images += 1
            self.bytes += size


_count = _Count()


def add(size: int) -> None:
    """Reports one more image, in a record of `size` bytes."""
    _count.add(size)


@contextlib.contextmanager
def shown(total_bytes: int) -> Iterator[None]:
    """Shows images, rate and time left while the block runs: a bar on a terminal, else a log line at times.

    The share done is reckoned in bytes: counting the images beforehand would mean reading them all.

    Args:
      total_bytes: size of all records.
    """
    images, size = _count.images, _count.bytes
    done = threading.Event()

    def watch() -> None:
        start = time.monotonic()
        with _reporter(total_bytes) as report:
            while not done.wait(_REFRESH_SECONDS):
                report(_count.images - images, _count.bytes - size, time.monotonic() - start)

    watcher = threading.Thread(target=watch, name="featurizer-progress", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


@contextlib.contextmanager
def _reporter(total_bytes: int) -> Iterator[Callable[[int, int, float], None]]:
    if sys.stderr.isatty():
        columns = (
            TextColumn("image features"),
            BarColumn(),
            TextColumn("{task.fields[images]} images  {task.fields[rate]:.1f}/s  ETA"),
            TimeRemainingColumn(compact=True),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("", total=total_bytes, images=0, rate=0.0)
            yield lambda images, size, seconds: bar.update(
                task, completed=min(size, total_bytes), images=images, rate=images / seconds
            )
        return
    next_log = _LOG_SECONDS

    def log(images: int, size: int, seconds: float) -> None:
        nonlocal next_log
        if seconds < next_log or not images:
            return
        next_log = seconds + _LOG_SECONDS
        left = max(total_bytes / size - 1, 0) * seconds
        logging.info("Image features: %d images, %.1f/s, about %.0f s left", images, images / seconds, left)

    yield log
