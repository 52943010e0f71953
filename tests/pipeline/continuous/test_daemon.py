"""The scheduler as a process of its own, and the commands beside it."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from pipeline import locks
from pipeline.continuous import daemon, systemd
from pipeline.continuous.config import NotifyConfig, TriggerConfig
from pipeline.continuous.options import Options
from pipeline.continuous.state import Schedule
from pipeline.errors import UserError

WEEKLY = TriggerConfig(cron="0 3 * * 1")
_TIMEOUT_S = 120


@pytest.fixture
def options(tmp_path: pathlib.Path) -> Options:
    (tmp_path / "data").mkdir()
    return Options("demo", str(tmp_path / "data"), str(tmp_path / "root"), triggers=WEEKLY)


def make(options: Options) -> Options:
    """Makes the schedule and looks once."""
    assert daemon.run(daemon.Options(**{**vars(options), "once": True})) == 0
    return options


def until(condition: Callable[[], bool], process: subprocess.Popen) -> None:
    deadline = time.monotonic() + _TIMEOUT_S
    while not condition():
        assert process.poll() is None, process.stdout and process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)  # another process: there is nothing to wait on but its files


def start(options: Options, *more: str) -> subprocess.Popen:
    code = (
        "import sys; from pipeline.continuous import daemon; from pipeline.continuous.config import *; "
        f"sys.exit(daemon.run(daemon.Options('demo', {options.data!r}, {options.root!r}, "
        f"triggers=TriggerConfig(on_new_span=True, poll_s=1){''.join(more)})))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def test_a_schedule_is_made_listed_paused_resumed_and_deleted(
    options: Options, capsys: pytest.CaptureFixture[str]
):
    make(options)
    assert "Not due yet" in capsys.readouterr().out
    lines = daemon.list_lines(options.root)
    assert lines[0] == f"{options.root}: config demo, data {options.data}"
    assert lines[1] == "No scheduler follows it: nothing will run."
    assert lines[2].startswith("Not due yet: the next time of '0 3 * * 1' is Mon ")
    assert daemon.pause(options.root, "holidays").startswith("Paused since ")
    assert daemon.list_lines(options.root)[2].endswith(": holidays.")
    daemon.pause(options.root, "again")
    assert daemon.list_lines(options.root)[2].endswith(": holidays."), "the first pause holds"
    assert daemon.resume(options.root) == (
        f"The schedule in {options.root} goes on. No scheduler follows it: nothing will run."
    )
    assert daemon.list_lines(options.root)[2].startswith("Not due yet")
    deleted, otherwise = daemon.delete(options.root).splitlines()
    assert deleted == f"The schedule in {options.root} is deleted; runs and models stay."
    assert otherwise.endswith(f"systemctl --user disable {systemd.name(options.root)}")
    for command in (daemon.list_lines, daemon.pause, daemon.resume, daemon.delete):
        with pytest.raises(UserError, match="no schedule in"):
            command(options.root)


def test_one_look_whose_run_fails_ends_with_a_status_that_says_so(options: Options):
    (pathlib.Path(options.data) / "span-0001").mkdir()
    changes = {"once": True, "triggers": TriggerConfig(on_new_span=True)}
    assert daemon.run(Options(**{**vars(options), **changes})) == 1
    assert Schedule(options.root).read().failures == 1


def test_programs_read_it_as_json(options: Options):
    make(options)
    known = json.loads(json.dumps(daemon.describe(options.root)))
    assert (known["running"], known["due"]) == (False, False)
    assert known["state"]["asked"]["triggers"]["cron"] == "0 3 * * 1"


def test_a_data_folder_that_is_away_is_said(options: Options):
    make(options)
    os.rmdir(options.data)
    assert "The data folder cannot be read" in daemon.list_lines(options.root)[2]


def test_no_secret_is_kept(options: Options):
    secret = "T0KEN"
    notify = NotifyConfig(command=f"true {secret}", webhook=f"https://chat.example/{secret}")
    make(Options(**{**vars(options), "notify": notify}))
    assert secret not in Schedule(options.root).path.read_text()
    assert "Tells webhook https://chat.example/..." in "\n".join(daemon.list_lines(options.root))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"triggers": TriggerConfig()}, "nothing says when to run"),
        ({"triggers": TriggerConfig(cron="0 25 * * *")}, "hour: expected 0 to 23"),
        ({"triggers": TriggerConfig(cron="0 3 * * *", timezone="Mars")}, "no time zone 'Mars'"),
        ({"config": "typo"}, "there is no config 'typo'"),
        ({"assignments": ("train.epoch=1",)}, "no option 'epoch'"),
        ({"notify": NotifyConfig(command="/no/such/program")}, "no program"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_made(options: Options, changes: dict, complaint: str):
    with pytest.raises(UserError, match=complaint):
        daemon.run(Options(**{**vars(options), **changes}))
    assert not pathlib.Path(options.root).exists()


def test_two_schedulers_of_a_root_are_refused_and_a_killed_one_is_none(options: Options):
    first = start(options)
    until(lambda: Schedule(options.root).path.exists(), first)
    with pytest.raises(
        UserError, match=rf"another scheduler \(process {first.pid}\) follows the schedule in"
    ):
        daemon.run(options)
    assert daemon.list_lines(options.root)[1] == "A scheduler follows it."
    first.kill()
    first.wait()
    make(options)


def test_sigterm_ends_it_and_delete_too(options: Options):
    for end in (lambda process: process.send_signal(signal.SIGTERM), lambda _: daemon.delete(options.root)):
        process = start(options)
        until(lambda: locks.held(Schedule(options.root).scheduler_lock), process)
        until(lambda: Schedule(options.root).path.exists(), process)
        end(process)
        assert process.wait(_TIMEOUT_S) == 0


def test_a_new_span_makes_a_run_and_its_failure_is_told(options: Options, tmp_path: pathlib.Path):
    """All of it for real but for the data, which no run can use."""
    told = tmp_path / "told.json"
    notify = f", notify=NotifyConfig(command={f'tee {told}'!r})"
    process = start(options, notify)
    until(lambda: Schedule(options.root).path.exists(), process)
    (tmp_path / "data" / "span-0001").mkdir()
    until(lambda: told.exists() and told.stat().st_size > 0, process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(_TIMEOUT_S) == 0
    message = json.loads(told.read_text())
    assert message["state"] == "failed"
    assert message["sentences"][0].startswith("The run ended with status 1: no train split in")
    assert "no train split in" in pathlib.Path(message["log"]).read_text()
    state = Schedule(options.root).read()
    assert (state.failures, state.running) == (1, None)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_takes_the_unit_file(options: Options, tmp_path: pathlib.Path):
    odd = tmp_path / 'a "quoted" 100% $HOME root'
    odd.mkdir()
    assignments = ("model.dilations=1 2 4", "train.epochs=5")
    changes = {"root": str(odd), "assignments": assignments, "notify": NotifyConfig(command="true 'a b'")}
    options = Options(**{**vars(options), **changes})
    path = tmp_path / "captioner-test.service"
    path.write_text(daemon.systemd_unit(options))
    checked = subprocess.run(
        ["systemd-analyze", "--user", "verify", str(path)],
        capture_output=True,
        text=True,
        env=os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)},
        timeout=60,
    )
    assert path.name not in checked.stderr, "it names the file in what it complains of"
    assert (
        '"--root" "' + str(odd).replace('"', '\\"').replace("%", "%%").replace("$", "$$") in path.read_text()
    )
    assert '"--set=model.dilations=1 2 4"' in path.read_text()


def test_units_of_roots_of_one_name_are_two_and_say_how_to_be_ended(options: Options, tmp_path: pathlib.Path):
    names = [systemd.name(str(tmp_path / folder / "runs")) for folder in ("a", "b", "b")]
    assert len(set(names)) == 2
    assert all(name.startswith("captioner-runs-") for name in names)
    assert f"systemctl --user disable {systemd.name(options.root)}" in daemon.systemd_unit(options)


def test_a_unit_file_has_no_secret(options: Options):
    secret = NotifyConfig(webhook="https://chat.example/T0KEN")
    with pytest.raises(UserError, match="env:CAPTIONER_WEBHOOK") as raised:
        daemon.systemd_unit(Options(**{**vars(options), "notify": secret}))
    assert "T0KEN" not in str(raised.value)
