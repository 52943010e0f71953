"""When a run is due, and what is said of it."""

import dataclasses
import datetime

import pytest

from pipeline.continuous.config import RetryConfig, TriggerConfig
from pipeline.continuous.spans import Span
from pipeline.continuous.state import Asked, State
from pipeline.continuous.triggers import Decision, decide

MONDAY = datetime.datetime(2026, 1, 5, tzinfo=datetime.UTC)
WEEKLY = "0 3 * * 1"


def after(**time: float) -> datetime.datetime:
    return MONDAY + datetime.timedelta(**time)


def ask(now: datetime.datetime, *spans: Span, since: datetime.datetime = MONDAY, **known) -> Decision:
    """Decides for the triggers that are given, and a state of the rest."""
    names = {field.name for field in dataclasses.fields(TriggerConfig)}
    asked = {name: known.pop(name) for name in list(known) if name in names}
    triggers = TriggerConfig(**{"timezone": "UTC"} | asked)
    return decide(State(Asked("demo", "data", (), triggers, RetryConfig()), since, **known), spans, now)


def test_a_time_of_cron_is_due_when_it_comes_and_not_before():
    early = ask(after(hours=2, minutes=59), cron=WEEKLY)
    assert not early.why
    assert early.at == after(hours=3)
    assert "Not due yet: the next time of '0 3 * * 1' is Mon 2026-01-05" in early.sentences[0]
    assert ask(after(hours=3), cron=WEEKLY).why == "Due by '0 3 * * 1'."
    assert ask(after(hours=3, minutes=1), cron=WEEKLY).why == "Due by '0 3 * * 1'."


def test_a_time_is_dealt_with_by_the_run_that_began_since():
    assert not ask(after(hours=3, minutes=1), since=after(hours=3), cron=WEEKLY).why


def test_times_that_passed_are_made_up_by_one_run():
    decision = ask(after(days=21, hours=12), cron=WEEKLY)
    assert decision.why == "Due by '0 3 * * 1': 4 times passed without a run, made up by one."


def test_times_that_passed_are_let_go_if_so_asked_and_the_next_is_kept():
    late = ask(after(days=21, hours=12), cron=WEEKLY, missed="skip")
    assert not late.why
    assert late.at == after(days=28, hours=3)
    assert late.sentences[0].startswith("4 times passed without a run and let go: the next time")
    on_time = ask(after(days=28, hours=3, minutes=1), cron=WEEKLY, missed="skip")
    assert on_time.why == "Due by '0 3 * * 1', and 4 times before that passed without a run."


def test_a_cron_of_every_minute_that_was_off_for_a_year_is_answered_at_once():
    decision = ask(after(days=365), cron="* * * * *")
    assert decision.why.endswith("and more than 100 times before that passed without a run.")


def test_a_clock_that_was_set_back_stops_nothing():
    assert ask(after(hours=2), since=after(days=300), cron=WEEKLY).at == after(hours=3)


@pytest.mark.parametrize(
    ("spans", "why"),
    [
        ([], ""),
        ([Span(1, "a", 10)], "Span 1 is new, 10 images."),
        ([Span(1, "a", 10), Span(2, "b", 5)], "Spans 1, 2 are new, 15 images."),
        ([Span(n, f"{n}", 10) for n in range(1, 10)], "9 spans from 1 to 9 are new, 90 images."),
        ([Span(1, "tried", 10)], ""),
        ([Span(1, "a", 10, state="refused")], ""),
        ([Span(1, "a", 10, missing=2)], ""),
        ([Span(1, "was refused", 10, state="accepted")], "Span 1 is accepted since the last run."),
        ([Span(1, "was refused", 10, state="refused")], ""),
        ([Span(1, "tried", 10, state="refused")], "Span 1 is refused since the last run."),
        ([Span(1, "tried", 10, state="accepted")], ""),
        ([Span(1, "given up on", 10)], ""),
        ([Span(1, "given up on", 10, state="refused")], "Span 1 is refused since the last run."),
        ([Span(1, "given up on", 10, state="refused", judged="refused")], ""),
    ],
)
def test_a_span_is_new_until_a_run_came_to_its_end_with_it(spans: list[Span], why: str):
    tried = {"tried": "accepted", "was refused": "refused", "given up on": "new"}
    assert ask(MONDAY, *spans, tried=tried, on_new_span=True).why == why


def test_new_spans_wait_until_there_are_enough():
    def why(*images: int | None, **least: int) -> str:
        spans = [Span(number, f"{number}", count) for number, count in enumerate(images, 1)]
        return ask(MONDAY, *spans, on_new_span=True, **least).sentences[0]

    assert why(10, min_new_spans=2) == "Span 1 is new, 10 images: waits for 2 spans."
    assert why(10, 10, min_new_spans=2) == "Spans 1, 2 are new, 20 images."
    assert why(10, 10, min_new_images=21) == "Spans 1, 2 are new, 20 images: waits for 21 images."
    assert why(10, 11, min_new_images=21) == "Spans 1, 2 are new, 21 images."
    assert why(None, min_new_images=21) == "Span 1 is new, an unknown number of images."


def test_a_span_that_is_being_copied_is_said():
    said = ask(MONDAY, Span(1, "a", 10, missing=2), on_new_span=True).sentences[0]
    assert said == "No new span. Span 1 is not whole yet: 2 of its files are missing or too short."


@pytest.mark.parametrize("state", ["accepted", "refused", "new"])
@pytest.mark.parametrize("drifted", [True, False])
@pytest.mark.parametrize("tried", [True, False])
def test_drift_is_learned_from_once_and_only_from_what_is_accepted(state: str, drifted: bool, tried: bool):
    span = Span(7, "a", 3, state=state, warnings=("Captions are longer.",), drifted=drifted)
    decision = ask(MONDAY, span, on_drift=True, tried={"a": state} if tried else {})
    due = state == "accepted" and drifted and not tried
    assert decision.why == ("Span 7 drifted: Captions are longer." if due else "")
    assert decision.unjudged == (("a",) if state == "new" and not tried else ())


def test_drift_is_learned_from_when_a_person_accepts_what_was_refused():
    span = Span(7, "a", 3, state="accepted", warnings=("Longer.",), drifted=True)
    assert ask(MONDAY, span, on_drift=True, tried={"a": "refused"}).why == "Span 7 drifted: Longer."


def test_after_a_failed_judgement_the_next_one_waits_but_no_run_does():
    known = {"on_drift": True, "cron": WEEKLY, "judge_not_before": after(hours=4)}
    waiting = ask(after(hours=1), Span(7, "a", 3), **known)
    assert (waiting.unjudged, waiting.at) == ((), after(hours=3))
    assert waiting.sentences[1].startswith("To be judged for drift first: Span 7, not before Mon 2026-01-05")
    assert ask(after(hours=3), Span(7, "a", 3), **known).why
    assert ask(after(hours=4), Span(7, "a", 3), since=after(hours=3), **known).unjudged == ("a",)


def test_drift_needs_no_least_number_of_images():
    span = Span(7, "a", 3, state="accepted", warnings=("Longer.",), drifted=True)
    decision = ask(MONDAY, span, on_new_span=True, min_new_images=100, on_drift=True)
    assert decision.why == "Span 7 drifted: Longer."
    assert decision.sentences[0] == "Span 7 is new, 3 images: waits for 100 images."


def test_nothing_is_due_in_a_pause_whatever_the_triggers_say():
    known = {"again": "owed", "cron": WEEKLY, "on_new_span": True}
    decision = ask(after(days=9), Span(1, "a", 10), paused=MONDAY, reason="holidays", **known)
    assert (decision.why, decision.at) == ("", None)
    assert decision.sentences[0].endswith(": holidays.")


def test_after_a_failure_everything_waits_and_then_the_run_that_is_owed_comes_first():
    known = {"failures": 2, "not_before": after(hours=4), "again": "Retry.", "cron": WEEKLY}
    waiting = ask(after(hours=3, minutes=30), **known)
    assert (waiting.why, waiting.at) == ("", after(hours=4))
    assert waiting.sentences[0].endswith("the last 2 runs failed.")
    assert ask(after(hours=4), **known).why == "Retry."
