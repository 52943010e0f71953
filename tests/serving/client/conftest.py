"""A server that answers as it is told, and a client of it."""

from collections.abc import Iterator

import pytest

from serving.client import CaptionClient
from tests.serving import scripted
from tests.serving.scripted import Scripted


@pytest.fixture
def server() -> Scripted:
    return Scripted()


@pytest.fixture
def address(server: Scripted) -> Iterator[str]:
    with scripted.serving(server) as address:
        yield address


@pytest.fixture
def client(address: str) -> Iterator[CaptionClient]:
    with CaptionClient(address, timeout_s=20, max_batch=4) as client:
        yield client
