"""The client asks, gives typed answers, retries only what deserves it and says what is wrong in words."""

import concurrent.futures
import re
import threading
import time

import grpc
import pytest

from models import features
from serving import client_calls, errors
from serving.client import CaptionClient, CaptionOptions, Captions
from serving.client_settings import Settings
from tests.serving import scripted
from tests.serving.scripted import texts
from tests.serving.support import jpeg

Code = grpc.StatusCode


def test_answers_are_typed(client):
    assert client.caption([jpeg()]) == [Captions(("40 x 30", "a picture"), (-1.25, -2.5))]


def test_no_pictures_need_no_server():
    with CaptionClient("127.0.0.1:9") as client:
        assert client.caption([]) == []


def test_bad_pictures_alone_need_no_server():
    with CaptionClient("127.0.0.1:9") as client:
        assert isinstance(client.caption([b"bad"])[0], errors.NotAnImage)


def test_an_answer_of_another_kind_of_model_is_refused(client, server):
    server.outputs = {"scores": [[0.5]]}
    with pytest.raises(errors.RequestRefused, match="not that of a caption model"):
        client.caption([jpeg()])


def test_an_answer_about_another_number_of_pictures_is_refused(client, server):
    server.outputs = {
        features.CAPTION_OUTPUT: [["a"]] * 3,
        features.LOG_PROB_OUTPUT: [[-1.0]] * 3,
        features.STATUS_OUTPUT: [features.STATUS_OK] * 3,
    }
    with pytest.raises(errors.RequestRefused, match="for 2 images"):
        client.caption([jpeg()] * 2)


def test_rows_that_only_fill_up_are_no_captions(client, server):
    server.outputs = {
        features.CAPTION_OUTPUT: [["a", "b", "", ""]],
        features.LOG_PROB_OUTPUT: [[-1.0, -2.0, 0.0, 0.0]],
        features.STATUS_OUTPUT: [features.STATUS_OK],
    }
    assert client.caption([jpeg()], CaptionOptions(num=2)) == [Captions(("a", "b"), (-1.0, -2.0))]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (features.STATUS_NOT_AN_IMAGE, errors.NotAnImage),
        ("expected 1 <= captions <= 5", errors.OptionRefused),
    ],
)
def test_what_the_model_says_of_a_picture_becomes_its_error(client, server, status, error):
    server.outputs = {
        features.CAPTION_OUTPUT: [["a"], [""]],
        features.LOG_PROB_OUTPUT: [[-1.0], [0.0]],
        features.STATUS_OUTPUT: [features.STATUS_OK, status],
    }
    good, bad = client.caption([jpeg()] * 2)
    assert good == Captions(("a",), (-1.0,))
    assert (type(bad), str(bad)) == (error, status)


def test_files_are_read_and_those_that_cannot_be_are_said(client, tmp_path):
    (tmp_path / "photo.jpg").write_bytes(jpeg())
    names = [str(tmp_path / name) for name in ("photo.jpg", "none.jpg", "photo.jpg")]
    answers = list(client.caption_files(names))
    assert [name for name, _ in answers] == names
    assert texts(answer for _, answer in answers) == ["40 x 30", None, "40 x 30"]
    assert isinstance(answers[1][1], errors.NoSuchFile)


def test_unavailable_is_tried_again(client, server):
    server.script = [Code.UNAVAILABLE] * 2
    assert texts(client.caption([jpeg()])) == ["40 x 30"]
    assert len(server.calls) == 3


def test_unavailable_for_long_is_an_error(client, server):
    server.script = [Code.UNAVAILABLE] * 10
    with pytest.raises(errors.ServerUnreachable, match="captioner serve"):
        client.caption([jpeg()])
    assert len(server.calls) == 4


class Unavailable(grpc.RpcError):
    """An attempt that failed."""

    def code(self):
        return Code.UNAVAILABLE

    def details(self):
        return ""


def test_the_deadline_covers_all_attempts(monkeypatch):
    """Steps of the conversation, by a clock that only the test moves."""
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    conversation = client_calls.Calls(Settings(timeout_s=5.0)).caption([jpeg()], None)
    send = next(conversation)
    assert send.timeout_s == 5.0
    now += 1.0
    wait = conversation.throw(Unavailable())
    now += wait.seconds
    assert next(conversation).timeout_s == pytest.approx(4.0 - wait.seconds)
    now = 1004.9
    with pytest.raises(errors.ServerUnreachable):
        conversation.throw(Unavailable())


def test_no_attempt_begins_after_the_deadline(address, server):
    server.script = [Code.UNAVAILABLE] * 10
    began = time.monotonic()
    with CaptionClient(address, timeout_s=0.15) as client, pytest.raises(errors.ServerUnreachable):
        client.caption([jpeg()])
    assert time.monotonic() - began < 2
    assert len(server.calls) <= 2


def test_the_waits_are_random(client, server, monkeypatch):
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    for _ in range(4):
        server.script = [Code.UNAVAILABLE] * 3
        client.caption([jpeg()])
    first, second, third = waits[0::3], waits[1::3], waits[2::3]
    assert all(0.1 <= wait <= 0.2 for wait in first)
    assert all(0.2 <= wait <= 0.4 for wait in second)
    assert all(0.4 <= wait <= 0.8 for wait in third)
    assert len(set(waits)) == 12


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (Code.RESOURCE_EXHAUSTED, errors.ServerOverloaded),
        (Code.NOT_FOUND, errors.ModelNotLoaded),
        (Code.DEADLINE_EXCEEDED, errors.DeadlineExceeded),
        (Code.UNAUTHENTICATED, errors.NotAllowed),
        (Code.PERMISSION_DENIED, errors.NotAllowed),
        (Code.UNIMPLEMENTED, errors.RequestRefused),
        (Code.FAILED_PRECONDITION, errors.RequestRefused),
        (Code.INVALID_ARGUMENT, errors.RequestRefused),
        (Code.INTERNAL, errors.RequestRefused),
    ],
)
def test_nothing_else_is_tried_again(client, server, code, error):
    server.script = [code]
    with pytest.raises(error):
        client.caption([jpeg()])
    assert len(server.calls) == 1


@pytest.mark.parametrize(
    ("code", "details", "error", "words"),
    [
        (
            Code.UNAUTHENTICATED,
            "no token",
            errors.NotAllowed,
            "it asks for a token; give one .* --token-file",
        ),
        (Code.UNIMPLEMENTED, "Method not found!", errors.RequestRefused, "is it another port"),
        (
            Code.FAILED_PRECONDITION,
            'Serving signature key "beam" not found.',
            errors.RequestRefused,
            "lacks the signature 'beam'",
        ),
        (
            Code.UNAVAILABLE,
            "The batch scheduling queue to which this task was submitted is full",
            errors.ServerOverloaded,
            "has no room",
        ),
        (Code.INVALID_ARGUMENT, "captions is at most 64; got 100", errors.RequestRefused, "at most 64"),
    ],
)
def test_errors_say_what_to_do(client, server, code, details, error, words):
    server.script = [(code, details)] * 4
    with pytest.raises(error, match=words):
        client.caption([jpeg()] * 2, CaptionOptions(num=100))
    assert set(server.counts) == {2}, "none of these is put right by smaller requests"


def test_the_deadline_holds(address, server):
    server.script = [1.0]
    with (
        CaptionClient(address, timeout_s=0.1) as client,
        pytest.raises(errors.DeadlineExceeded, match=r"no answer in 0\.1 s"),
    ):
        client.caption([jpeg()])


def test_nobody_there_is_said_within_the_deadline():
    # Port 9 (discard) needs root to listen on: nobody is there.
    with (
        CaptionClient("127.0.0.1:9", timeout_s=5) as client,
        pytest.raises(errors.ServerUnreachable, match=r"no server answers at 127\.0\.0\.1:9"),
    ):
        client.caption([jpeg()])


def test_a_server_that_comes_back_is_found_again(server):
    with scripted.serving(server) as address:
        client = CaptionClient(address, timeout_s=20)
        client.caption([jpeg()])
    with client, concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.caption, [jpeg()])
        time.sleep(0.3)  # it is refused in the meantime, and waits
        with scripted.serving(server, port=int(address.rpartition(":")[2])):
            assert texts(waiting.result(20)) == ["40 x 30"]


def test_each_call_has_an_id_that_its_errors_tell(client, server):
    client.caption([jpeg()] * 5)
    server.script = [Code.UNAVAILABLE, Code.INTERNAL]
    with pytest.raises(errors.RequestRefused) as caught:
        client.caption([jpeg()])
    first, second, attempt, retried = (call.metadata["x-request-id"] for call in server.calls)
    assert len({first, second, attempt}) == 3
    assert attempt == retried == caught.value.request_id
    assert re.fullmatch("[0-9a-f]{32}", attempt)
    assert str(caught.value).endswith(f"(request id {attempt})")


def test_threads_share_a_client(client, server):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda i: client.caption([jpeg(40 + i)]), range(40)))
    assert [texts(answer) for answer in answers] == [[f"{40 + i} x 30"] for i in range(40)]
    assert len({call.metadata["x-request-id"] for call in server.calls}) == 40


def test_closing_ends_the_calls_that_wait(address, server):
    release = threading.Event()
    server.script = [release]
    client = CaptionClient(address)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.caption, [jpeg()])
        while not server.calls:
            time.sleep(0.01)
        client.close()
        with pytest.raises(errors.RequestRefused, match="CANCELLED"):
            waiting.result(10)
        release.set()
