"""Beam engines on this machine, each as the flags that a user would give.

The jobs' code runs in other processes: the workers of an external pool, as beside a cluster's task managers.
"""

import contextlib
import glob
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Final

import pytest

DIRECT: Final = ("--runner=DirectRunner", "--allow_unsafe_triggers")
_ROOT: Final = pathlib.Path(__file__).parents[2]
_START_SECONDS: Final = 120.0


@contextlib.contextmanager
def worker_pool(folder: pathlib.Path) -> Iterator[tuple[str, ...]]:
    """Starts a pool of worker processes; yields the flags that name it."""
    with _service("apache_beam.runners.worker.worker_pool_main", "--service_port", folder) as address:
        yield ("--environment_type=EXTERNAL", f"--environment_config={address}")


@contextlib.contextmanager
def portable(folder: pathlib.Path) -> Iterator[tuple[str, ...]]:
    """Beam's own job service: the protocol of all portable engines, in Python."""
    with (
        worker_pool(folder) as workers,
        _service("apache_beam.runners.portability.local_job_service_main", "--port", folder) as address,
    ):
        yield ("--runner=PortableRunner", f"--job_endpoint={address}", *workers)


@contextlib.contextmanager
def prism(folder: pathlib.Path) -> Iterator[tuple[str, ...]]:
    """Beam's Prism, an engine in Go. Skips where `CAPTION_PRISM` or the path does not give the program."""
    program = os.environ.get("CAPTION_PRISM") or shutil.which("prism")
    if not program:
        pytest.skip("no Prism: name its program by CAPTION_PRISM (go install .../sdks/v2/go/cmd/prism)")
    with worker_pool(folder) as workers:
        yield ("--runner=PrismRunner", f"--prism_location={program}", *workers)


@contextlib.contextmanager
def flink(folder: pathlib.Path) -> Iterator[tuple[str, ...]]:
    """Apache Flink: the cluster that `CAPTION_FLINK_MASTER` names, else one inside Beam's job server.

    Skips where there is no jar of the job server.
    """
    jar = _flink_jar()
    if not jar or not shutil.which("java"):
        pytest.skip("no Java, or no jar of Beam's Flink job server: name it by CAPTION_FLINK_JAR")
    master = os.environ.get("CAPTION_FLINK_MASTER", "[local]")
    with worker_pool(folder) as workers:
        yield (
            "--runner=FlinkRunner",
            f"--flink_job_server_jar={jar}",
            f"--flink_master={master}",
            "--parallelism=2",
            # Without it one task reads all files.
            "--experiments=pre_optimize=all",
            *workers,
        )


ENGINES: Final = {"portable": portable, "prism": prism, "flink": flink}


def _flink_jar() -> str:
    """The jar that `CAPTION_FLINK_JAR` names, or the newest that Maven or Beam has fetched; else nothing."""
    name = "beam-runners-flink-*-job-server*.jar"
    places = (
        f"~/.m2/repository/org/apache/beam/*/*/{name}",
        f"~/.apache_beam/cache/jars/{name}",
    )
    there = [path for place in places for path in glob.glob(os.path.expanduser(place))]
    return os.environ.get("CAPTION_FLINK_JAR") or max(there, key=os.path.getmtime, default="")


@contextlib.contextmanager
def _service(module: str, port_flag: str, folder: pathlib.Path) -> Iterator[str]:
    """Runs one of Beam's services while the block runs; yields its address."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    # The pool starts `python`, which has to be this one; workers import the tests' own code, too.
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(_ROOT)}
    log = folder / f"{module.rpartition('.')[2]}.log"
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", module, port_flag, str(port)],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        try:
            _wait_for(port, process, log)
            yield f"localhost:{port}"
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # with the workers of a pool; they keep nothing
            process.wait()


def _wait_for(port: int, process: subprocess.Popen, log: pathlib.Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("localhost", port), 1):
            return
        time.sleep(0.2)
    raise RuntimeError(f"expected a service on port {port}; its log is {log.read_text()[-2000:]}")
