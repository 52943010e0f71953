"""The commands a user types after a run: serve and caption, as processes of their own."""

import json
import pathlib
import signal
import subprocess
import sys
import time

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.e2e.conftest import Small


@pytest.fixture(scope="module")
def server(small: Small, tmp_path_factory: pytest.TempPathFactory):
    port_file = tmp_path_factory.mktemp("server") / "port"
    command = [sys.executable, "-m", "pipeline.cli", "serve", "--model-dir", small.paths.serving]
    process = subprocess.Popen([*command, "--port", "0", "--port-file", str(port_file)])
    deadline = time.monotonic() + 120
    while not _is_ready(port_file):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)  # another process: there is nothing to wait on but what it says
    yield f"127.0.0.1:{port_file.read_text()}"
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0, "the server drains and ends well"


def _is_ready(port_file: pathlib.Path) -> bool:
    if not port_file.exists():
        return False
    with grpc.insecure_channel(f"127.0.0.1:{port_file.read_text()}") as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
    return answer.status == health_pb2.HealthCheckResponse.SERVING


def _caption(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline.cli", "caption", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def photo(small: Small, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    import tensorflow as tf

    shard = next(pathlib.Path(small.data, "span-0001").glob("test-*"))
    record = next(tf.data.TFRecordDataset(str(shard), "GZIP").as_numpy_iterator())
    path = tmp_path_factory.mktemp("photos") / "photo.jpg"
    path.write_bytes(
        tf.train.Example.FromString(record).features.feature["image/encoded"].bytes_list.value[0]
    )
    return path


def test_a_served_model_captions_a_photo(server: str, photo: pathlib.Path):
    answer = _caption("--server", server, "--json", str(photo))
    assert answer.returncode == 0, answer.stderr
    (line,) = map(json.loads, answer.stdout.splitlines())
    assert line["file"] == str(photo)
    assert line["captions"][0].split(), "a caption has words"
    assert len(line["captions"]) == len(line["log_probs"]) == 3
    assert all(log_prob < 0 for log_prob in line["log_probs"])


def test_bad_files_are_named_and_the_good_one_is_captioned(server: str, photo: pathlib.Path):
    text = photo.with_name("notes.jpg")
    text.write_text("not an image")
    answer = _caption("--server", server, str(photo), str(text), "nowhere.jpg")
    assert answer.returncode == 1
    assert answer.stdout.startswith(f"{photo}: ")
    assert str(text) in answer.stderr
    assert "nowhere.jpg" in answer.stderr


def test_no_server_is_a_readable_error(photo: pathlib.Path):
    answer = _caption("--server", "127.0.0.1:1", "--timeout", "2", str(photo))
    assert answer.returncode == 1
    assert "127.0.0.1:1" in answer.stderr
    assert "Traceback" not in answer.stderr
