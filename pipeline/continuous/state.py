"""The schedule of a root, `ROOT/schedule.json`: what was asked for, and what has happened since.

The scheduler and the commands that pause, resume and delete change it one at a time; each change is on disk,
whole, before anything follows from it, so that a scheduler that is killed goes on where it was.
"""

import dataclasses
import datetime
import json
import pathlib
from collections.abc import Callable
from typing import Any, Final, Self

from pipeline import locks, pages
from pipeline.continuous.config import RetryConfig, TriggerConfig
from pipeline.errors import UserError

FORMAT: Final = 1
KEPT_ENDINGS: Final = 20

RUN: Final = "run"
JUDGEMENT: Final = "judgement"

Time = datetime.datetime


class NoScheduleError(UserError):
    """The root has no schedule."""


@dataclasses.dataclass(frozen=True)
class Asked:
    """What is scheduled, as far as it is no secret.

    Attributes:
      config, data, assignments: see `Options`.
      triggers, retry: see their classes.
      notify: whom to tell, in words.
    """

    config: str
    data: str
    assignments: tuple[str, ...] = ()
    triggers: TriggerConfig = dataclasses.field(default_factory=TriggerConfig)
    retry: RetryConfig = dataclasses.field(default_factory=RetryConfig)
    notify: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Running:
    """A run that was begun, or a judgement of new spans before one.

    Attributes:
      why: it was due.
      started: when.
      log: file of what it prints.
      earlier: the runs that had a report before it.
      spans: digests of the spans that were there; of a judgement, of those to be judged.
      states: of the spans then, by digest: what the run goes by. What is missing was new.
      what: `run` or `judgement`.
    """

    why: str
    started: Time
    log: str
    earlier: tuple[str, ...] = ()
    spans: tuple[str, ...] = ()
    states: dict[str, str] = dataclasses.field(default_factory=dict)
    what: str = RUN


@dataclasses.dataclass(frozen=True)
class Ending:
    """How a run ended, or a judgement of new spans that somebody should know of.

    Attributes:
      state: `pushed`, `refused`, `unchanged`, `failed` or `interrupted`; of a judgement, `refused` (spans
        were) or `failed`.
      why: it was due.
      started, ended: when.
      sentences: what it says of itself: the verdict, or what went wrong.
      run: its id; empty if it did not come so far.
      report: its page; empty if there is none.
      log: file of what it printed.
      version: folder of the model that it is; empty if none was pushed.
      spans: those judged in it and not before: `span`, `state`, `images`, `reasons`, `warnings`.
      what: ended: `run` or `judgement`.
      failures: failed runs in a row, with this one.
      next: what happens now, in a sentence; empty if nothing in particular.
      told: whether those who are to be told were, or were given up on.
      untold: the ways to tell that did not work and are tried again.
      attempts: to tell that did not reach everyone.
      tell_at: no further attempt is made earlier.
    """

    state: str
    why: str
    started: Time
    ended: Time
    sentences: tuple[str, ...] = ()
    run: str = ""
    report: str = ""
    log: str = ""
    version: str = ""
    spans: tuple[dict[str, Any], ...] = ()
    what: str = RUN
    failures: int = 0
    next: str = ""
    told: bool = False
    untold: tuple[str, ...] = ()
    attempts: int = 0
    tell_at: Time | None = None


@dataclasses.dataclass(frozen=True)
class State:
    """A schedule.

    Attributes:
      asked: what a person asked for.
      cron_from: times of `cron` up to then are dealt with.
      tried: spans that a run has come to its end with, or was given up on: the state that it went by, by
        digest. Also those that were refused before a run.
      looked_at: digests of spans that are judged before a run no more: that was done, or given up on.
      paused: since when; None if it is not.
      reason: why it is paused, if a person said so.
      failures: failed runs in a row.
      not_before: no run starts earlier: the last one failed.
      judge_failures: failed judgements in a row.
      judge_not_before: spans are not judged earlier: that failed.
      again: why a run is due whatever the triggers say; empty if none is.
      running: the run, or the judgement, that was begun and has not ended, as far as is known.
      endings: the last ones, the newest last.
    """

    asked: Asked
    cron_from: Time
    tried: dict[str, str] = dataclasses.field(default_factory=dict)
    looked_at: tuple[str, ...] = ()
    paused: Time | None = None
    reason: str = ""
    failures: int = 0
    not_before: Time | None = None
    judge_failures: int = 0
    judge_not_before: Time | None = None
    again: str = ""
    running: Running | None = None
    endings: tuple[Ending, ...] = ()

    def replace(self, **changes: Any) -> Self:
        """Returns a copy with `changes`."""
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON: times in ISO 8601, UTC."""
        return _plain(dataclasses.asdict(self))

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """Inverse of `to_dict`. Raises ValueError, KeyError or TypeError for anything else."""
        asked, running = fields["asked"], fields["running"]
        known = {
            "looked_at": tuple(fields["looked_at"]),
            "asked": Asked(
                asked["config"],
                asked["data"],
                tuple(asked["assignments"]),
                TriggerConfig().replace(**asked["triggers"]),
                RetryConfig().replace(**asked["retry"]),
                tuple(asked["notify"]),
            ),
            "running": Running(**_tuples(running) | _times(running, "started")) if running else None,
            "endings": tuple(
                Ending(**_tuples(ending) | _times(ending, "started", "ended", "tell_at"))
                for ending in fields["endings"]
            ),
        }
        times = _times(fields, "cron_from", "paused", "not_before", "judge_not_before")
        return cls(**fields | known | times)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, Time) else value


def _tuples(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}


def _times(fields: dict[str, Any], *names: str) -> dict[str, Time | None]:
    # An earlier version of this software has written fewer of them.
    return {name: Time.fromisoformat(fields[name]) if fields.get(name) else None for name in names}


class Schedule:
    """The file of a root's schedule."""

    def __init__(self, root: str) -> None:
        self.root = pathlib.Path(root).resolve()
        self.path = self.root / "schedule.json"
        self._lock = self.root / ".schedule.lock"
        self.scheduler_lock = self.root / ".scheduler.lock"

    def read(self) -> State:
        """Returns the schedule.

        Raises:
          NoScheduleError: there is none.
          UserError: the file is broken.
        """
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            written = content.pop("format")
            if written != FORMAT:
                raise ValueError(f"expected format {FORMAT}, got {written!r}")
            return State.from_dict(content)
        except FileNotFoundError:
            raise NoScheduleError(
                f"no schedule in {self.root}; make one with 'captioner schedule --local', or give its --root"
            ) from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{self.path} is broken ({type(error).__name__}: {error}); move it away and schedule again: "
                "the first run then finds out what is done already"
            ) from error

    def make(self, state: State, told_again: Callable[[State], State]) -> State:
        """Writes a new schedule; where there is one, it becomes what `told_again` makes of it. Returns it."""
        self.root.mkdir(parents=True, exist_ok=True)
        with locks.shortly(self._lock):
            if self.path.exists():
                state = told_again(self.read())
            self._write(state)
        return state

    def change(self, change: Callable[[State], State]) -> State:
        """Applies `change` to the schedule on disk and returns what it is now. Raises as `read` does."""
        self.read()  # before a lock's file is made in a folder that was mistyped
        with locks.shortly(self._lock):
            state = change(self.read())
            self._write(state)
        return state

    def delete(self) -> None:
        """Removes the schedule. Raises NoScheduleError where there is none."""
        if not self.path.exists():
            self.read()
        with locks.shortly(self._lock):
            self.path.unlink(missing_ok=True)

    def _write(self, state: State) -> None:
        pages.write(self.path, json.dumps({"format": FORMAT} | state.to_dict(), indent=2) + "\n")
