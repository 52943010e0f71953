"""A server that does what a test tells it, with TensorFlow Serving's own messages."""

import concurrent.futures
import contextlib
import dataclasses
import io
import threading
import time
from collections.abc import Iterator

import grpc
import tensorflow as tf
from PIL import Image
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from models import features
from serving.client import Captions

Step = grpc.StatusCode | tuple[grpc.StatusCode, str] | float | threading.Event | threading.Barrier | None


@dataclasses.dataclass(frozen=True)
class Call:
    """What came in one call."""

    signature: str
    images: list[bytes]
    options: dict[str, list]
    spec: predict_pb2.PredictRequest
    metadata: dict[str, str]
    time_left_s: float


class Scripted(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Answers each call with the next of `script`: a status to abort with, a delay in seconds, or None.

    What `by_width` has for the width of the first picture comes before that, for calls in no sure order. An
    event is waited for; at a barrier, calls wait for one another. Without an instruction every picture gets
    the caption "W x H", log-probability -1.25, and "a picture", -2.5.
    """

    def __init__(self):
        self.script: list[Step] = []
        self.by_width: dict[int, Step] = {}
        self.calls: list[Call] = []
        self.outputs: dict | None = None  # instead of captions
        self.most_images: int | None = None
        self.most_pixels: int | None = None
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()

    @property
    def counts(self) -> list[int]:
        """Pictures of each call."""
        return [len(call.images) for call in self.calls]

    def Predict(self, request, context):
        assert context.time_remaining() < 3600, "every call has a deadline"
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            call = _call(request, context)
            self.calls.append(call)
            step = self.by_width.get(_size(call.images[0])[0])
            if step is None and self.script:
                step = self.script.pop(0)
        try:
            self._do(step, context)
            self._check_limits(call, context)
        finally:
            with self._lock:
                self.at_once -= 1
        response = predict_pb2.PredictResponse()
        for name, value in (self.outputs or _captions(call)).items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return response

    def _do(self, step: Step, context) -> None:
        match step:
            case threading.Event():
                step.wait(30)
            case threading.Barrier():
                step.wait(30)
            case float():
                time.sleep(step)
            case grpc.StatusCode():
                context.abort(step, "as scripted")
            case (code, details):
                context.abort(code, details)

    def _check_limits(self, call: Call, context) -> None:
        count = len(call.images)
        if self.most_images and count > self.most_images:
            context.abort(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"Task size {count} is larger than maximum input batch size {self.most_images}",
            )
        for row, image in enumerate(call.images):
            width, height = _size(image)
            if self.most_pixels and width * height > self.most_pixels:
                context.abort(
                    grpc.StatusCode.INVALID_ARGUMENT,
                    f"an image has at most {self.most_pixels} pixels; image {row} has {width} x {height}",
                )


def texts(answers) -> list[str | None]:
    """The best caption of each picture; None where there is a reason instead."""
    return [answer.texts[0] if isinstance(answer, Captions) else None for answer in answers]


@contextlib.contextmanager
def serving(
    service: Scripted, credentials: grpc.ServerCredentials | None = None, options: tuple = (), port: int = 0
) -> Iterator[str]:
    """Runs `service`; yields its address."""
    server = grpc.server(
        concurrent.futures.ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0), *options]
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    if credentials is None:
        port = server.add_insecure_port(f"127.0.0.1:{port}")
    else:
        port = server.add_secure_port(f"127.0.0.1:{port}", credentials)
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def _call(request, context) -> Call:
    options = {name: tf.make_ndarray(value).tolist() for name, value in request.inputs.items()}
    return Call(
        request.model_spec.signature_name,
        options.pop(features.IMAGE_BYTES_INPUT),
        options,
        request.model_spec,
        {key: value for key, value in context.invocation_metadata()},
        context.time_remaining(),
    )


def _captions(call: Call) -> dict[str, list]:
    count = len(call.images)
    texts = ["{} x {}".format(*_size(image)) for image in call.images]
    return {
        features.CAPTION_OUTPUT: [[text, "a picture"] for text in texts],
        features.LOG_PROB_OUTPUT: [[-1.25, -2.5]] * count,
        features.STATUS_OUTPUT: [features.STATUS_OK] * count,
    }


def _size(image: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(image)).size
