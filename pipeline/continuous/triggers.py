"""Whether a run is due, and why: pure functions of the schedule, the spans and the time."""

import dataclasses
import datetime
import itertools
from collections.abc import Sequence
from typing import Final

from pipeline.continuous.config import SKIP, TriggerConfig
from pipeline.continuous.spans import ACCEPTED, NEW, REFUSED, Span
from pipeline.continuous.state import State
from pipeline.continuous.times import Times

_COUNTED: Final = 100  # times that passed are counted up to here
_ON_TIME_S: Final = 120.0


@dataclasses.dataclass(frozen=True)
class Answer:
    """What one trigger says.

    Attributes:
      due: whether a run is.
      sentence: why, or why not.
      at: when it will say so by itself, as far as is known.
      unjudged: digests of spans that are to be judged before it can tell.
    """

    due: bool
    sentence: str
    at: datetime.datetime | None = None
    unjudged: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Decision:
    """What all of them say together.

    Attributes:
      why: a run is due; empty if none is.
      sentences: of all that were asked.
      at: when to look again at the latest, as far as is known.
      unjudged: digests of spans that are to be judged now. A run that is due does that itself.
    """

    why: str
    sentences: tuple[str, ...]
    at: datetime.datetime | None = None
    unjudged: tuple[str, ...] = ()


def decide(state: State, spans: Sequence[Span], now: datetime.datetime) -> Decision:
    """Asks whether a run is due.

    A pause and the wait after a failure go before everything; a run that is owed goes before the triggers.
    """
    asked = state.asked.triggers
    if state.paused:
        reason = f": {state.reason}" if state.reason else ""
        return Decision("", (f"Paused since {local(state.paused)}{reason}.",))
    if state.not_before and now < state.not_before:
        failed = "the last run" if state.failures == 1 else f"the last {state.failures} runs"
        return Decision("", (f"Not before {local(state.not_before)}: {failed} failed.",), state.not_before)
    answers = []
    if state.again:
        answers.append(Answer(True, state.again))
    if asked.cron:
        answers.append(cron_due(asked, state, now))
    if asked.on_new_span:
        answers.append(new_span(asked, state, spans))
    if asked.on_drift:
        answers.append(drift(state, spans, now))
    why = next((answer.sentence for answer in answers if answer.due), "")
    at = min((answer.at for answer in answers if answer.at), default=None)
    unjudged = () if why else tuple(digest for answer in answers for digest in answer.unjudged)
    return Decision(why, tuple(answer.sentence for answer in answers), at, unjudged)


def cron_due(asked: TriggerConfig, state: State, now: datetime.datetime) -> Answer:
    """Whether a time of `cron` has come since the last run began; several that passed are one."""
    times = Times(asked.cron, asked.timezone)
    since = min(state.cron_from, now)  # the clock may have been set back
    passed = itertools.takewhile(lambda time: time <= now, times.after(since))
    count = sum(1 for _ in itertools.islice(passed, _COUNTED + 1))
    following = next(times.after(now), None)
    then = f"the next time of '{asked.cron}' is {local(following) if following else 'never'}"
    if not count:
        return Answer(False, f"Not due yet: {then}.", following)
    # Whoever looks as often as was asked for finds a time before it is so old.
    recent = now - datetime.timedelta(seconds=max(_ON_TIME_S, 2 * asked.poll_s))
    on_time = next(times.after(max(since, recent)), following) != following
    missed = count - on_time
    passed_by = f"more than {_COUNTED} times" if count > _COUNTED else f"{missed} time{'s' * (missed != 1)}"
    if on_time:
        also = f", and {passed_by} before that passed without a run" if missed else ""
        return Answer(True, f"Due by '{asked.cron}'{also}.")
    if asked.missed == SKIP:
        return Answer(False, f"{passed_by} passed without a run and let go: {then}.", following)
    return Answer(True, f"Due by '{asked.cron}': {passed_by} passed without a run, made up by one.")


def new_span(asked: TriggerConfig, state: State, spans: Sequence[Span]) -> Answer:
    """Whether enough spans are there that were not tried, or a person has said something of one that was."""
    changed = [span for span in spans if _changed(span, state)]
    if changed:
        said = " ".join(f"Span {span.number} is {span.state} since the last run." for span in changed)
        return Answer(True, said)
    arriving = [span for span in spans if span.missing]
    fresh = [span for span in spans if not span.missing and _is_new(span, state)]
    images = sum(span.images or 0 for span in fresh)
    waiting = "".join(
        f" Span {span.number} is not whole yet: {span.missing} of its files are missing or too short."
        for span in arriving
    )
    if not fresh:
        return Answer(False, f"No new span.{waiting}")
    known = all(span.images is not None for span in fresh)
    how_many = f"{images} images" if known else "an unknown number of images"
    what = f"{describe(fresh)} {'is' if len(fresh) == 1 else 'are'} new, {how_many}"
    if len(fresh) < asked.min_new_spans:
        return Answer(False, f"{what}: waits for {asked.min_new_spans} spans.{waiting}")
    if known and images < asked.min_new_images:
        return Answer(False, f"{what}: waits for {asked.min_new_images} images.{waiting}")
    return Answer(True, f"{what}.{waiting}")


def drift(state: State, spans: Sequence[Span], now: datetime.datetime) -> Answer:
    """Whether a span that is to be learned from has drifted, and no run has learned from it."""
    fresh = [span for span in spans if not span.missing and _is_new(span, state)]
    # Those that were refused were not learned from, even if a run came to its end with them.
    accepted = [span for span in spans if span.state == ACCEPTED and state.tried.get(span.digest) == REFUSED]
    drifted = [
        span
        for span in sorted((*fresh, *accepted), key=lambda span: span.number)
        if span.drifted and span.state == ACCEPTED
    ]
    if drifted:
        warnings = " ".join(warning for span in drifted for warning in span.warnings)
        return Answer(True, f"{describe(drifted)} drifted: {warnings}")
    unjudged = [span for span in fresh if span.state == NEW and span.digest not in state.looked_at]
    if unjudged:
        what = f"To be judged for drift first: {describe(unjudged)}"
        if state.judge_not_before and now < state.judge_not_before:
            then = f"not before {local(state.judge_not_before)}: the last time failed"
            return Answer(False, f"{what}, {then}.", state.judge_not_before)
        return Answer(False, f"{what}.", unjudged=tuple(span.digest for span in unjudged))
    return Answer(False, "No drift that was not learned from.")


def describe(spans: Sequence[Span]) -> str:
    """`Span 12`, or `Spans 12, 13`; where there are many, the first and the last."""
    numbers = [str(span.number) for span in spans]
    if len(numbers) > 8:
        return f"{len(numbers)} spans from {numbers[0]} to {numbers[-1]}"
    return f"Span{'s' * (len(numbers) > 1)} {', '.join(numbers)}"


def _is_new(span: Span, state: State) -> bool:
    return span.digest not in state.tried and span.state != REFUSED


def _changed(span: Span, state: State) -> bool:
    """The component judges a span once, so this is a person's word: it is learned from now, or no more."""
    then = state.tried.get(span.digest)
    if then == NEW:  # given up on before it was judged
        return span.state != span.judged
    return {span.state, then} == {ACCEPTED, REFUSED}


def local(moment: datetime.datetime) -> str:
    """A time for people: the machine's, to the minute."""
    return f"{moment.astimezone():%a %Y-%m-%d %H:%M %Z}"
