"""What a person is told when the server of Kubeflow Pipelines refuses, fails or is not there."""

import contextlib
import socket
import sys
from collections.abc import Iterator

import pytest

from pipeline import kfp_connection
from pipeline.errors import UserError
from pipeline.kfp_client import Access, Server
from pipeline.kfp_errors import ServerError
from pipeline.kfp_package import Package
from tests.pipeline.kfp.fake import Answer, FakeKfp

WEEKLY = "0 0 3 * * 1"
LOGIN = "<!doctype html><title>Sign in</title>"


@contextlib.contextmanager
def refusing() -> Iterator[str]:
    """An address at which nothing answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        yield f"http://localhost:{taken.getsockname()[1]}"


def test_nothing_answers():
    with refusing() as url, pytest.raises(ServerError, match=r"nothing answers.*port-forward") as raised:
        Server(Access(url))
    assert raised.value.passing


def test_no_such_machine():
    with pytest.raises(ServerError, match=r"no machine has the name in http://kubeflow\.invalid"):
        Server(Access("http://kubeflow.invalid"))


@pytest.mark.parametrize("endpoint", ["localhost:8888", "http://", "http://[half"])
def test_what_is_no_address(endpoint: str):
    with pytest.raises(UserError, match=r"--endpoint takes an address .*; got"):
        Server(Access(endpoint))


def test_no_request_waits_for_ever(fake: FakeKfp, monkeypatch: pytest.MonkeyPatch):
    server = Server(Access(fake.url))
    monkeypatch.setattr(kfp_connection, "_DEADLINE_S", (10, 0.05))
    fake.answers = [Answer("recurringruns", 0, "")]
    with pytest.raises(ServerError, match=r"did not answer to the end at the pause .* look before you"):
        server.pause("monday")


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (Answer("healthz", 200, LOGIN, "text/html"), "a web page, which is a sign-in page or another"),
        (Answer("healthz", 404, LOGIN, "text/html"), "has no API of Kubeflow Pipelines 2 (HTTP 404"),
        (
            Answer("healthz", 404, '{"code": 5, "message": "Not Found", "details": []}'),
            "https://HOST/pipeline",
        ),
        (Answer("healthz", 401, "Unauthorized", "text/plain"), "give --token-file, --cookies"),
        (Answer("healthz", 403, "RBAC: access denied", "text/plain"), "access denied; ask the owner"),
        (Answer("healthz", 503, "no upstream", "text/plain"), "(HTTP 503): no upstream; try again"),
    ],
)
def test_another_service_or_one_that_refuses(fake: FakeKfp, answer: Answer, complaint: str):
    # The kfp client asks a first time by itself when it is made.
    fake.answers = [answer, answer]
    with pytest.raises(ServerError) as raised:
        Server(Access(fake.url))
    assert complaint in str(raised.value)
    assert fake.url in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_session_that_ends_is_no_empty_answer(fake: FakeKfp, package: Package):
    server = Server(Access(fake.url))
    fake.answers = [Answer("recurringruns", 200, LOGIN, "text/html")]
    with pytest.raises(ServerError, match="sign in with"):
        server.schedule(package, {}, "weekly", "monday", WEEKLY)


@pytest.mark.parametrize(
    ("status", "body", "complaint"),
    [
        (
            400,
            '{"error": "Failed: Wrap: bad", "code": 3, "message": "Failed: Wrap: bad", "details": [{"@type": '
            '"type.googleapis.com/google.rpc.Status", "code": 3, "message": "The parameter is bad."}]}',
            "refused the schedule (HTTP 400): The parameter is bad",
        ),
        (
            400,
            '{"code": 3, "message": "deep", "details": [{"error_message": "The cron is wrong.", '
            '"error_details": "deep"}]}',
            "refused the schedule (HTTP 400): The cron is wrong",
        ),
        (400, '{"error_message": "Too large", "error_details": "deep"}', "(HTTP 400): Too large"),
        (400, "no JSON\nat all", "(HTTP 400): no JSON at all"),
        (400, "", "(HTTP 400): no reason given"),
        (403, '{"code": 7, "message": "anna is not authorized"}', "anna is not authorized; ask the"),
        (409, '{"code": 6, "message": "The name monday is taken"}', "is taken; choose another name"),
        (500, '{"code": 13, "message": "database is locked"}', "database is locked; try again, and"),
    ],
)
def test_what_the_server_says_is_told(
    fake: FakeKfp, package: Package, status: int, body: str, complaint: str
):
    server = Server(Access(fake.url))
    fake.answers = [Answer("recurringruns", status, body)]
    with pytest.raises(ServerError) as raised:
        server.schedule(package, {}, "weekly", "monday", WEEKLY)
    assert complaint in str(raised.value)
    assert raised.value.status == status
    assert raised.value.passing == (status >= 500)


def test_a_long_message_is_cut(fake: FakeKfp):
    server = Server(Access(fake.url))
    fake.answers = [Answer("experiments", 400, "x" * 100_000)]
    with pytest.raises(ServerError) as raised:
        server.schedules("weekly")
    assert len(str(raised.value)) < 1000


def test_what_is_not_there_is_named(fake: FakeKfp):
    with pytest.raises(ServerError, match=r"\(HTTP 404\): recurringruns nobody not found$"):
        Server(Access(fake.url)).pause("nobody")


def test_two_experiments_of_one_name(fake: FakeKfp):
    for number in ("1", "2"):
        fake.of("experiments")[number] = {"experiment_id": number, "display_name": "weekly"}
    with pytest.raises(UserError, match=r"Multiple experiments .* give another --experiment"):
        Server(Access(fake.url)).schedules("weekly")


@pytest.mark.parametrize("module", ["kfp", "kfp_server_api"])
def test_without_the_client_the_extra_is_named(fake: FakeKfp, monkeypatch: pytest.MonkeyPatch, module: str):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=r"pip install 'tfx-captioner\[kfp\]' does"):
        Server(Access(fake.url))
