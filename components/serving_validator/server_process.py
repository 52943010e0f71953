"""The embedded server in a process of its own, on a free port, for the length of a `with` block."""

import pathlib
import subprocess
import sys
import tempfile
import time
from typing import Final, Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import get_model_status_pb2, model_service_pb2_grpc

from components.serving_validator.trial import Refused
from models import features

_POLL_S: Final = 0.2
_STOP_S: Final = 60.0
_LOG_LINES: Final = 20


class ServerProcess:
    """Runs `serving.server` on `model_dir`, with further `flags` of it.

    Attributes:
      address: `host:port`, once it is ready.
    """

    def __init__(self, model_dir: str, *flags: str):
        self._arguments = ["--model-dir", model_dir, "--port", "0", "--no-log-calls", "--until-eof", *flags]
        self.address = ""

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory()
        folder = pathlib.Path(self._folder.name)
        self._port_file, self._log_file = folder / "port", folder / "log"
        with self._log_file.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "serving.server", *self._arguments, "--port-file", self._port_file],
                stdin=subprocess.PIPE,  # ends with this process, however it ends; and the server with it
                stdout=log,
                stderr=log,
            )
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._folder.cleanup()

    def wait_ready(self, timeout_s: float) -> None:
        """Returns when the server says that it can answer.

        Raises Refused if the model does not load, the server ends, or the time is over.
        """
        deadline = time.monotonic() + timeout_s
        while not self._port_file.exists():
            self._check(deadline, "listen")
        self.address = f"127.0.0.1:{self._port_file.read_text()}"
        with grpc.insecure_channel(self.address) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            status = model_service_pb2_grpc.ModelServiceStub(channel)
            while True:
                try:
                    answer = health.Check(health_pb2.HealthCheckRequest(), timeout=10)
                    if answer.status == health_pb2.HealthCheckResponse.SERVING:
                        return
                    _raise_if_failed(status)
                except grpc.RpcError as error:
                    if error.code() not in (
                        grpc.StatusCode.NOT_FOUND,  # no version was looked at yet
                        grpc.StatusCode.UNAVAILABLE,
                        grpc.StatusCode.DEADLINE_EXCEEDED,
                    ):
                        raise
                self._check(deadline, "become ready")

    def log(self) -> str:
        """Returns what it wrote so far."""
        return self._log_file.read_text(errors="replace")

    @property
    def ended(self) -> int | None:
        """Its exit status; None while it runs."""
        return self._process.poll()

    def memory_mib(self) -> float:
        """Returns its resident memory."""
        status = pathlib.Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def _check(self, deadline: float, what: str) -> None:
        if self.ended is not None:
            raise Refused(
                f"the server ended with status {self.ended} before it could {what}:\n{self._log_tail()}"
            )
        if time.monotonic() > deadline:
            raise Refused(f"the server did not {what} in time:\n{self._log_tail()}")
        time.sleep(_POLL_S)

    def _log_tail(self) -> str:
        return "\n".join(self.log().splitlines()[-_LOG_LINES:])


def _raise_if_failed(stub: model_service_pb2_grpc.ModelServiceStub) -> None:
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = features.MODEL_NAME
    for version in stub.GetModelStatus(request, timeout=10).model_version_status:
        if version.status.error_code:
            raise Refused(f"the server cannot load the model: {version.status.error_message}")
