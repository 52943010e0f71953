"""A progress bar for work that happens elsewhere: it asks for the count."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Task as RichTask
from rich.text import Text

_INTERVAL = 0.25  # seconds between looks, at least
_SHARE = 0.05  # of the time, at most, for looking: of many shards on a network it takes seconds


class _RateColumn(ProgressColumn):
    def render(self, task: RichTask) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.0f}/s" if speed else "-/s")


@contextlib.contextmanager
def following(title: str, total: int, count: Callable[[], int]) -> Iterator[None]:
    """Shows done, total, rate and time left while the block runs.

    Args:
      title: what is being done.
      total: the count at the end.
      count: returns how many are done; called from another thread.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(compact=True),
    )
    done = threading.Event()
    with Progress(*columns) as progress:
        task = progress.add_task(title, total=total)

        def watch() -> None:
            pause = _INTERVAL
            while not done.wait(pause):
                begun = time.monotonic()
                progress.update(task, completed=count())
                pause = max(_INTERVAL, (time.monotonic() - begun) / _SHARE)

        watcher = threading.Thread(target=watch, name="progress", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()
            progress.update(task, completed=count())
