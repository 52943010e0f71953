"""The server under test: the one at CAPTION_SERVER, else the embedded one in a process of its own."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import grpc
import pytest

from tests.serving import support


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a server with a caption model named `captioner`."""
    given = os.environ.get("CAPTION_SERVER")
    if given:
        yield given
        return
    folder = tmp_path_factory.mktemp("served")
    support.save_model(folder, 1)
    port_file = folder / "port"
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "serving.server",
            "--model-dir",
            folder,
            "--port",
            "0",
            "--port-file",
            port_file,
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        support.wait_until(lambda: port_file.exists() or process.poll() is not None)
        address = f"127.0.0.1:{port_file.read_text()}"
        support.wait_ready(address)
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=60)
    assert process.returncode == 0, log
    assert "Stopped" in log
    assert not re.search(r"absl::InitializeLog|oneDNN|\.cc:\d+", log), (
        f"TensorFlow's log is not silent: {log}"
    )


@pytest.fixture(scope="session")
def channel(address: str) -> Iterator[grpc.Channel]:
    """A channel to the server."""
    with grpc.insecure_channel(address) as channel:
        yield channel
