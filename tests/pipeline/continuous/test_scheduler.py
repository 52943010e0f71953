"""Weeks of a scheduler's life in a moment: its clock, its runs and those whom it tells are the test's."""

import contextlib
import datetime
import itertools
import pathlib

import pytest

from pipeline import locks, runs
from pipeline.continuous import daemon, spans
from pipeline.continuous.config import INTERRUPTED, RetryConfig
from pipeline.continuous.state import NoScheduleError
from tests.pipeline.continuous.conftest import MONDAY, Trial, write_record, write_span, write_word

WEEKLY = "0 3 * * 1"
AT_THREE = MONDAY + datetime.timedelta(hours=3)
WEEK = datetime.timedelta(days=7)


def endings(trial: Trial) -> list[str]:
    return [ending.state for ending in trial.state.endings]


def test_every_week_has_its_run(make_trial):
    trial = make_trial(cron=WEEKLY, poll_s=3600)
    trial.pass_time(days=22)
    assert trial.ran == [AT_THREE, AT_THREE + WEEK, AT_THREE + 2 * WEEK, AT_THREE + 3 * WEEK]
    assert [message["state"] for message in trial.told] == [runs.UNCHANGED] * 4


@pytest.mark.parametrize(("missed", "made_up"), [("once", 1), ("skip", 0)])
def test_what_was_missed_while_the_machine_was_off_is_made_up_at_most_once(make_trial, missed, made_up):
    trial = make_trial(cron=WEEKLY, missed=missed, poll_s=3600)
    trial.pass_time(days=1)
    trial.sleep(days=30)  # four Mondays; it is Thursday now
    back = trial.now
    trial.pass_time(days=3)
    assert trial.ran == [AT_THREE, *[back] * made_up]
    trial.pass_time(days=7)
    assert trial.ran[-1] == AT_THREE + 5 * WEEK


def test_times_that_pass_in_a_long_run_are_one(make_trial):
    trial = make_trial(cron="0 * * * *", poll_s=60)
    trial.lasts = datetime.timedelta(hours=2, minutes=30)
    trial.pass_time(hours=8)
    assert [time.hour * 60 + time.minute for time in trial.ran] == [60, 210, 360]


def test_a_clock_that_is_set_back_stops_no_times(make_trial):
    """A machine without a battery comes up in some year, and is told the time over the network."""
    trial = make_trial(cron=WEEKLY, poll_s=3600)
    trial.now += datetime.timedelta(days=300)
    trial.start()
    trial.pass_time(days=8)
    ahead = len(trial.ran)
    trial.now = MONDAY
    trial.pass_time(days=8)
    assert trial.ran[ahead:] == [AT_THREE, AT_THREE + WEEK]


def test_a_clock_that_is_set_back_makes_no_wait_longer_than_the_longest(make_trial):
    retry = RetryConfig(first_s=600, longest_s=7200, jitter=0.1)
    trial = make_trial(retry=retry, on_new_span=True, poll_s=600)
    trial.states = [runs.FAILED]
    trial.complaints = {"webhook": "It is not there."}
    write_span(trial.data, 1)
    trial.now += datetime.timedelta(days=300)
    trial.pass_time(minutes=1)
    trial.complaints = {}
    trial.now = MONDAY
    trial.pass_time(hours=2, minutes=30)
    assert endings(trial) == [runs.FAILED, runs.UNCHANGED]
    assert [message["state"] for message in trial.told] == [runs.FAILED, runs.FAILED, runs.UNCHANGED]


def test_another_cron_expression_has_missed_nothing(make_trial):
    trial = make_trial(cron=WEEKLY)
    trial.now += datetime.timedelta(days=2)
    triggers = trial.options.triggers.replace(cron="0 5 * * *")
    trial.start(daemon.Options("demo", trial.options.data, trial.options.root, triggers=triggers))
    trial.pass_time(hours=4)
    assert trial.ran == []
    trial.pass_time(hours=2)
    assert len(trial.ran) == 1


def test_a_new_span_starts_a_run_once_and_restarts_do_not_repeat_it(make_trial):
    trial = make_trial(on_new_span=True)
    write_span(trial.data, 1)
    trial.pass_time(hours=2)
    assert len(trial.ran) == 1
    assert trial.told[0]["why"] == "Span 1 is new, 10 images."
    trial.sleep(hours=2)
    trial.pass_time(hours=2)
    assert len(trial.ran) == 1
    write_span(trial.data, 2)
    trial.pass_time(hours=2)
    assert len(trial.ran) == 2


def test_a_span_that_arrives_in_a_run_has_a_run_of_its_own(make_trial):
    trial = make_trial(on_new_span=True)
    write_span(trial.data, 1)
    trial.during = lambda: write_span(trial.data, 2)
    trial.pass_time(hours=2)
    assert [message["why"] for message in trial.told] == [
        "Span 1 is new, 10 images.",
        "Span 2 is new, 10 images.",
    ]


def test_a_span_that_was_imported_again_is_new(make_trial):
    trial = make_trial(on_new_span=True)
    write_span(trial.data, 1)
    trial.pass_time(hours=1)
    write_span(trial.data, 1, content="other photos")
    trial.pass_time(hours=1)
    assert len(trial.ran) == 2


def test_a_refused_span_is_named_and_tried_again_when_a_person_accepts_it(make_trial):
    trial = make_trial(on_new_span=True)
    write_span(trial.data, 1)
    digest = []

    def judge(state: str) -> None:
        digest.append(trial.state.running.spans[0])
        write_record(trial.root, 1, digest[0], state, reasons=["Captions are of other photos."])

    trial.during = lambda: judge("refused")
    trial.pass_time(hours=1)
    (span,) = trial.told[0]["spans"]
    assert (span["span"], span["state"], span["reasons"]) == (1, "refused", ["Captions are of other photos."])
    assert "Span 1 is refused: Captions are of other photos." in trial.told[0]["text"]
    trial.during = lambda: None
    for word in ("accepted", "refused"):
        write_record(trial.root, 1, digest[0], word)
        trial.pass_time(hours=2)
        assert trial.told[-1]["why"] == f"Span 1 is {word} since the last run."
    assert len(trial.ran) == 3


@pytest.mark.parametrize("found", ["accepted", "refused"])
def test_a_word_that_a_person_gives_in_a_run_has_a_run_of_its_own(make_trial, found: str):
    """The run that is under way has judged the span and trains without it, or with it."""
    said = "refused" if found == "accepted" else "accepted"
    trial = make_trial(on_new_span=True)
    write_span(trial.data, 1)

    def during() -> None:
        digest = trial.state.running.spans[0]
        write_record(trial.root, 1, digest, found)
        write_word(trial.root, 1, digest, said)

    trial.during = during
    trial.pass_time(hours=4)
    assert [message["why"] for message in trial.told] == [
        "Span 1 is new, 10 images.",
        f"Span 1 is {said} since the last run.",
    ]


def test_a_word_that_a_person_takes_back_in_a_run_has_a_run_of_its_own(make_trial):
    trial = make_trial(on_new_span=True)
    write_span(trial.data, 1)
    (span,) = spans.look(str(trial.data), trial.paths.spans)
    write_record(trial.root, 1, span.digest, "refused")
    write_word(trial.root, 1, span.digest, "accepted")
    trial.during = lambda: write_word(trial.root, 1, span.digest, "refused")
    trial.pass_time(hours=4)
    assert [message["why"] for message in trial.told] == [
        "Span 1 is new, 10 images.",
        "Span 1 is refused since the last run.",
    ]


def test_a_span_that_runs_fail_with_before_it_is_judged_may_be_refused(make_trial):
    trial = make_trial(retry=RetryConfig(most=0), on_new_span=True)
    trial.states = [runs.FAILED]
    write_span(trial.data, 1)
    trial.pass_time(hours=2)
    (span,) = spans.look(str(trial.data), trial.paths.spans)
    write_word(trial.root, 1, span.digest, "refused")
    trial.pass_time(hours=2)
    assert [message["why"] for message in trial.told[1:]] == ["Span 1 is refused since the last run."]


@pytest.mark.parametrize("drifted", [True, False])
def test_new_spans_are_judged_at_once_and_drift_starts_the_run_that_few_images_would_not(
    make_trial, drifted: bool
):
    trial = make_trial(on_new_span=True, min_new_images=1000, on_drift=True)

    def judge() -> int:
        (digest,) = (span.digest for span in spans.look(str(trial.data), trial.paths.spans))
        drift = [{"feature": "caption_words", "drifted": drifted}]
        write_record(trial.root, 1, digest, "accepted", warnings=["Captions are longer."], drift=drift)
        judged.append(digest)
        return 0

    judged: list[str] = []
    trial.judge = judge
    write_span(trial.data, 1)
    trial.pass_time(hours=2)
    assert len(judged) == 1
    whys = [message["why"] for message in trial.told]
    assert whys == (["Span 1 drifted: Captions are longer."] if drifted else [])


def judge_as(trial: Trial, state: str, **more) -> int:
    """What a judgement leaves behind of the only span."""
    (span,) = spans.look(str(trial.data), trial.paths.spans)
    write_record(trial.root, span.number, span.digest, state, **more)
    return 0


def test_a_judgement_that_fails_is_told_and_made_again_until_no_retry_is_left(make_trial):
    retry = RetryConfig(most=2, first_s=600, jitter=0)
    trial = make_trial(retry=retry, on_new_span=True, min_new_images=1000, on_drift=True)
    judged: list[datetime.datetime] = []
    trial.judge = lambda: judged.append(trial.now) or -9
    write_span(trial.data, 1)
    trial.pass_time(minutes=15)
    trial.start()
    trial.pass_time(hours=20)
    waits = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(judged)]
    assert (waits, trial.ran) == ([600, 1200], [])
    first, second, third = trial.told
    assert (first["about"], first["state"]) == ("judgement", runs.FAILED)
    assert "new spans could not be judged" in first["text"]
    assert first["sentences"] == [
        "The judgement of span 1 was killed by signal 9 (SIGKILL); was there enough memory?"
    ]
    assert first["log"].startswith(str(trial.root / "logs" / "judge-"))
    assert first["next"].endswith(": retry 1 of 2.")
    assert second["next"].endswith(": retry 2 of 2.")
    assert third["next"] == "3 judgements in a row failed: no more retries. The next run judges."
    assert (trial.state.failures, trial.state.judge_failures) == (0, 0), "it is no run that failed"


def test_a_judgement_that_succeeds_after_all_finds_the_drift(make_trial):
    trial = make_trial(retry=RetryConfig(first_s=600, jitter=0), on_drift=True)
    trial.judge = lambda: 1
    write_span(trial.data, 1)
    trial.pass_time(minutes=5)
    trial.judge = lambda: judge_as(trial, "accepted", warnings=["Longer."], drift=[{"drifted": True}])
    trial.pass_time(hours=1)
    assert [message["why"] for message in trial.told[1:]] == ["Span 1 drifted: Longer."]
    assert (trial.state.judge_failures, trial.state.judge_not_before) == (0, None)


def test_a_span_that_is_refused_before_a_run_is_told_and_a_person_may_accept_it(make_trial):
    trial = make_trial(on_new_span=True, min_new_images=1000, on_drift=True)
    trial.judge = lambda: judge_as(trial, "refused", reasons=["Captions are of other photos."])
    write_span(trial.data, 1)
    trial.pass_time(hours=2)
    trial.sleep(hours=1)
    trial.pass_time(hours=2)
    (message,) = trial.told
    assert (message["about"], message["state"], message["run"]) == ("judgement", runs.REFUSED, "")
    assert "new spans were refused" in message["text"]
    assert "Span 1 is refused: Captions are of other photos." in message["text"]
    assert [(span["span"], span["state"]) for span in message["spans"]] == [(1, "refused")]
    assert trial.ran == []
    (span,) = spans.look(str(trial.data), trial.paths.spans)
    write_word(trial.root, 1, span.digest, "accepted")
    trial.pass_time(hours=2)
    assert [message["why"] for message in trial.told[1:]] == ["Span 1 is accepted since the last run."]
    assert trial.told[1]["about"] == "run"


def test_a_judgement_that_is_stopped_is_made_again_and_is_no_failure(make_trial):
    trial = make_trial(on_drift=True)
    trial.judge = lambda: trial.stop.set() or -15
    write_span(trial.data, 1)
    trial.pass_time(hours=1)
    assert (trial.told, trial.state.running) == ([], None)
    trial.judge = lambda: judge_as(trial, "refused")
    trial.sleep(hours=1)
    trial.pass_time(minutes=1)
    assert [message["state"] for message in trial.told] == [runs.REFUSED]


@pytest.mark.parametrize("judged", [True, False])
def test_a_scheduler_killed_in_a_judgement_takes_note_of_what_came_of_it(make_trial, judged: bool):
    trial = make_trial(on_drift=True)

    def judge() -> int:
        if judged:
            judge_as(trial, "refused")
        raise Killed

    trial.judge = judge
    write_span(trial.data, 1)
    with pytest.raises(Killed):
        trial.pass_time(hours=1)
    trial.judge = lambda: 1
    trial.sleep(hours=1)
    trial.pass_time(minutes=1)
    (message,) = trial.told
    assert (message["about"], message["state"]) == ("judgement", runs.REFUSED if judged else runs.FAILED)
    if not judged:
        assert "cut off" in message["sentences"][0]


def test_a_run_that_a_person_begins_before_a_judgement_does_is_waited_for(make_trial):
    trial = make_trial(on_drift=True)
    write_span(trial.data, 1)
    with contextlib.ExitStack() as stack:
        trial.judge = lambda: stack.enter_context(locks.alone(pathlib.Path(trial.paths.lock), "taken")) or 1
        trial.pass_time(hours=1)
        assert any("Another run is under way" in said for said in trial.said)
    trial.judge = lambda: judge_as(trial, "accepted")
    trial.pass_time(hours=1)
    assert (trial.told, trial.state.judge_failures) == ([], 0)


def test_one_look_is_enough_to_judge_and_to_run_for_what_was_found(make_trial):
    trial = make_trial(on_drift=True)
    trial.judge = lambda: judge_as(trial, "accepted", warnings=["Longer."], drift=[{"drifted": True}])
    write_span(trial.data, 1)
    trial.scheduler.once()
    assert [message["why"] for message in trial.told] == ["Span 1 drifted: Longer."]
    assert not trial.scheduler.failed


@pytest.mark.parametrize("state", [runs.FAILED, runs.REFUSED, runs.PUSHED])
def test_only_what_failed_has_failed(make_trial, state: str):
    trial = make_trial(on_new_span=True)
    trial.states = [state]
    write_span(trial.data, 1)
    trial.scheduler.once()
    assert len(trial.ran) == 1
    assert trial.scheduler.failed == (state == runs.FAILED)


def test_a_judgement_that_failed_has_failed(make_trial):
    trial = make_trial(on_drift=True)
    trial.judge = lambda: 1
    write_span(trial.data, 1)
    trial.scheduler.once()
    assert trial.scheduler.failed


def test_a_run_that_is_due_anyway_judges_for_itself(make_trial):
    trial = make_trial(on_new_span=True, on_drift=True)
    trial.judge = lambda: pytest.fail("the run does that")
    write_span(trial.data, 1)
    trial.pass_time(minutes=10)
    assert len(trial.ran) == 1


def test_after_failures_the_waits_double_up_to_the_longest_until_no_retry_is_left(make_trial):
    retry = RetryConfig(most=4, first_s=600, longest_s=3000, jitter=0)
    trial = make_trial(retry=retry, cron=WEEKLY, poll_s=600)
    trial.states = [runs.FAILED] * 5
    trial.pass_time(days=6)
    waits = [
        (later - earlier - trial.lasts).total_seconds()
        for earlier, later in zip(trial.ran, trial.ran[1:], strict=False)
    ]
    assert waits == [600, 1200, 2400, 3000]
    assert "retry 4 of 4" in trial.told[-1]["why"]
    assert trial.told[-1]["next"].startswith("5 runs in a row failed: no more retries.")
    trial.pass_time(days=2)
    assert (len(trial.ran), trial.told[-1]["state"], trial.state.failures) == (6, runs.UNCHANGED, 0)


def test_the_waits_begin_anew_after_a_success(make_trial):
    trial = make_trial(retry=RetryConfig(first_s=600, jitter=0), cron="0 0 * * *", poll_s=600)
    trial.states = [runs.FAILED, runs.PUSHED, runs.FAILED, runs.REFUSED]
    trial.pass_time(days=2, hours=12)
    assert endings(trial) == [runs.FAILED, runs.PUSHED, runs.FAILED, runs.REFUSED]
    again = trial.lasts + datetime.timedelta(seconds=600)
    assert (trial.ran[1] - trial.ran[0], trial.ran[3] - trial.ran[2]) == (again, again)
    assert trial.state.failures == 0, "a model that was refused is no failure"


def test_waits_differ_by_the_jitter_alone(make_trial):
    trial = make_trial(retry=RetryConfig(first_s=1000, jitter=0.1), cron=WEEKLY, poll_s=3600)
    trial.states = [runs.FAILED]
    trial.pass_time(hours=5)
    wait = (trial.ran[1] - trial.ran[0] - trial.lasts).total_seconds()
    assert 1000 < wait < 1100


def test_a_span_that_every_run_fails_with_is_given_up_on_until_another_comes(make_trial):
    trial = make_trial(retry=RetryConfig(most=2), on_new_span=True, poll_s=3600)
    trial.states = [runs.FAILED] * 3
    write_span(trial.data, 1)
    trial.pass_time(days=3)
    assert len(trial.ran) == 3
    write_span(trial.data, 2)
    trial.pass_time(days=1)
    assert (len(trial.ran), endings(trial)[-1]) == (4, runs.UNCHANGED)


def test_the_wait_after_a_failure_outlives_a_restart(make_trial):
    trial = make_trial(retry=RetryConfig(first_s=7200, longest_s=7200, jitter=0), cron=WEEKLY)
    trial.states = [runs.FAILED]
    trial.pass_time(hours=3, minutes=31)
    trial.sleep(minutes=10)
    trial.pass_time(minutes=30)
    assert len(trial.ran) == 1
    trial.pass_time(hours=2)
    assert len(trial.ran) == 2


def test_a_pause_holds_back_and_times_in_it_are_let_go_but_spans_are_not(make_trial):
    trial = make_trial(cron=WEEKLY, on_new_span=True, poll_s=3600)
    trial.schedule.change(lambda state: state.replace(paused=trial.now, reason="holidays"))
    write_span(trial.data, 1)
    trial.pass_time(days=9)
    assert trial.ran == []
    assert any("holidays" in said for said in trial.said)
    from pipeline.continuous import transitions

    trial.schedule.change(lambda state: transitions.resumed(state, trial.now))
    trial.pass_time(days=1)
    assert [message["why"] for message in trial.told] == ["Span 1 is new, 10 images."]


def test_while_somebody_else_runs_in_the_root_it_waits(make_trial):
    trial = make_trial(cron=WEEKLY)
    with locks.alone(pathlib.Path(trial.paths.lock), "taken"):
        trial.pass_time(hours=4)
        assert trial.ran == []
    trial.pass_time(minutes=2)
    assert len(trial.ran) == 1
    assert sum("Another run is under way" in said for said in trial.said) == 2, "due, late: not every minute"


def test_a_deleted_schedule_ends_its_scheduler(make_trial):
    trial = make_trial(cron=WEEKLY)
    trial.schedule.delete()
    with pytest.raises(NoScheduleError):
        trial.scheduler.look()
    trial.scheduler.follow()
    assert trial.said[-1] == "The schedule was deleted."
    assert not trial.schedule.path.exists()


def test_deleted_in_a_run_it_still_tells_how_that_ended(make_trial):
    trial = make_trial(cron=WEEKLY)
    trial.states = [runs.PUSHED]
    trial.during = trial.schedule.delete
    with pytest.raises(NoScheduleError):
        trial.pass_time(hours=4)
    assert [message["state"] for message in trial.told] == [runs.PUSHED]
    assert not trial.schedule.path.exists()


def test_a_run_that_was_stopped_is_made_again_at_once_by_the_next_scheduler(make_trial):
    trial = make_trial(cron=WEEKLY)
    trial.states = [runs.FAILED]
    trial.during = trial.stop.set
    trial.pass_time(hours=4)
    assert endings(trial) == [INTERRUPTED]
    trial.during = lambda: None
    trial.sleep(hours=1)
    trial.pass_time(minutes=1)
    assert (endings(trial), trial.state.failures) == ([INTERRUPTED, runs.UNCHANGED], 0)
    assert "was interrupted and is made again" in trial.told[-1]["why"]


class Killed(BaseException):
    """The scheduler gets SIGKILL."""


def kill() -> None:
    raise Killed


def test_a_scheduler_killed_in_a_run_takes_note_of_it_and_retries(make_trial):
    trial = make_trial(retry=RetryConfig(first_s=600, jitter=0), cron=WEEKLY)
    trial.during = kill
    with pytest.raises(Killed):
        trial.pass_time(hours=4)
    trial.during = lambda: None
    trial.sleep(hours=1)
    trial.pass_time(hours=1)
    assert endings(trial) == [runs.FAILED, runs.UNCHANGED]
    assert "cut off" in trial.told[0]["sentences"][0]


def test_a_run_that_outlives_its_killed_scheduler_is_waited_for_and_counts(make_trial):
    trial = make_trial(cron=WEEKLY)
    trial.during = kill
    with pytest.raises(Killed):
        trial.pass_time(hours=4)
    trial.during = lambda: None
    run = runs.Run(f"{AT_THREE:%Y%m%d-%H%M%S}")
    run.write(trial.paths)
    with locks.alone(pathlib.Path(trial.paths.lock), "taken"):
        trial.sleep(hours=1)
        trial.pass_time(hours=1)
        assert trial.state.running is not None
        assert any("goes on" in said for said in trial.said)
    runs.Run(run.id, state=runs.PUSHED, pushed="serving/captioner/7").write(trial.paths)
    trial.pass_time(hours=1)
    assert endings(trial) == [runs.PUSHED]
    assert trial.told[0]["version"] == "serving/captioner/7"
    assert len(trial.ran) == 1


def test_who_could_not_be_told_before_a_kill_is_told_after(make_trial, monkeypatch):
    trial = make_trial(cron=WEEKLY)
    monkeypatch.setattr(trial.scheduler, "_tell", lambda state: kill())
    with pytest.raises(Killed):
        trial.pass_time(hours=4)
    trial.sleep(hours=1)
    trial.pass_time(hours=1)
    trial.sleep(hours=1)
    trial.pass_time(hours=1)
    assert [message["state"] for message in trial.told] == [runs.UNCHANGED]


def test_a_killed_process_and_its_signal_are_said(make_trial):
    trial = make_trial(cron=WEEKLY)
    trial.states = [runs.RUNNING]
    trial.pass_time(hours=4)
    assert trial.told[0]["sentences"] == [
        "The run was killed by signal 9 (SIGKILL); was there enough memory?"
    ]


def test_the_message_has_what_one_needs_to_know(make_trial):
    trial = make_trial(cron=WEEKLY)
    trial.states = [runs.FAILED]
    trial.pass_time(hours=4)
    message = trial.told[0]
    assert message["sentences"] == ["Trainer failed: no memory"]
    assert message["run"] == "20260105-030000"
    assert message["why"] == "Due by '0 3 * * 1'."
    assert message["next"].startswith("It is made again at ")
    assert (message["failures"], message["config"]) == (1, "demo")
    assert message["started"] == AT_THREE.isoformat()
    assert message["log"].startswith(str(trial.root / "logs" / "schedule-"))


def test_whom_it_could_not_tell_is_said_and_nothing_else_suffers(make_trial):
    trial = make_trial(cron=WEEKLY, poll_s=3600)
    trial.complaints = {"webhook": "https://chat/... refused the notification: HTTP status 500."}
    trial.pass_time(days=8)
    assert trial.complaints["webhook"] in trial.said
    assert len(trial.ran) == 2


def test_who_could_not_be_told_is_told_later_and_nobody_twice(make_trial):
    trial = make_trial(retry=RetryConfig(first_s=600, jitter=0), cron=WEEKLY, poll_s=600)
    trial.complaints = {"webhook": "It refused the notification: HTTP status 500."}
    trial.pass_time(hours=4)
    trial.complaints = {}
    trial.sleep(hours=1)
    trial.pass_time(days=1)
    first, *others = trial.told
    assert others == [first] * len(others), "however late, it is the same message"
    assert trial.ways == [(), *[("webhook",)] * len(others)], "the command was told at once"
    assert len(others) == 2, "after 10 minutes in vain, and when it was there again"
    assert sum(first["text"] in said for said in trial.said) == 1


def test_who_cannot_be_told_in_a_day_is_given_up_on(make_trial):
    trial = make_trial(retry=RetryConfig(jitter=0), cron=WEEKLY)
    trial.complaints = {"webhook": "It refused the notification: HTTP status 404."}
    trial.pass_time(days=6)
    assert 5 < len(trial.told) < 15
    assert sum("is given up" in said for said in trial.said) == 1


def test_each_ending_that_nobody_was_told_of_is_told(make_trial):
    trial = make_trial(retry=RetryConfig(most=0, first_s=36000, longest_s=36000), cron="0 */12 * * *")
    trial.states = [runs.FAILED, runs.PUSHED]
    trial.complaints = {"command": "It ended with status 1."}
    trial.pass_time(hours=12, minutes=10)
    trial.complaints = {}
    trial.told.clear()
    trial.pass_time(hours=36)
    assert [message["state"] for message in trial.told][:2] == [runs.FAILED, runs.PUSHED]
    assert (trial.told[0]["failures"], trial.told[1]["failures"]) == (1, 0), "as it was then"
    assert "no more retries" in trial.told[0]["next"]
    assert all(ending.told for ending in trial.state.endings)


def test_a_data_folder_that_is_away_for_a_while_is_said_and_waited_for(make_trial):
    trial = make_trial(on_new_span=True)
    trial.data.rename(trial.data.with_name("away"))
    trial.pass_time(hours=1)
    assert sum("data folder cannot be read" in said for said in trial.said) == 1
    trial.data.with_name("away").rename(trial.data)
    write_span(trial.data, 1)
    trial.pass_time(hours=1)
    assert len(trial.ran) == 1


def test_the_state_stays_small(make_trial):
    """Spans that are gone and endings of long ago are forgotten."""
    trial = make_trial(cron="0 * * * *", on_new_span=True)
    for number in range(1, 31):
        folder = write_span(trial.data, number)
        trial.pass_time(hours=1)
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    assert len(trial.state.endings) == 20
    assert len(trial.state.tried) <= 1
