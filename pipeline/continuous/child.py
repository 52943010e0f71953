"""Processes that the scheduler starts and waits for: what crashes or leaks there does not touch it."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import threading
from typing import Final

from pipeline.continuous.options import Options

_LOOK_S: Final = 0.5


def command(options: Options, what: str = "run") -> list[str]:
    """Returns the command of a run, or of what else is in `pipeline.continuous.work`."""
    return [
        *(sys.executable, "-m", "pipeline.continuous.work", what),
        *("--config", options.config),
        *("--data", os.path.abspath(options.data)),
        *("--root", os.path.abspath(options.root)),
        *(f"--set={assignment}" for assignment in options.assignments),
    ]


def follow(arguments: list[str], log: pathlib.Path, stop: threading.Event, stop_s: float) -> int:
    """Runs a program to its end, what it prints in the file `log`.

    Args:
      arguments: the program and its arguments.
      log: made, with its folder.
      stop: when set, the program gets SIGTERM.
      stop_s: so long it may take to end then, in seconds; after that it is killed, with all it has started.

    Returns:
      Its exit status; negative, the number of the signal that ended it.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C at the terminal is for the scheduler, which passes it on
        )
    while process.poll() is None:
        if stop.wait(_LOOK_S):
            process.terminate()
            try:
                process.wait(stop_s)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    return process.returncode
