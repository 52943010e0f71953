"""Looks at the clock and the data folder, makes the runs that are due, one at a time, and tells of each."""

import contextlib
import dataclasses
import datetime
import pathlib
import random
import threading
from collections.abc import Callable
from typing import Any

from pipeline import locks
from pipeline.continuous import endings, message, transitions, triggers
from pipeline.continuous import spans as spans_
from pipeline.continuous.options import Options
from pipeline.continuous.spans import Span
from pipeline.continuous.state import NoScheduleError, Running, Schedule, State
from pipeline.paths import Paths


@dataclasses.dataclass(frozen=True)
class World:
    """What a scheduler does things with; tests have their own.

    Attributes:
      now: the time, with a zone.
      run: makes a run to its end, with what it prints in a file; returns its exit status.
      judge: judges the new spans, likewise.
      tell: passes a message on; returns what went wrong.
      say: tells whoever watches.
      random: for the jitter.
      stop: set when the scheduler is to end.
    """

    now: Callable[[], datetime.datetime]
    run: Callable[[pathlib.Path], int]
    judge: Callable[[pathlib.Path], int]
    tell: Callable[[dict[str, Any]], list[str]]
    say: Callable[[str], None]
    random: random.Random
    stop: threading.Event


class Scheduler:
    """Follows a schedule that is there. Only one at a time may."""

    def __init__(self, options: Options, world: World) -> None:
        self._options = options
        self._schedule = Schedule(options.root)
        self._paths = Paths(options.root)
        self._world = world
        self._said: tuple[str, ...] = ()

    def follow(self) -> None:
        """Looks until it is stopped or the schedule is deleted."""
        stop = self._world.stop
        try:
            while not stop.is_set():
                stop.wait(self.look())
        except NoScheduleError:
            self._world.say("The schedule was deleted.")

    def look(self) -> float:
        """Looks once, and makes a run if one is due.

        Returns:
          How long to wait before the next look, in seconds.

        Raises:
          NoScheduleError: the schedule was deleted.
        """
        longest = self._options.triggers.poll_s
        state = self._schedule.read()
        if state.running:  # of a scheduler that was cut off
            if locks.held(self._paths.lock):
                self._say_once(("The run that was under way when the scheduler was cut off goes on.",))
                return longest
            state = self._end(state, None)
        if state.endings and not state.endings[-1].told:
            state = self._tell(state)
        try:
            spans = self._spans(state)
        except OSError as error:
            self._say_once((f"The data folder cannot be read: {error}.",))
            return longest
        decision = triggers.decide(state, spans, self._world.now())
        if (decision.why or decision.unjudged) and locks.held(self._paths.lock):
            self._say_once((*decision.sentences, "Another run is under way in the root: waits for its end."))
            return longest
        self._say_once(decision.sentences)
        if decision.why:
            self._run(decision.why, spans)
            return 0.0
        if decision.unjudged:
            self._judge(decision.unjudged)
            return 0.0
        if decision.at is None:
            return longest
        return min(longest, max(0.0, (decision.at - self._world.now()).total_seconds()))

    def _run(self, why: str, spans: list[Span]) -> None:
        now, log = self._world.now(), self._log("schedule")
        there = tuple(span.digest for span in spans)
        running = Running(why, now, str(log), endings.reported(self._paths), there)
        state = self._schedule.change(lambda state: transitions.begun(state, running))
        self._world.say(f"A run begins: {why} What it prints is in {log}")
        self._end(state, self._world.run(log))
        self._said = ()

    def _judge(self, digests: tuple[str, ...]) -> None:
        log = self._log("judge")
        status = self._world.judge(log)
        if self._world.stop.is_set():
            return
        self._schedule.change(lambda state: transitions.looked_at(state, digests))
        if status:
            self._world.say(
                f"New spans could not be judged before a run, so the next run does that: see {log}"
            )

    def _log(self, what: str) -> pathlib.Path:
        return pathlib.Path(self._paths.log(f"{what}-{self._world.now().astimezone():%Y%m%d-%H%M%S}"))

    def _end(self, state: State, status: int | None) -> State:
        """The run that `state` has under way has ended: writes that down, and tells."""
        world = self._world
        try:
            spans = self._spans(state)
        except OSError:
            spans = None
        stopped = status is not None and world.stop.is_set()
        ending = endings.read(self._paths, state, status, stopped, spans or (), world.now())

        def change(state: State) -> State:
            return transitions.ended(state, ending, spans, world.random)

        try:
            state = self._schedule.change(change)
        except NoScheduleError:  # deleted while it ran: the next look says so
            return self._tell(change(state))
        return self._tell(state)

    def _tell(self, state: State) -> State:
        content = message.make(state, str(self._schedule.root))
        self._world.say(content["text"])
        for complaint in self._world.tell(content):
            self._world.say(complaint)
        with contextlib.suppress(NoScheduleError):
            return self._schedule.change(transitions.told)
        return state

    def _spans(self, state: State) -> list[Span]:
        return spans_.look(state.asked.data, self._paths.spans)

    def _say_once(self, sentences: tuple[str, ...]) -> None:
        if sentences != self._said:
            self._world.say(" ".join(sentences))
            self._said = sentences
