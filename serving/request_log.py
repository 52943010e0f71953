"""The request log: numbers of a sample of the images that came, to compare with the training data.

Opt-in. No image, no caption or word of one, no address, name or id of a caller: `LoggedImage` has all that is
kept. A request never waits for the log and never fails because of it: what cannot be written is counted and
forgotten.
"""

import math
import queue
import random
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from absl import logging

from models import features
from serving import image_header
from serving.calls import Call
from serving.logged_image import LoggedImage
from serving.request_log_files import LogFiles
from serving.scheduling import Arrays

WRITTEN: Final = "written"
QUEUE_FULL: Final = "queue_full"
NOT_WRITTEN: Final = "not_written"
REFUSED: Final = "refused"
# Any other status is the model's own text, which need not be free of what it was given.
_STATUSES: Final = (features.STATUS_OK, features.STATUS_NOT_AN_IMAGE, features.STATUS_TOO_LARGE)
_MOST_WAITING: Final = 4096
_MOST_TOGETHER: Final = 256
_RETRY_S: Final = 10.0
_CLOSE_S: Final = 2.0


class RequestLog:
    """Draws the sample and hands it to a thread of its own that writes it.

    `add` is called in the server's event loop, everything else may be called anywhere.
    """

    def __init__(
        self,
        files: LogFiles,
        sample: float,
        draw: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.time,
    ):
        """Begins to write.

        Args:
          files: where to.
          sample: share of the images that are logged, each by itself.
          draw: gives a number from 0 to below 1 for each image.
          clock: gives the seconds since 1970.
        """
        self._files = files
        self._sample = sample
        self._draw = draw
        self._clock = clock
        self._waiting: queue.Queue[LoggedImage | None] = queue.Queue(_MOST_WAITING)
        self._counts = {WRITTEN: 0, QUEUE_FULL: 0, NOT_WRITTEN: 0}  # each changed by one thread only
        self._retry_at: float | None = None  # of the monotonic clock, after a failure
        self._thread = threading.Thread(target=self._run, name="request-log", daemon=True)
        self._thread.start()

    @property
    def counts(self) -> dict[str, int]:
        """Images of the sample by what became of them: WRITTEN, QUEUE_FULL or NOT_WRITTEN."""
        return dict(self._counts)

    def add(self, call: Call, inputs: Arrays, outputs: Arrays) -> None:
        """Logs a sample of the images of a request that was answered; raises nothing.

        Args:
          call: its model, version and signature are read.
          inputs: of the request; one without images is not logged.
          outputs: all of the model's.
        """
        try:
            images = inputs.get(features.IMAGE_BYTES_INPUT)
            if images is None:
                return
            for row in range(len(images)):
                if self._draw() < self._sample:
                    self._enqueue(self._logged(call, images[row], outputs, row))
        except Exception:  # nobody's captions are lost for a line of a log
            logging.exception("A request could not be logged")

    def _logged(self, call: Call, image: bytes, outputs: Arrays, row: int) -> LoggedImage:
        header = image_header.read(image)
        statuses, captions, log_probs = map(
            outputs.get, (features.STATUS_OUTPUT, features.CAPTION_OUTPUT, features.LOG_PROB_OUTPUT)
        )
        status = features.STATUS_OK if statuses is None else statuses[row].decode("utf-8", "replace")
        if status != features.STATUS_OK:
            captions = log_probs = None
        return LoggedImage(
            round(self._clock(), 3),
            call.model,
            call.version,
            call.signature,
            header.format,
            header.width,
            header.height,
            len(image),
            status if status in _STATUSES else REFUSED,
            None if captions is None else len(_first(captions, row).split()),
            None if log_probs is None else _finite(_first(log_probs, row)),
        )

    def _enqueue(self, row: LoggedImage) -> None:
        try:
            self._waiting.put_nowait(row)
        except queue.Full:
            self._counts[QUEUE_FULL] += 1

    def close(self) -> None:
        """Writes what waits and ends, in bounded time: a disk may hang."""
        try:
            self._waiting.put(None, timeout=_CLOSE_S)
        except queue.Full:
            return
        self._thread.join(_CLOSE_S)

    def _run(self) -> None:
        ended = False
        while not ended:
            rows = [self._waiting.get()]
            while rows[-1] is not None and len(rows) < _MOST_TOGETHER and not self._waiting.empty():
                rows.append(self._waiting.get())
            ended = rows[-1] is None
            if whole := [row for row in rows if row is not None]:
                self._write(whole)
        self._files.close()

    def _write(self, rows: list[LoggedImage]) -> None:
        if self._retry_at is not None and time.monotonic() < self._retry_at:
            self._counts[NOT_WRITTEN] += len(rows)
            return
        try:
            self._files.append("".join(row.to_json() + "\n" for row in rows).encode())
        except Exception as error:
            self._counts[NOT_WRITTEN] += len(rows)
            if self._retry_at is None:
                logging.error(
                    "The request log cannot be written: %s. Requests are answered all the same; it is tried "
                    "again every %g s",
                    error,
                    _RETRY_S,
                )
            self._retry_at = time.monotonic() + _RETRY_S
            return
        self._counts[WRITTEN] += len(rows)
        if self._retry_at is not None:
            logging.info("The request log is written again")
            self._retry_at = None


def _first(values: np.ndarray, row: int) -> Any:
    """Of the values of a row, `[B]` or `[B, K]`."""
    return values[row] if values.ndim == 1 else values[row].flat[0]


def _finite(value: float) -> float | None:
    return round(float(value), 4) if math.isfinite(value) else None
