"""What follows from a run's beginning and its end for the schedule: pure functions from state to state."""

import dataclasses
import datetime
import random
from collections.abc import Sequence

from pipeline import runs
from pipeline.continuous.config import INTERRUPTED, RetryConfig
from pipeline.continuous.endings import REACHED_ITS_END
from pipeline.continuous.spans import Span
from pipeline.continuous.state import KEPT_ENDINGS, Asked, Ending, Running, State
from pipeline.continuous.triggers import local


def asked_again(state: State, asked: Asked, now: datetime.datetime) -> State:
    """What a scheduler makes of the schedule that an earlier one left."""
    before, after = state.asked.triggers, asked.triggers
    if (before.cron, before.timezone) != (after.cron, after.timezone):
        state = state.replace(cron_from=now)  # times that nobody had asked for were not missed
    return state.replace(asked=asked)


def looked_at(state: State, digests: Sequence[str]) -> State:
    """Spans are judged before a run: once, whatever comes of it, since a run judges what is not judged."""
    return state.replace(looked_at=(*state.looked_at, *digests))


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
        there = {span.digest: span.state for span in spans}
        began_with = state.running.spans if state.running else ()
        # Only of spans that are there, so that the file does not grow for years.
        tried = {digest: then for digest, then in tried.items() if digest in there}
        tried |= {digest: there[digest] for digest in began_with if digest in there}
        state = state.replace(looked_at=tuple(digest for digest in state.looked_at if digest in there))
    state = state.replace(running=None, endings=(*state.endings, ending)[-KEPT_ENDINGS:])
    if ending.state in REACHED_ITS_END:
        return state.replace(tried=tried, failures=0, not_before=None, again="")
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


def told(state: State) -> State:
    """Those who are to be told of the last ending were."""
    return state.replace(endings=(*state.endings[:-1], dataclasses.replace(state.endings[-1], told=True)))


def resumed(state: State, now: datetime.datetime) -> State:
    """A pause ends; a person who ends it has also seen to what failed before."""
    return state.replace(paused=None, reason="", cron_from=max(state.cron_from, now), not_before=None)


def what_next(state: State) -> str:
    """What the scheduler does after the last ending, in a sentence; empty if nothing in particular."""
    if state.endings[-1].state != runs.FAILED:
        return ""
    if state.again:
        return f"It is made again at {local(state.not_before)}." if state.not_before else "It is made again."
    return (
        f"{state.failures} runs in a row failed: no more retries. The next one is for a time or a new span"
        + (f", not before {local(state.not_before)}." if state.not_before else ".")
    )
