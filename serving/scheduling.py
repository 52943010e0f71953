"""What the batchers of a server share: the limits, the threads that run models, and what is told of it."""

import asyncio
import concurrent.futures
import dataclasses
from collections.abc import Callable

import numpy as np

Arrays = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class BatchingOptions:
    """Limits of batching.

    Attributes:
      max_batch: most rows that run together.
      sizes: rows that a batch may have, rising, the last is max_batch; a batch is filled up to the next of
        them with copies of its last row, which nobody gets to see. Empty: any. For models that compile for
        each size.
      timeout_s: longest wait for more rows. A request that is alone does not wait: see `Batcher`.
      max_queued: most rows admitted and not yet answered; what comes on top is refused at once.
      threads: batches that run at the same time.
    """

    max_batch: int = 16
    timeout_s: float = 0.005
    max_queued: int = 128
    threads: int = 2
    sizes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("max_batch", "max_queued", "threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more; got {getattr(self, name)}")
        if self.timeout_s < 0:
            raise ValueError(f"timeout_s must be 0 or more; got {self.timeout_s}")
        if self.sizes and (list(self.sizes) != sorted(set(self.sizes)) or self.sizes[-1] != self.max_batch):
            raise ValueError(
                f"sizes must rise and end with max_batch; got {self.sizes} and max_batch {self.max_batch}"
            )

    def size_for(self, rows: int) -> int:
        """Returns how many rows a batch of `rows` is filled up to."""
        return next((size for size in self.sizes if size >= rows), rows)


@dataclasses.dataclass(frozen=True)
class BatchRun:
    """A batch that has run: of which model, its rows, and with how many it ran; seconds that it took, and
    that each of its requests had waited.
    """

    model: str
    rows: int
    size: int
    seconds: float
    waits: tuple[float, ...]


@dataclasses.dataclass
class Timing:
    """Seconds that a request waited for its first batch, and that its batches ran."""

    queue_s: float = 0.0
    run_s: float = 0.0


class Scheduler:
    """What all batchers of a server share: the threads that run models and the bound on waiting work."""

    def __init__(self, options: BatchingOptions, observe: Callable[[BatchRun], None] = lambda run: None):
        """`observe` is told of each batch that has run."""
        self.options = options
        self.observe = observe
        self.executor = concurrent.futures.ThreadPoolExecutor(options.threads, "model")
        self.slots = asyncio.Semaphore(options.threads)  # first come, first served: fair between batchers
        self.queued = 0

    def close(self) -> None:
        """Lets running batches end; call when no request is left."""
        self.executor.shutdown(wait=True)
