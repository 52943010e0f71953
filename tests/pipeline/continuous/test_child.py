"""A run in a process of its own, for real."""

import os
import pathlib
import signal
import sys
import threading
import time

import pytest

from pipeline.continuous import child
from pipeline.continuous.options import Options


def follow(code: str, log: pathlib.Path, stop: threading.Event | None = None, stop_s: float = 60) -> int:
    return child.follow([sys.executable, "-c", code], log, stop or threading.Event(), stop_s)


def alive(pid: int) -> bool:
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def when_ready(log: pathlib.Path) -> threading.Event:
    """An event that is set when the child has printed that it is ready."""
    stop = threading.Event()

    def wait() -> None:
        while "ready" not in (log.read_text() if log.exists() else ""):
            stop.wait(0.02)
        stop.set()

    threading.Thread(target=wait, daemon=True).start()
    return stop


def test_its_status_is_returned_and_what_it_prints_is_kept(tmp_path: pathlib.Path):
    log = tmp_path / "logs" / "run.log"
    code = "import sys; print('to one'); print('to the other', file=sys.stderr); sys.exit(3)"
    assert follow(code, log) == 3
    assert sorted(log.read_text().splitlines()) == ["to one", "to the other"]


def test_a_crash_is_the_childs_alone(tmp_path: pathlib.Path):
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert follow(code, tmp_path / "log") == -signal.SIGKILL


def test_a_stop_is_passed_on_and_waited_for(tmp_path: pathlib.Path):
    log = tmp_path / "log"
    code = (
        "import signal, sys, time\n"
        "def end(*_):\n"
        "    time.sleep(0.5)\n"
        "    print('tidied up', flush=True)\n"
        "    sys.exit(130)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)"
    )
    assert follow(code, log, when_ready(log)) == 130
    assert "tidied up" in log.read_text()


def test_one_that_does_not_end_is_killed_with_all_that_it_started(tmp_path: pathlib.Path):
    log = tmp_path / "log"
    code = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "sleeper = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(sleeper.pid, 'ready', flush=True)\n"
        "time.sleep(60)"
    )
    assert follow(code, log, when_ready(log), stop_s=0.2) == -signal.SIGKILL
    sleeper = int(log.read_text().split()[0])
    while alive(sleeper):
        time.sleep(0.02)  # the signal is on its way


def test_ctrl_c_at_the_terminal_does_not_reach_it(tmp_path: pathlib.Path):
    follow("import os; print(os.getpgid(0) == os.getpid(), os.getpid())", tmp_path / "log")
    own_group, pid = (tmp_path / "log").read_text().split()
    assert own_group == "True"
    assert int(pid) != os.getpgid(0)


def test_the_command_is_that_of_a_run(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    command = child.command(Options("demo", "data", "root", ("train.epochs=1", "model.dilations=1 2")))
    assert command == [
        *(sys.executable, "-m", "pipeline.continuous.work", "run", "--config", "demo"),
        *("--data", str(tmp_path / "data"), "--root", str(tmp_path / "root")),
        *("--set=train.epochs=1", "--set=model.dilations=1 2"),
    ]


def test_a_real_run_that_cannot_begin_says_why(tmp_path: pathlib.Path):
    options = Options("demo", str(tmp_path / "data"), str(tmp_path / "root"))
    log = tmp_path / "log"
    assert child.follow(child.command(options), log, threading.Event(), 60) == 1
    assert "captioner: error: no spans in" in log.read_text()
