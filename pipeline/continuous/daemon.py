"""The local scheduler: what `captioner schedule --local` does, and what commands do to its schedule.

A root has at most one schedule, in `ROOT/schedule.json`, and at most one scheduler that follows it.
"""

import dataclasses
from typing import Any

from pipeline.continuous.config import NotifyConfig, RetryConfig, TriggerConfig


@dataclasses.dataclass(frozen=True)
class Options:
    """A schedule as a person asks for it.

    Attributes:
      config: name of a config, as for `captioner run`.
      data: folder of the spans.
      root: where results go, the schedule with them.
      assignments: `part.option=value` texts that override the config.
      triggers, retry, notify: see their classes.
      stop_s: so long a run may take to end when the scheduler is stopped, in seconds; then it is killed.
      once: look once, run if it is due, and end: for a timer of another program.
    """

    config: str
    data: str
    root: str
    assignments: tuple[str, ...] = ()
    triggers: TriggerConfig = TriggerConfig()
    retry: RetryConfig = RetryConfig()
    notify: NotifyConfig = NotifyConfig()
    stop_s: float = 600.0
    once: bool = False


def run(options: Options) -> int:
    """Follows the schedule until SIGTERM, Ctrl-C or `delete`; makes it if there is none in the root.

    Returns:
      The exit status: 0.

    Raises:
      UserError: there is no trigger, an option is wrong, or another scheduler follows the root's schedule.
    """
    raise NotImplementedError


def describe(root: str) -> dict[str, Any]:
    """Returns the schedule in a root as plain JSON: what is asked for, its state, and what is due and why.

    Raises:
      UserError: there is none.
    """
    raise NotImplementedError


def list_lines(root: str) -> list[str]:
    """Returns the same in lines to print. Raises UserError where there is none."""
    raise NotImplementedError


def pause(root: str, reason: str = "") -> str:
    """Starts no more runs until `resume`; a run under way goes on.

    Returns:
      What was done, in a sentence.

    Raises:
      UserError: there is no schedule.
    """
    raise NotImplementedError


def resume(root: str) -> str:
    """Ends a pause. Times that passed in it are let go; spans that arrived in it are not.

    Returns:
      What was done, in a sentence.

    Raises:
      UserError: there is no schedule.
    """
    raise NotImplementedError


def delete(root: str) -> str:
    """Removes the schedule. A scheduler that follows it ends by itself, after the run that it has under way.

    Returns:
      What was done, in a sentence.

    Raises:
      UserError: there is no schedule.
    """
    raise NotImplementedError


def systemd_unit(options: Options) -> str:
    """Returns a unit file for systemd that keeps the scheduler running, with how to install it.

    Raises:
      UserError: see `run`; or the webhook's URL would stand in the file.
    """
    raise NotImplementedError
