"""The schedule on disk."""

import datetime
import json
import pathlib

import pytest

from pipeline.continuous.config import RetryConfig, TriggerConfig
from pipeline.continuous.state import JUDGEMENT, Asked, Ending, NoScheduleError, Running, Schedule, State
from pipeline.errors import UserError

NOW = datetime.datetime(2026, 1, 5, tzinfo=datetime.UTC)
STATE = State(
    Asked("demo", "data", ("train.epochs=1",), TriggerConfig(cron="0 3 * * 1"), RetryConfig(most=2), ("x",)),
    NOW,
    tried={"a": "accepted"},
    looked_at=("b",),
    paused=NOW,
    reason="holidays",
    failures=1,
    not_before=NOW,
    again="Retry.",
    judge_failures=2,
    judge_not_before=NOW,
    running=Running("Due.", NOW, "log", ("1",), ("a",), {"a": "accepted"}),
    endings=(
        Ending("pushed", "Due.", NOW, NOW, ("Good.",), spans=({"span": 1, "reasons": ["x"]},), told=True),
        Ending("failed", "Judged.", NOW, NOW, what=JUDGEMENT, untold=("webhook",), attempts=1, tell_at=NOW),
    ),
)


def test_it_is_read_back_as_it_was_written(tmp_path: pathlib.Path):
    schedule = Schedule(str(tmp_path / "root"))
    assert schedule.make(STATE, lambda state: state) == STATE
    assert schedule.read() == STATE


def test_what_an_earlier_version_has_written_is_read(tmp_path: pathlib.Path):
    schedule = Schedule(str(tmp_path))
    schedule.make(STATE, lambda state: state)
    content = json.loads(schedule.path.read_text())
    for name in ("judge_failures", "judge_not_before"):
        del content[name]
    for name in ("states", "what"):
        del content["running"][name]
    for ending in content["endings"]:
        for name in ("what", "failures", "next", "untold", "attempts", "tell_at"):
            del ending[name]
    schedule.path.write_text(json.dumps(content))
    state = schedule.read()
    assert (state.judge_failures, state.judge_not_before) == (0, None)
    assert state.running == Running("Due.", NOW, "log", ("1",), ("a",))
    assert state.endings[0] == STATE.endings[0]


def test_a_schedule_that_is_there_goes_on(tmp_path: pathlib.Path):
    schedule = Schedule(str(tmp_path))
    schedule.make(STATE, lambda state: state)
    made = schedule.make(STATE.replace(failures=0), lambda state: state.replace(reason="new"))
    assert (made.failures, made.reason) == (1, "new")
    assert schedule.read() == made


def test_without_one_nothing_is_made(tmp_path: pathlib.Path):
    schedule = Schedule(str(tmp_path / "typo"))
    for action in (schedule.read, schedule.delete, lambda: schedule.change(lambda state: state)):
        with pytest.raises(NoScheduleError, match=r"no schedule in .*typo; make one with"):
            action()
    assert not (tmp_path / "typo").exists()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 2}', '{"format": 1, "asked": {}}'])
def test_a_broken_file_is_named_and_left_as_it_is(tmp_path: pathlib.Path, text: str):
    schedule = Schedule(str(tmp_path))
    schedule.path.write_text(text)
    with pytest.raises(UserError, match=r"schedule.json is broken .* move it away"):
        schedule.change(lambda state: state)
    assert schedule.path.read_text() == text


def test_a_change_that_fails_changes_nothing(tmp_path: pathlib.Path):
    schedule = Schedule(str(tmp_path))
    schedule.make(STATE, lambda state: state)

    def fail(state: State) -> State:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        schedule.change(fail)
    assert schedule.read() == STATE
    assert schedule.change(lambda state: state.replace(failures=7)).failures == 7, "the lock was let go"


def test_people_can_read_it(tmp_path: pathlib.Path):
    schedule = Schedule(str(tmp_path))
    schedule.make(STATE, lambda state: state)
    content = json.loads(schedule.path.read_text())
    assert content["cron_from"] == "2026-01-05T00:00:00+00:00"
    assert content["asked"]["triggers"]["cron"] == "0 3 * * 1"
