"""New spans judged in a process of its own, for real."""

import dataclasses
import pathlib
import subprocess
import sys
import threading

import pytest

from pipeline.continuous import child, spans, work
from pipeline.continuous.options import Options
from pipeline.importers import scenes
from pipeline.importers.importer import ImportOptions, import_source
from tests.e2e.conftest import import_scenes


def test_new_spans_are_judged_as_a_run_does_and_drift_is_found(tmp_path: pathlib.Path):
    data, root, log = tmp_path / "data", tmp_path / "root", tmp_path / "log"
    import_scenes(data, (30, 10, 0), seed=3)
    options = Options("demo", str(data), str(root), ("spans.drift_threshold=0.5",))
    source = scenes.make_source(30, 10, 0, seed=4)
    wordy = [
        dataclasses.replace(e, captions=tuple(f"{text} " * 4 for text in e.captions)) for e in source.entries
    ]
    import_source(dataclasses.replace(source, entries=wordy), data, ImportOptions())
    assert child.follow(child.command(options, "judge"), log, threading.Event(), 60) == 0, log.read_text()
    first, second = spans.look(str(data), str(root / "spans"))
    assert (first.state, first.drifted) == (spans.ACCEPTED, False)
    assert (second.state, second.drifted) == (spans.ACCEPTED, True)
    assert any("words" in warning for warning in second.warnings)


def test_while_a_run_is_under_way_nothing_is_judged(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
):
    from pipeline import run_pipeline
    from pipeline.paths import Paths

    arguments = ["--config", "demo", "--data", str(tmp_path), "--root", str(tmp_path / "root")]
    with run_pipeline.lock(Paths(str(tmp_path / "root"))):
        assert work.main(["judge", *arguments]) == 1
    assert "another run is under way" in capsys.readouterr().err


def test_sigterm_is_to_a_run_what_ctrl_c_is(tmp_path: pathlib.Path):
    code = (
        "import os, signal; from pipeline import cli\n"
        "def run(argv):\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        signal.pause()\n"
        "    except KeyboardInterrupt:\n"
        "        print('interrupted', argv)\n"
        "        return 130\n"
        "cli.main = run\n"
        "from pipeline.continuous import work; raise SystemExit(work.main(['run', '--config', 'demo']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (130, "interrupted ['run', '--config', 'demo']\n"), done.stderr
