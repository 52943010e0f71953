"""What follows for the schedule from what begins and ends: pure functions from state to state."""

import dataclasses
import datetime
import random
from collections.abc import Sequence
from typing import Final

from pipeline import runs
from pipeline.continuous.config import INTERRUPTED, RetryConfig
from pipeline.continuous.endings import REACHED_ITS_END
from pipeline.continuous.spans import NEW, REFUSED, Span
from pipeline.continuous.state import KEPT_ENDINGS, Asked, Ending, Running, State, Time
from pipeline.continuous.triggers import local

_TOLD_FOR: Final = datetime.timedelta(days=1)  # who was not reached until then is told no more


def asked_again(state: State, asked: Asked, now: datetime.datetime) -> State:
    """What a scheduler makes of the schedule that an earlier one left."""
    before, after = state.asked.triggers, asked.triggers
    if (before.cron, before.timezone) != (after.cron, after.timezone):
        state = state.replace(cron_from=now)  # times that nobody had asked for were not missed
    return state.replace(asked=asked)


def in_time(state: State, now: datetime.datetime) -> State:
    """Brings near what lies further ahead than it can: the clock was set back."""
    retry = state.asked.retry
    latest = now + datetime.timedelta(seconds=retry.longest_s * (1 + retry.jitter))

    def near(time: Time | None) -> Time | None:
        return min(time, latest) if time else None

    return state.replace(
        cron_from=min(state.cron_from, now),
        not_before=near(state.not_before),
        judge_not_before=near(state.judge_not_before),
        endings=tuple(dataclasses.replace(each, tell_at=near(each.tell_at)) for each in state.endings),
    )


def judging(state: State, running: Running) -> State:
    """Spans begin to be judged before a run. Times of cron are dealt with by runs alone."""
    return state.replace(running=running)


def judged(
    state: State, found: Sequence[Ending], stopped: bool, spans: Sequence[Span] | None, random_: random.Random
) -> State:
    """Spans were judged before a run, or that failed: then it waits as after a failed run, and is done again.

    Args:
      state: with the judgement as `running`.
      found: what somebody should know of it (`endings.judgement`).
      stopped: whether the scheduler, being stopped, ended it.
      spans: as they are now; None if the data folder cannot be read.
      random_: for the jitter of the wait after a failure.
    """
    digests = state.running.spans if state.running else ()
    # Known as refused, they are tried again when a person accepts them.
    refused = {
        span.digest: REFUSED for span in spans or () if span.digest in digests and span.judged == REFUSED
    }
    state = state.replace(running=None, tried=state.tried | refused)
    following = ""
    if failure := next((ending for ending in found if ending.state == runs.FAILED), None):
        failures, most = state.judge_failures + 1, state.asked.retry.most
        if failures <= most:
            wait = datetime.timedelta(seconds=wait_s(state.asked.retry, failures, random_))
            not_before = failure.ended + wait
            following = f"It is made again at {local(not_before)}: retry {failures} of {most}."
            state = state.replace(judge_failures=failures, judge_not_before=not_before)
        else:
            following = f"{failures} judgements in a row failed: no more retries. The next run judges."
            state = _looked_at(state, digests)
    elif not stopped:
        state = _looked_at(state, digests)
    for ending in found:
        state = _with_ending(state, ending, following if ending is failure else "")
    return state


def _looked_at(state: State, digests: Sequence[str]) -> State:
    return state.replace(looked_at=(*state.looked_at, *digests), judge_failures=0, judge_not_before=None)


def _with_ending(state: State, ending: Ending, following: str) -> State:
    ending = dataclasses.replace(ending, failures=state.failures, next=following)
    return state.replace(endings=(*state.endings, ending)[-KEPT_ENDINGS:])


def begun(state: State, running: Running) -> State:
    """A run begins: whatever was due until now is dealt with by it."""
    return state.replace(running=running, cron_from=running.started)


def ended(state: State, ending: Ending, spans: Sequence[Span] | None, random_: random.Random) -> State:
    """A run ended.

    Args:
      state: with the run as `running`.
      ending: how it ended.
      spans: as they are now; None if the data folder cannot be read.
      random_: for the jitter of the wait after a failure.
    """
    tried = state.tried
    if spans is not None:
        there = {span.digest: span for span in spans}
        # Only of spans that are there, so that the file does not grow for years.
        tried = {digest: then for digest, then in tried.items() if digest in there}
        if state.running:
            tried |= {
                digest: _went_by(state.running, there[digest])
                for digest in state.running.spans
                if digest in there
            }
        state = state.replace(looked_at=tuple(digest for digest in state.looked_at if digest in there))
    state = _after(state.replace(running=None), ending, tried, random_)
    return _with_ending(state, ending, _what_next(state, ending))


def _went_by(running: Running, span: Span) -> str:
    """The state of a span that a run went by: a person's word that was given meanwhile came too late."""
    then = running.states.get(span.digest, NEW)
    return span.judged if then == NEW else then


def _after(state: State, ending: Ending, tried: dict[str, str], random_: random.Random) -> State:
    if ending.state in REACHED_ITS_END:
        return state.replace(
            tried=tried, failures=0, not_before=None, again="", judge_failures=0, judge_not_before=None
        )
    if ending.state == INTERRUPTED:
        return state.replace(again=f"The run of {local(ending.started)} was interrupted and is made again.")
    failures = state.failures + 1
    wait = datetime.timedelta(seconds=wait_s(state.asked.retry, failures, random_))
    state = state.replace(failures=failures, not_before=ending.ended + wait)
    if failures <= state.asked.retry.most:
        turn = f"retry {failures} of {state.asked.retry.most}"
        return state.replace(again=f"The run of {local(ending.started)} failed and is made again: {turn}.")
    # The same spans would only fail again: what comes next is for a time, or for other spans.
    return state.replace(again="", tried=tried)


def wait_s(retry: RetryConfig, failures: int, random_: random.Random) -> float:
    """Returns the wait after so many failures in a row, in seconds: twice the last one, up to a longest."""
    doublings = min(failures - 1, 64)  # beyond, a float is no longer a number
    wait = min(retry.first_s * 2.0**doublings, retry.longest_s)
    return wait * (1 + retry.jitter * random_.random())


def told(
    ending: Ending, untold: Sequence[str], now: datetime.datetime, retry: RetryConfig, random_: random.Random
) -> Ending:
    """Those who are to be told of an ending were, but for `untold`, who are told later, for at most a day."""
    attempts = ending.attempts + bool(untold)
    # Either way: a clock that was set back would keep it for long.
    over = not untold or abs(now - ending.ended) >= _TOLD_FOR
    wait = datetime.timedelta(seconds=0 if over else wait_s(retry, attempts, random_))
    return dataclasses.replace(
        ending, told=over, untold=tuple(untold), attempts=attempts, tell_at=None if over else now + wait
    )


def with_told(state: State, before: Ending, after: Ending) -> State:
    """Puts one ending in the place of another."""
    return state.replace(endings=tuple(after if each == before else each for each in state.endings))


def resumed(state: State, now: datetime.datetime) -> State:
    """A pause ends; a person who ends it has also seen to what failed before."""
    return state.replace(
        paused=None, reason="", cron_from=max(state.cron_from, now), not_before=None, judge_not_before=None
    )


def _what_next(state: State, ending: Ending) -> str:
    """What the scheduler does after a run, in a sentence; empty if nothing in particular."""
    if ending.state != runs.FAILED:
        return ""
    if state.again:
        return f"It is made again at {local(state.not_before)}." if state.not_before else "It is made again."
    return (
        f"{state.failures} runs in a row failed: no more retries. The next one is for a time or a new span"
        + (f", not before {local(state.not_before)}." if state.not_before else ".")
    )
