"""For all tests: quiet libraries, the same random numbers, and the folder of real data."""

import os

# Read by the libraries when they are first imported, so this comes before everything else.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

import pathlib
import random
import sys

import numpy as np
import pytest

_DATA = pathlib.Path(__file__).parents[2] / "shared" / "data"


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With several processes (`-n`), a file's tests stay together, and so do all end-to-end tests.

    They share pipeline runs and models that take minutes to make. The longest group comes first.
    """
    e2e = pathlib.Path(__file__).parent / "e2e"

    def group(item: pytest.Item) -> str:
        return "e2e" if e2e in item.path.parents else str(item.path)

    for item in items:
        item.add_marker(pytest.mark.xdist_group(group(item)))
    items.sort(key=lambda item: group(item) != "e2e")  # stable


@pytest.fixture(autouse=True)
def same_random_numbers() -> None:
    """Every test starts from the same seeds, so that its result does not depend on which ran before."""
    random.seed(1)
    np.random.seed(1)
    if "keras" in sys.modules:  # not imported for the sake of tests that do without
        sys.modules["keras"].utils.set_random_seed(1)


@pytest.fixture(scope="session")
def real_data() -> pathlib.Path:
    """The folder of real data: CAPTION_DATA, else `shared/data` beside the checkout."""
    folder = pathlib.Path(os.environ.get("CAPTION_DATA", _DATA))
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder} (set CAPTION_DATA)")
    return folder


@pytest.fixture(scope="session")
def flickr8k(real_data: pathlib.Path) -> pathlib.Path:
    """The folder of Flickr8k."""
    folder = real_data / "flickr8k"
    if not (folder / "Flickr8k.token.txt").is_file():
        pytest.skip(f"no Flickr8k in {folder}")
    return folder
