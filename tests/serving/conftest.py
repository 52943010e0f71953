"""A saved model and a server for it, shared by the tests of this folder."""

import pathlib
from collections.abc import Iterator

import pytest

from tests.serving import support


@pytest.fixture(scope="session")
def saved_model(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Folder of version 1, to copy from."""
    return support.save_model(tmp_path_factory.mktemp("models"), 1)


@pytest.fixture(scope="module")
def address(saved_model: pathlib.Path) -> Iterator[str]:
    """Address of a ready server of version 1."""
    with support.server_in_thread(saved_model.parent) as address:
        support.wait_ready(address)
        yield address
