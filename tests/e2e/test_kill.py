"""A run that is killed goes on where it was, and what it pushes is whole."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from pipeline import run_pipeline
from tests.e2e.conftest import SETTINGS, import_scenes, small_config

_TIMEOUT_S = 600


def _kill_when(there: pathlib.Path, pattern: str, command: list[str], log: pathlib.Path) -> None:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    deadline = time.monotonic() + _TIMEOUT_S
    while not list(there.glob(pattern)):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)  # another process: there is nothing to wait on but its files
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_a_run_killed_in_training_goes_on_from_its_checkpoint(
    tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
):
    import_scenes(tmp_path / "data", (60, 10, 0), seed=3)
    root = tmp_path / "root"
    settings = [
        f"--set={assignment}" for assignment in [*SETTINGS, "gate.min_bleu_4=0", "gate.min_cider_d=0"]
    ]
    command = [sys.executable, "-m", "pipeline.cli", "run", "--config=demo"]
    command += [f"--data={tmp_path / 'data'}", f"--root={root}", *settings]
    _kill_when(root / "checkpoints", "*/*/checkpoint", command, tmp_path / "log")
    assert not (root / "serving").exists()

    config = small_config()
    config = config.replace(gate=config.gate.replace(min_bleu_4=0.0, min_cider_d=0.0))
    capfd.readouterr()
    outcome = run_pipeline.run(config, str(tmp_path / "data"), str(root))
    progress = capfd.readouterr().err
    assert "epoch  1 of" not in progress, "the first epoch was done before the kill"
    assert "epoch 12 of 12" in progress
    assert outcome.pushed is not None
    assert not list((root / "checkpoints").iterdir()), "nothing is left of a finished training"
