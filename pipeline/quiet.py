"""Keeps the libraries' log lines out of the terminal: they go to a file instead, and none is lost."""

import contextlib
import logging
import os
import pathlib
import sys
from collections.abc import Iterator

from absl import logging as absl_logging


@contextlib.contextmanager
def noise_to(path: str | None) -> Iterator[None]:
    """Sends log lines, warnings and what C++ code writes to standard error to the file `path`.

    What Python code writes to `sys.stderr` on purpose (progress, results) still reaches the terminal.
    With None everything is left as it is.
    """
    if path is None:
        absl_logging.set_verbosity(absl_logging.INFO)
        yield
        return
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    terminal, python_stderr = os.dup(2), sys.stderr
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    absl_stream = absl_logging.get_absl_handler().python_handler.stream
    with open(path, "a", encoding="utf-8") as log, os.fdopen(terminal, "w", buffering=1) as own:
        sys.stderr.flush()
        os.dup2(log.fileno(), 2)  # C++ code and child processes know only the number
        if python_stderr is sys.__stderr__:
            sys.stderr = own
        absl_logging.get_absl_handler().python_handler.stream = log
        absl_logging.set_verbosity(absl_logging.INFO)
        root.handlers[:] = [logging.StreamHandler(log)]
        root.setLevel(logging.INFO)
        logging.captureWarnings(True)
        try:
            yield
        finally:
            logging.captureWarnings(False)
            root.handlers[:] = handlers
            root.setLevel(level)
            absl_logging.get_absl_handler().python_handler.stream = absl_stream
            sys.stderr = python_stderr
            os.dup2(terminal, 2)
