"""The local scheduler: what `captioner schedule --local` does, and what commands do to its schedule.

A root has at most one schedule, in `ROOT/schedule.json`, and at most one scheduler that follows it.
"""

import contextlib
import datetime
import functools
import os
import pathlib
import random
import signal
import threading
from collections.abc import Iterator
from typing import Any

from pipeline import locks
from pipeline.continuous import child, notify, systemd, transitions, triggers
from pipeline.continuous import spans as spans_
from pipeline.continuous.options import Options as Options
from pipeline.continuous.options import check
from pipeline.continuous.scheduler import Scheduler, World
from pipeline.continuous.state import Asked, Schedule, State
from pipeline.continuous.systemd import unit as systemd_unit
from pipeline.paths import Paths

__all__ = ["Options", "delete", "describe", "list_lines", "pause", "resume", "run", "systemd_unit"]


def run(options: Options) -> int:
    """Follows the schedule until SIGTERM, Ctrl-C or `delete`; makes it if there is none in the root.

    A run that is under way when the scheduler is stopped is stopped with it, and made again by the next one.

    Returns:
      The exit status: 0; 1 if it was to look once, and the run or the judgement of new spans failed.

    Raises:
      UserError: there is no trigger, an option is wrong, or another scheduler follows the root's schedule.
    """
    check(options)
    schedule = Schedule(options.root)
    schedule.root.mkdir(parents=True, exist_ok=True)
    taken = (
        f"another scheduler (process {{pid}}) follows the schedule in {schedule.root}; end it first, or take "
        "another --root"
    )
    with locks.alone(schedule.scheduler_lock, taken), _stopped_by_signals() as stop:
        now = _now()
        state = schedule.make(
            State(asked(options), cron_from=now),
            lambda state: transitions.asked_again(state, asked(options), now),
        )
        _say(f"Schedule: {schedule.path}" + (". It is paused." if state.paused else ""))
        scheduler = Scheduler(options, _world(options, stop))
        if not options.once:
            scheduler.follow()
            return 0
        scheduler.once()
        return int(scheduler.failed)


def asked(options: Options) -> Asked:
    """Returns what is kept of the options: no secrets."""
    return Asked(
        options.config,
        os.path.abspath(options.data),
        options.assignments,
        options.triggers,
        options.retry,
        tuple(notify.describe(options.notify)),
    )


def describe(root: str) -> dict[str, Any]:
    """Returns the schedule in a root as plain JSON.

    Returns:
      `root`, `path`; `running`: whether a scheduler follows it; `due`: whether a run is; `sentences`: what
      the triggers say; `state`: `State.to_dict`.

    Raises:
      UserError: there is none, or the file is broken.
    """
    schedule = Schedule(root)
    state = schedule.read()
    try:
        decision = triggers.decide(state, spans_.look(state.asked.data, Paths(root).spans), _now())
    except OSError as error:
        decision = triggers.Decision("", (f"The data folder cannot be read: {error}.",))
    return {
        "root": str(schedule.root),
        "path": str(schedule.path),
        "running": locks.held(schedule.scheduler_lock),
        "due": bool(decision.why),
        "sentences": list(decision.sentences),
        "state": state.to_dict(),
    }


def list_lines(root: str) -> list[str]:
    """Returns the same in lines to print. Raises UserError as `describe` does."""
    known = describe(root)
    state = State.from_dict(known["state"])
    lines = [
        f"{known['root']}: config {state.asked.config}, data {state.asked.data}",
        "A scheduler follows it." if known["running"] else "No scheduler follows it: nothing will run.",
        *known["sentences"],
    ]
    if state.running:
        what = f"A {state.running.what} was begun"
        lines.append(f"{what} {triggers.local(state.running.started)}: {state.running.why}")
    lines += [f"Tells {whom}." for whom in state.asked.notify]
    for ending in state.endings[-5:]:
        first = ending.sentences[0].splitlines()[0] if ending.sentences else ""
        lines.append(f"{triggers.local(ending.started)} {ending.state} {ending.run} {first}".rstrip())
    return lines


def pause(root: str, reason: str = "") -> str:
    """Starts no more runs until `resume`; a run under way goes on.

    Returns:
      What was done, in a sentence.

    Raises:
      UserError: there is no schedule.
    """
    now = _now()
    state = Schedule(root).change(
        lambda state: state if state.paused else state.replace(paused=now, reason=reason)
    )
    under_way = f" The {state.running.what} that is under way goes on." if state.running else ""
    return f"Paused since {triggers.local(state.paused or now)}.{under_way}"


def resume(root: str) -> str:
    """Ends a pause, and the wait after a failure.

    Times of cron that passed in the pause are let go; spans that arrived in it are not.

    Returns:
      What was done, in a sentence.

    Raises:
      UserError: there is no schedule.
    """
    schedule = Schedule(root)
    schedule.change(functools.partial(transitions.resumed, now=_now()))
    alone = "" if locks.held(schedule.scheduler_lock) else " No scheduler follows it: nothing will run."
    return f"The schedule in {schedule.root} goes on.{alone}"


def delete(root: str) -> str:
    """Removes the schedule. A scheduler that follows it ends by itself, after the run that it has under way.

    What starts that scheduler after a reboot makes the schedule again: the answer says how to end that.

    Returns:
      What was done, in a sentence.

    Raises:
      UserError: there is no schedule.
    """
    schedule = Schedule(root)
    schedule.delete()
    follows = " Its scheduler ends by itself." if locks.held(schedule.scheduler_lock) else ""
    disable = f"systemctl --user disable {systemd.name(root)}"
    return (
        f"The schedule in {schedule.root} is deleted; runs and models stay.{follows}\n"
        f"If systemd starts its scheduler, it comes back with the next reboot, unless you also: {disable}"
    )


def _world(options: Options, stop: threading.Event) -> World:
    def follow(command: list[str], log: pathlib.Path) -> int:
        return child.follow(command, log, stop, options.stop_s)

    return World(
        now=_now,
        run=functools.partial(follow, child.command(options)),
        judge=functools.partial(follow, child.command(options, "judge")),
        tell=functools.partial(notify.tell, options.notify),
        say=_say,
        random=random.Random(),
        stop=stop,
    )


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[threading.Event]:
    """An event that SIGTERM and Ctrl-C set."""
    stop = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, lambda *_: stop.set())
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _say(text: str) -> None:
    print(f"{datetime.datetime.now():%Y-%m-%d %H:%M:%S} {text}", flush=True)
