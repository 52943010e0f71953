"""Several devices and several workers learn what one device learns from the same batches."""

import json
import os
import pathlib
import socket
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from models import distribution
from models.config import TrainConfig
from models.optimizer import adamw
from tests.models import train_on_replicas

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> dict[str, Any]:
    """The training on one device."""
    return train_on_replicas.train(tf.distribute.get_strategy(), str(tmp_path_factory.mktemp("alone")))


def start(kind: str, checkpoints: pathlib.Path, **environment: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "tests.models.train_on_replicas", kind, str(checkpoints)]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", **environment}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)


def result_of(process: subprocess.Popen) -> dict[str, Any]:
    try:
        output, _ = process.communicate(timeout=600)
    finally:
        process.kill()
    assert process.returncode == 0
    return json.loads(output.splitlines()[-1])


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("localhost", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def test_two_devices_equal_one(alone, tmp_path):
    both = result_of(start("mirrored", tmp_path))
    assert both["replicas"] == 2
    np.testing.assert_allclose(both["losses"], alone["losses"], rtol=1e-4)
    np.testing.assert_allclose(both["scores"], alone["scores"], rtol=1e-4)
    np.testing.assert_allclose(both["weights"], alone["weights"], atol=1e-4)


def test_two_workers_equal_one(alone, tmp_path):
    """Started as an operator for TensorFlow jobs does it: one program, TF_CONFIG tells them apart."""
    workers = [f"localhost:{port}" for port in free_ports(2)]
    processes = [
        start(
            "workers",
            tmp_path,
            TF_CONFIG=json.dumps(
                {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
            ),
        )
        for index in range(2)
    ]
    results = [result_of(process) for process in processes]
    assert [result["replicas"] for result in results] == [2, 2]
    assert [result["is_chief"] for result in results] == [True, False]
    for result in results:
        np.testing.assert_allclose(result["losses"], alone["losses"], rtol=1e-4)
        np.testing.assert_allclose(result["scores"], alone["scores"], rtol=1e-4)
    # The chief has the best weights in place, to export them.
    np.testing.assert_allclose(results[0]["weights"], alone["weights"], atol=1e-4)


def test_one_device_needs_no_strategy(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    strategy = distribution.make_strategy()
    assert strategy.num_replicas_in_sync == 1
    assert distribution.is_chief(strategy)


def test_the_learning_rate_grows_with_the_batch():
    def peak(replicas: int) -> float:
        optimizer = adamw(TrainConfig(learning_rate=1e-3, warmup_share=0.1), 100, replicas)
        return max(float(optimizer._learning_rate(step)) for step in range(100))

    assert peak(1) == pytest.approx(1e-3)
    assert peak(4) == pytest.approx(4e-3)


def test_float16_on_several_devices_is_refused_with_what_works():
    with pytest.raises(ValueError, match=r"one device, got 2; set mixed_bfloat16 or float32"):
        adamw(TrainConfig(), 10, 2, "float16")
