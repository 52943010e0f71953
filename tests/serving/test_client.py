"""The client retries only what deserves it and says what is wrong in words."""

import concurrent.futures
import json
import pathlib
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator

import grpc
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from models import features
from pipeline.commands import caption
from pipeline.errors import UserError
from serving import errors
from serving.client import CaptionClient, Captions
from tests.serving.support import jpeg


class Scripted(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Answers each call with the next of `script`: a status to abort with, a delay in seconds, or None."""

    def __init__(self):
        self.script: list[grpc.StatusCode | float | None] = []
        self.calls: list[int] = []
        self.outputs: dict | None = None  # instead of captions

    def Predict(self, request, context):
        count = request.inputs[features.IMAGE_BYTES_INPUT].tensor_shape.dim[0].size
        assert context.time_remaining() < 3600, "every call has a deadline"
        self.calls.append(count)
        step = self.script.pop(0) if self.script else None
        if isinstance(step, float):
            time.sleep(step)
        elif step is not None:
            context.abort(step, "as scripted")
        response = predict_pb2.PredictResponse()
        captions = {
            features.CAPTION_OUTPUT: [["a café"]] * count,
            features.LOG_PROB_OUTPUT: [[-1.25]] * count,
            features.STATUS_OUTPUT: [features.STATUS_OK] * count,
        }
        for name, value in (self.outputs or captions).items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return response


@pytest.fixture(scope="module")
def scripted_address() -> Iterator[tuple[Scripted, str]]:
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
    service = Scripted()
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield service, f"127.0.0.1:{port}"
    server.stop(None).wait()


@pytest.fixture
def server(scripted_address: tuple[Scripted, str]) -> Scripted:
    service, _ = scripted_address
    service.script, service.calls, service.outputs = [], [], None
    return service


@pytest.fixture
def client(scripted_address: tuple[Scripted, str]) -> Iterator[CaptionClient]:
    with CaptionClient(scripted_address[1], timeout_s=20, max_batch=4) as client:
        yield client


@pytest.fixture
def run_command(scripted_address: tuple[Scripted, str]) -> Callable[..., int]:
    def run(*arguments: object) -> int:
        parser = ArgumentParser()
        caption.add_arguments(parser)
        return caption.run(parser.parse_args([*map(str, arguments), "--server", scripted_address[1]]))

    return run


@pytest.fixture
def photos(tmp_path: pathlib.Path) -> dict[str, pathlib.Path]:
    files = {name: tmp_path / f"{name}.jpg" for name in ("good", "bad", "none")}
    files["good"].write_bytes(jpeg())
    files["bad"].write_text("this is no picture")
    return files


def test_answers_are_typed(client, server):
    assert client.caption([jpeg()]) == [Captions(("a café",), (-1.25,))]


def test_unavailable_is_tried_again(client, server):
    server.script = [grpc.StatusCode.UNAVAILABLE] * 2
    assert isinstance(client.caption([jpeg()])[0], Captions)
    assert len(server.calls) == 3


def test_unavailable_for_long_is_an_error(client, server):
    server.script = [grpc.StatusCode.UNAVAILABLE] * 10
    with pytest.raises(errors.ServerUnreachable, match="captioner serve"):
        client.caption([jpeg()])
    assert len(server.calls) == 4


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (grpc.StatusCode.RESOURCE_EXHAUSTED, errors.ServerOverloaded),
        (grpc.StatusCode.NOT_FOUND, errors.ModelNotLoaded),
        (grpc.StatusCode.DEADLINE_EXCEEDED, errors.DeadlineExceeded),
        (grpc.StatusCode.INVALID_ARGUMENT, errors.RequestRefused),
        (grpc.StatusCode.INTERNAL, errors.RequestRefused),
    ],
)
def test_nothing_else_is_tried_again(client, server, code, error):
    server.script = [code]
    with pytest.raises(error):
        client.caption([jpeg()])
    assert len(server.calls) == 1


def test_the_deadline_holds(scripted_address, server):
    server.script = [1.0]
    with (
        CaptionClient(scripted_address[1], timeout_s=0.1) as client,
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


def test_long_lists_are_split_and_keep_their_order(client, server):
    images = [jpeg(), b"bad"] * 5
    answers = client.caption(images)
    assert [isinstance(answer, Captions) for answer in answers] == [True, False] * 5
    assert server.calls == [2, 2, 1], "batches of 4, less the bad ones"


def test_bad_pictures_alone_need_no_server():
    with CaptionClient("127.0.0.1:9") as client:
        assert isinstance(client.caption([b"bad"])[0], errors.NotAnImage)


def test_an_answer_of_another_kind_of_model_is_refused(client, server):
    server.outputs = {"scores": [[0.5]]}
    with pytest.raises(errors.RequestRefused, match="not that of a caption model"):
        client.caption([jpeg()])


def test_the_command_prints_the_best_caption_of_each_photo(run_command, server, photos, capsys):
    assert run_command(photos["good"], photos["good"]) == 0
    assert capsys.readouterr().out == f"{photos['good']}: a café\n" * 2


def test_the_command_goes_on_after_a_bad_file_and_fails_at_the_end(run_command, server, photos, capsys):
    assert run_command(photos["none"], photos["bad"], photos["good"]) == 1
    out, err = capsys.readouterr()
    assert out == f"{photos['good']}: a café\n"
    assert err.splitlines()[0] == f"{photos['none']}: no such file"
    assert err.splitlines()[1].startswith(f"{photos['bad']}: not an image")


def test_the_command_writes_json_lines(run_command, server, photos, capsys):
    assert run_command("--json", photos["good"], photos["none"]) == 1
    good, missing = map(json.loads, capsys.readouterr().out.splitlines())
    assert good == {"file": str(photos["good"]), "captions": ["a café"], "log_probs": [-1.25]}
    assert missing == {"file": str(photos["none"]), "error": "no such file"}


def test_the_command_says_why_the_server_did_not_answer(run_command, server, photos):
    server.script = [grpc.StatusCode.NOT_FOUND]
    with pytest.raises(UserError, match="no model 'captioner' ready"):
        run_command(photos["good"])


def test_a_timeout_of_zero_is_refused(run_command, photos):
    with pytest.raises(UserError, match="--timeout"):
        run_command("--timeout", "0", photos["good"])
