"""Only calls with a token of the file are answered; the file may change while the server runs."""

import os
import threading
from collections.abc import Iterator

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tensorflow_serving.apis import prediction_service_pb2_grpc

from serving import tokens, watching
from serving.errors import ServingError
from tests.serving import support
from tests.serving.support import jpeg, predict_request

GOOD, OTHER = "0123456789abcdef-good", "0123456789abcdef-other"


def bearer(token: str) -> tuple:
    return (("authorization", f"Bearer {token}"),)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "tokens"
    path.write_text(f"# who\nphoto-app {GOOD}\n\n{OTHER}\n")
    return path


def test_a_known_token_says_who_calls(file):
    known = tokens.Tokens(str(file))
    assert known.check(bearer(GOOD)) == "photo-app"
    assert known.check(bearer(OTHER)) == "line 4"
    assert known.check((("authorization", f"bearer  {GOOD} "),)) == "photo-app"


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ((), "this server wants a token"),
        ((("authorization", "Basic dXNlcjpwYXNz"),), "got another scheme"),
        (bearer("0123456789abcdef-wrong"), "not known here"),
        (bearer(""), "not known here"),
    ],
)
def test_any_other_call_is_unauthenticated(file, metadata, words):
    with pytest.raises(ServingError, match=words) as caught:
        tokens.Tokens(str(file)).check(metadata)
    assert caught.value.code is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "holds no token"), ("# only this\n", "holds no token"), ("short\n", ":1: expected TOKEN"),
     (f"a b {GOOD}\n", ":1: expected TOKEN")],
)  # fmt: skip
def test_a_file_without_good_tokens_is_refused(tmp_path, text, words):
    path = tmp_path / "tokens"
    path.write_text(text)
    with pytest.raises(ValueError, match=words):
        tokens.Tokens(str(path))


def test_the_file_is_read_again_when_it_changes_and_a_broken_one_changes_nothing(file, monkeypatch):
    monkeypatch.setattr(watching, "_LOOK_S", 0.0)
    known = tokens.Tokens(str(file))
    file.write_text("broken\n")
    assert known.check(bearer(GOOD)) == "photo-app"
    os.unlink(file)
    assert known.check(bearer(GOOD)) == "photo-app"
    file.write_text(f"{OTHER} {OTHER}-new\n")
    assert known.check(bearer(f"{OTHER}-new")) == OTHER
    with pytest.raises(ServingError):
        known.check(bearer(GOOD))


def test_a_server_with_tokens_answers_nobody_else_but_probes(file, saved_model):
    with support.server_in_thread(saved_model.parent, token_file=str(file)) as address:
        support.wait_ready(address)
        with grpc.insecure_channel(address) as channel:
            predict = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict
            assert predict(predict_request([jpeg()]), timeout=30, metadata=bearer(GOOD)).outputs
            with pytest.raises(grpc.RpcError) as caught:
                predict(predict_request([jpeg()]), timeout=30)
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
            assert health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=30)
            reflect = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo
            request = reflection_pb2.ServerReflectionRequest(list_services="")
            with pytest.raises(grpc.RpcError) as caught:
                next(reflect(iter([request]), timeout=30))
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_who_may_not_call_is_told_so_before_a_message_is_read(tmp_path, file):
    """Else everybody could fill the server's memory with messages that are refused once they are there."""
    with (
        support.server_in_thread(tmp_path, token_file=str(file)) as address,
        grpc.insecure_channel(address) as channel,
    ):
        upload = channel.stream_unary("/tensorflow.serving.PredictionService/Predict")
        sent = threading.Event()

        def never() -> Iterator[bytes]:
            sent.wait(30)
            yield from ()

        with pytest.raises(grpc.RpcError) as caught:
            upload(never(), timeout=5)
        sent.set()
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_refused_calls_are_logged_and_their_method_cannot_forge_a_line(tmp_path, file, caplog):
    with (
        caplog.at_level("INFO", logger="absl"),
        support.server_in_thread(tmp_path, token_file=str(file)) as address,
        grpc.insecure_channel(address) as channel,
    ):
        for method in ("/x/Predict", "/x/Predict code=OK user=admin"):
            with pytest.raises(grpc.RpcError):
                channel.unary_unary(method)(b"", timeout=30)
    calls = [record.call for record in caplog.records if hasattr(record, "call")]
    assert [call["code"] for call in calls] == ["UNAUTHENTICATED"] * 2
    assert [call.get("method", "") for call in calls] == ["Predict", ""]
    assert "admin" not in caplog.text
