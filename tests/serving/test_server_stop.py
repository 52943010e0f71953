"""The server ends in bounded time, whatever is under way, and leaves nothing running when it cannot start."""

import asyncio
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from serving import embedded
from serving.options import ServerOptions
from tests.serving import support


class Stuck:
    """Stands for a model whose load hangs in native code."""

    entered, door = threading.Event(), threading.Event()

    def __init__(self, path, precision):
        self.entered.set()
        assert self.door.wait(30)
        raise OSError("let go")


@pytest.fixture
def version(tmp_path: pathlib.Path) -> pathlib.Path:
    """The folder of a version that nobody will read."""
    folder = tmp_path / "1"
    folder.mkdir()
    (folder / "saved_model.pb").touch()
    return folder


def test_stopping_does_not_wait_for_a_load(version, monkeypatch):
    monkeypatch.setattr(embedded, "SavedModel", Stuck)
    monkeypatch.setattr(embedded, "_CLOSE_S", 0.5)
    try:
        with support.server_in_thread(version.parent, drain_s=0.5):
            assert Stuck.entered.wait(30)
            began = time.monotonic()
        assert time.monotonic() - began < 10
    finally:
        Stuck.door.set()


def test_a_server_that_cannot_tell_its_port_unloads_and_frees_the_port(saved_model, monkeypatch):
    closed: list[embedded.ModelSet] = []
    close = embedded.ModelSet.close

    async def recording(models: embedded.ModelSet) -> None:
        await close(models)
        closed.append(models)

    monkeypatch.setattr(embedded.ModelSet, "close", recording)
    ports: list[int] = []

    def no_folder_for_the_file(port: int) -> None:
        ports.append(port)
        raise FileNotFoundError("no folder for the port file")

    options = ServerOptions(str(saved_model.parent), port=0)
    with pytest.raises(FileNotFoundError, match="no folder for the port file"):
        asyncio.run(embedded.serve(options, asyncio.Event(), no_folder_for_the_file))
    assert len(closed) == 1
    with socket.socket() as other:
        other.bind(("127.0.0.1", ports[0]))


HANGING = """
import sys, time
from serving import embedded, server

def hang(path, precision):
    print("hangs", file=sys.stderr, flush=True)
    time.sleep(60)

embedded.SavedModel = hang
sys.exit(server.main(["--model-dir", sys.argv[1], "--port", "0", "--poll", "0.1", "--drain", "1"]))
"""


def test_a_server_ends_with_the_program_that_started_it(tmp_path: pathlib.Path):
    """As a run that is killed leaves it: nobody tells the server, but the pipe to it breaks."""
    arguments = ["--model-dir", str(tmp_path), "--port", "0", "--drain", "1", "--until-eof"]
    process = subprocess.Popen(
        [sys.executable, "-m", "serving.server", *arguments, "--port-file", str(tmp_path / "port")],
        stdin=subprocess.PIPE,
    )
    try:
        while not (tmp_path / "port").exists():
            assert process.poll() is None
            time.sleep(0.05)
        process.stdin.close()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


def test_sigterm_ends_the_process_though_a_load_hangs(version):
    process = subprocess.Popen(
        [sys.executable, "-c", HANGING, str(version.parent)], stderr=subprocess.PIPE, text=True
    )
    try:
        assert any(line == "hangs\n" for line in process.stderr)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert "Not waiting for the thread loader" in process.stderr.read()
    finally:
        process.kill()
        process.stderr.close()
        process.wait()
