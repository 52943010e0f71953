"""For all tests: quiet libraries, the same random numbers, and the folder of real data."""

import os

# Read by the libraries when they are first imported, so this comes before everything else.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

if "PYTEST_XDIST_WORKER" in os.environ:  # a process a core: more threads are in each other's way
    for _threads in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(_threads, "1")

import contextlib
import pathlib
import random
import sys
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pytest

_E2E: Final = "tests/e2e/"
_OWN_RUN: Final = "tests/e2e/test_kill.py"
# What takes minutes comes first, else one process is left with it when the other has nothing to do any more.
_LONG: Final = (_E2E, "tests/kubeflow/test_compiled_run.py", "tests/beam/")
# The folder of real data, which may be absent: tests of it are skipped then.
DATA: Final = pathlib.Path(
    os.environ.get("CAPTION_DATA", pathlib.Path(__file__).parents[2] / "shared" / "data")
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest come first."""
    items.sort(key=lambda item: not item.nodeid.startswith(_LONG))  # stable


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With several processes (`-n`), a file's tests stay together, and so do the end-to-end tests.

    They share pipeline runs and models that take minutes to make. One file of them has a run of its own.
    """
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False  # files with most tests first: the longest have few

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            shares = nodeid.startswith(_E2E) and not nodeid.startswith(_OWN_RUN)
            return _E2E if shares else super()._split_scope(nodeid)

    return Scheduling(config, log)


@pytest.fixture(autouse=True)
def same_random_numbers() -> None:
    """Every test starts from the same seeds, so that its result does not depend on which ran before."""
    random.seed(1)
    np.random.seed(1)
    if "keras" in sys.modules:  # not imported for the sake of tests that do without
        sys.modules["keras"].utils.set_random_seed(1)


@contextlib.contextmanager
def without_java() -> Iterator[None]:
    """METEOR takes seconds to start and has tests of its own."""
    from models.metrics import meteor

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(meteor, "find", lambda: meteor.Unavailable("left out of this test"))
        yield


@pytest.fixture(scope="session")
def real_data() -> pathlib.Path:
    """The folder of real data: CAPTION_DATA, else `shared/data` beside the checkout."""
    if not DATA.is_dir():
        pytest.skip(f"no real data in {DATA} (set CAPTION_DATA)")
    return DATA


@pytest.fixture(scope="session")
def flickr8k(real_data: pathlib.Path) -> pathlib.Path:
    """The folder of Flickr8k."""
    folder = real_data / "flickr8k"
    if not (folder / "Flickr8k.token.txt").is_file():
        pytest.skip(f"no Flickr8k in {folder}")
    return folder
