"""Looks at the clock and the data folder, makes the runs that are due, one at a time, and tells of each."""

import dataclasses
import datetime
import pathlib
import random
import threading
from collections.abc import Callable, Sequence
from typing import Any

from pipeline import locks, runs
from pipeline.continuous import endings, message, transitions, triggers
from pipeline.continuous import spans as spans_
from pipeline.continuous.options import Options
from pipeline.continuous.spans import Span
from pipeline.continuous.state import JUDGEMENT, Ending, NoScheduleError, Running, Schedule, State
from pipeline.paths import Paths


@dataclasses.dataclass(frozen=True)
class World:
    """What a scheduler does things with; tests have their own.

    Attributes:
      now: the time, with a zone.
      run: makes a run to its end, with what it prints in a file; returns its exit status.
      judge: judges the new spans, likewise.
      tell: passes a message on, in all ways or in those named; returns what went wrong, by the way.
      say: tells whoever watches.
      random: for the jitter.
      stop: set when the scheduler is to end.
    """

    now: Callable[[], datetime.datetime]
    run: Callable[[pathlib.Path], int]
    judge: Callable[[pathlib.Path], int]
    tell: Callable[[dict[str, Any], Sequence[str]], dict[str, str]]
    say: Callable[[str], None]
    random: random.Random
    stop: threading.Event


class Scheduler:
    """Follows a schedule that is there. Only one at a time may.

    Attributes:
      failed: whether a run, or a judgement before one, has failed.
    """

    def __init__(self, options: Options, world: World) -> None:
        self._options = options
        self._schedule = Schedule(options.root)
        self._paths = Paths(options.root)
        self._world = world
        self._said: tuple[str, ...] = ()
        self.failed = False

    def follow(self) -> None:
        """Looks until it is stopped or the schedule is deleted."""
        stop = self._world.stop
        try:
            while not stop.is_set():
                stop.wait(self.look())
        except NoScheduleError:
            self._world.say("The schedule was deleted.")

    def once(self) -> None:
        """Looks once; the schedule may be deleted meanwhile."""
        try:
            self.look()
        except NoScheduleError:
            self._world.say("The schedule was deleted.")

    def look(self) -> float:
        """Looks once, judges new spans if that is asked for, and makes a run if one is due.

        Returns:
          How long to wait before the next look, in seconds.

        Raises:
          NoScheduleError: the schedule was deleted.
        """
        longest = self._options.triggers.poll_s
        state = self._in_time(self._schedule.read())
        if state.running:  # of a scheduler that was cut off
            if locks.held(self._paths.lock):
                what = state.running.what
                self._say_once((f"The {what} that was under way when the scheduler was cut off goes on.",))
                return longest
            state = self._end(state, None)
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
            self._judge([span for span in spans if span.digest in decision.unjudged])
            return 0.0 if self._world.stop.is_set() else self.look()  # a run may be due now
        if decision.at is None:
            return longest
        return min(longest, max(0.0, (decision.at - self._world.now()).total_seconds()))

    def _run(self, why: str, spans: list[Span]) -> None:
        now, log = self._world.now(), self._log("schedule")
        states = {span.digest: span.state for span in spans}
        running = Running(why, now, str(log), endings.reported(self._paths), tuple(states), states)
        state = self._schedule.change(lambda state: transitions.begun(state, running))
        self._world.say(f"A run begins: {why} What it prints is in {log}")
        self._end(state, self._world.run(log))
        self._said = ()

    def _judge(self, spans: list[Span]) -> None:
        now, log = self._world.now(), self._log("judge")
        why = f"To be judged for drift: {triggers.describe(spans)}."
        digests = tuple(span.digest for span in spans)
        running = Running(why, now, str(log), spans=digests, what=JUDGEMENT)
        state = self._schedule.change(lambda state: transitions.judging(state, running))
        self._end(state, self._world.judge(log))

    def _log(self, what: str) -> pathlib.Path:
        return pathlib.Path(self._paths.log(f"{what}-{self._world.now().astimezone():%Y%m%d-%H%M%S}"))

    def _end(self, state: State, status: int | None) -> State:
        """The run, or the judgement, that `state` has under way has ended: writes that down, and tells."""
        world = self._world
        try:
            spans = self._spans(state)
        except OSError:
            spans = None
        judges = state.running is not None and state.running.what == JUDGEMENT
        stopped = status is not None and world.stop.is_set()
        if judges and status and locks.held(self._paths.lock):
            stopped = True  # by a run that a person has begun just before
        found: tuple[Ending, ...]
        if judges:
            found = endings.judgement(state, status, stopped, spans, world.now())

            def change(state: State) -> State:
                return transitions.judged(state, found, stopped, spans, world.random)
        else:
            found = (endings.read(self._paths, state, status, stopped, spans or (), world.now()),)

            def change(state: State) -> State:
                return transitions.ended(state, found[0], spans, world.random)

        self.failed |= any(ending.state == runs.FAILED for ending in found)
        return self._tell(self._change(state, change))

    def _tell(self, state: State) -> State:
        """Tells of what nobody was told of yet, and again where it did not go through."""
        for ending in state.endings:
            if not ending.told and (ending.tell_at is None or ending.tell_at <= self._world.now()):
                state = self._tell_of(state, ending)
        return state

    def _tell_of(self, state: State, ending: Ending) -> State:
        world = self._world
        content = message.make(ending, state.asked, str(self._schedule.root))
        if not ending.attempts:
            world.say(content["text"])
        complaints = world.tell(content, ending.untold)
        for complaint in complaints.values():
            world.say(complaint)
        after = transitions.told(ending, tuple(complaints), world.now(), state.asked.retry, world.random)
        if complaints:
            at = f"is tried again at {triggers.local(after.tell_at)}" if after.tell_at else "is given up"
            world.say(f"To tell of the {ending.what} of {triggers.local(ending.started)} {at}.")
        return self._change(state, lambda state: transitions.with_told(state, ending, after))

    def _in_time(self, state: State) -> State:
        now = self._world.now()
        if transitions.in_time(state, now) == state:
            return state
        return self._schedule.change(lambda state: transitions.in_time(state, now))

    def _change(self, state: State, change: Callable[[State], State]) -> State:
        """Changes the schedule; one that was deleted meanwhile is done with, and the next look says so."""
        try:
            return self._schedule.change(change)
        except NoScheduleError:
            return change(state)

    def _spans(self, state: State) -> list[Span]:
        return spans_.look(state.asked.data, self._paths.spans)

    def _say_once(self, sentences: tuple[str, ...]) -> None:
        if sentences != self._said:
            self._world.say(" ".join(sentences))
            self._said = sentences
