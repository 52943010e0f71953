"""Asks a caption server, the embedded one or TensorFlow Serving.

    with CaptionClient("127.0.0.1:8500") as client:
        for answer in client.caption([open("photo.jpg", "rb").read()]):
            print(answer)

Imports no TensorFlow: a call from a script starts in a fraction of a second.
"""

import dataclasses
import pathlib
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Self

import grpc
import numpy as np

from models import features
from serving import codec, errors, photo, wire

DEFAULT_ADDRESS: Final = "127.0.0.1:8500"
# As many as the server puts in a batch: more in one call would only wait there, against one deadline.
MAX_BATCH: Final = 8
_ATTEMPTS: Final = 4
_FIRST_BACKOFF_S: Final = 0.2
_MAX_MESSAGE_BYTES: Final = 64 << 20


@dataclasses.dataclass(frozen=True)
class Captions:
    """The captions of one picture, best first.

    Attributes:
      texts: K captions.
      log_probs: K natural logarithms of the captions' probabilities, summed over the words.
    """

    texts: tuple[str, ...]
    log_probs: tuple[float, ...]


Answer = Captions | errors.ImageError


class CaptionClient:
    """One channel to one server; safe to share between threads.

    Every call has a deadline. Only UNAVAILABLE is retried (the server was not reached or is restarting, so
    nothing was answered), with a random wait that doubles, within the call's deadline.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        model: str = features.MODEL_NAME,
        signature: str = features.SERVING_SIGNATURE,
        timeout_s: float = 30.0,
        max_batch: int = MAX_BATCH,
    ):
        """Opens a channel; the server is first contacted by a call.

        Args:
          address: `host:port`.
          model: name of the model on the server.
          signature: signature to call; must take images and return captions.
          timeout_s: seconds for a call, all its attempts together.
          max_batch: most pictures a call; longer lists are split.
        """
        if timeout_s <= 0 or max_batch < 1:
            raise ValueError(f"expected timeout_s > 0 and max_batch >= 1; got {timeout_s=} and {max_batch=}")
        self.address = address
        self._model = model
        self._signature = signature
        self._timeout_s = timeout_s
        self._max_batch = max_batch
        self._channel = grpc.insecure_channel(
            address,
            options=[
                ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
                ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
                ("grpc.enable_retries", 0),  # the loop below does it, within one deadline
                # Else a refused connection is only tried again after a second.
                ("grpc.initial_reconnect_backoff_ms", 200),
            ],
        )
        self._predict = self._channel.unary_unary(
            wire.PREDICT,
            request_serializer=wire.PredictRequest.SerializeToString,
            response_deserializer=wire.PredictResponse.FromString,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the channel; calls that still wait are cancelled."""
        self._channel.close()

    def caption(self, images: Sequence[bytes]) -> list[Answer]:
        """Captions encoded pictures.

        Each is turned upright and made smaller where that costs nothing (`serving.photo`).

        Args:
          images: encoded pictures, any format that Pillow reads.

        Returns:
          One answer a picture, in order: `Captions`, or the `ImageError` that says what is wrong with it.

        Raises:
          CaptionError (not ImageError): the server could not be asked or did not answer.
        """
        answers: list[Answer] = []
        for start in range(0, len(images), self._max_batch):
            answers += self._caption_batch(images[start : start + self._max_batch])
        return answers

    def caption_files(self, paths: Iterable[str]) -> Iterator[tuple[str, Answer]]:
        """Captions files, reading one batch at a time. Yields `(path, answer)` in order.

        Raises CaptionError (not ImageError) as `caption` does.
        """
        batch: list[str] = []
        for path in paths:
            batch.append(path)
            if len(batch) == self._max_batch:
                yield from self._caption_files_batch(batch)
                batch = []
        yield from self._caption_files_batch(batch)

    def _caption_files_batch(self, paths: list[str]) -> Iterator[tuple[str, Answer]]:
        contents = [_read_file(path) for path in paths]
        answers = iter(self.caption([data for data in contents if isinstance(data, bytes)]))
        for path, data in zip(paths, contents, strict=True):
            yield path, data if isinstance(data, errors.ImageError) else next(answers)

    def _caption_batch(self, images: Sequence[bytes]) -> list[Answer]:
        ready: list[bytes] = []
        refused: dict[int, errors.ImageError] = {}
        for index, data in enumerate(images):
            try:
                ready.append(photo.prepare(data))
            except errors.NotAnImage as error:
                refused[index] = error
        answers = iter(self._ask(ready) if ready else ())
        return [refused[index] if index in refused else next(answers) for index in range(len(images))]

    def _ask(self, images: list[bytes]) -> list[Answer]:
        request = wire.PredictRequest()
        request.model_spec.name = self._model
        request.model_spec.signature_name = self._signature
        tensor = request.inputs.add(key=features.IMAGE_BYTES_INPUT).value
        codec.write(np.array([*images, None], object)[:-1], tensor)
        response = self._call(request)
        try:
            outputs = {output.key: codec.read(output.value) for output in response.outputs}
            return _answers(outputs, len(images))
        except (KeyError, ValueError) as error:
            raise errors.RequestRefused(
                grpc.StatusCode.INTERNAL,
                f"the answer of {self.address} is not that of a caption model (outputs "
                f"{features.CAPTION_OUTPUT}, {features.LOG_PROB_OUTPUT}, {features.STATUS_OUTPUT}): {error}",
            ) from error

    def _call(self, request: Any) -> Any:
        deadline = time.monotonic() + self._timeout_s
        for attempt in range(_ATTEMPTS):
            try:
                return self._predict(request, timeout=max(0.001, deadline - time.monotonic()))
            except grpc.RpcError as error:
                wait = random.uniform(0.5, 1.0) * _FIRST_BACKOFF_S * 2**attempt
                last = attempt == _ATTEMPTS - 1 or time.monotonic() + wait > deadline
                if error.code() is not grpc.StatusCode.UNAVAILABLE or last:
                    raise self._translated(error) from error
                time.sleep(wait)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _translated(self, error: Any) -> errors.CaptionError:
        code, details = error.code(), error.details() or ""
        match code:
            case grpc.StatusCode.UNAVAILABLE:
                return errors.ServerUnreachable(
                    f"no server answers at {self.address}; start one with `captioner serve` or name another "
                    f"with --server HOST:PORT ({details})"
                )
            case grpc.StatusCode.DEADLINE_EXCEEDED:
                return errors.DeadlineExceeded(
                    f"{self.address} gave no answer in {self._timeout_s:g} s; allow more time or send less"
                )
            case grpc.StatusCode.RESOURCE_EXHAUSTED:
                return errors.ServerOverloaded(f"{self.address} has no room for this request: {details}")
            case grpc.StatusCode.NOT_FOUND:
                return errors.ModelNotLoaded(
                    f"{self.address} has no model {self._model!r} ready; it may still be loading, or nothing "
                    f"was pushed yet ({details})"
                )
        return errors.RequestRefused(code, details)


def _read_file(path: str) -> bytes | errors.ImageError:
    try:
        return pathlib.Path(path).read_bytes()
    except FileNotFoundError:
        return errors.NoSuchFile("no such file")
    except OSError as error:
        return errors.NoSuchFile(f"cannot be read: {error.strerror}")


def _answers(outputs: dict[str, np.ndarray], count: int) -> list[Answer]:
    captions = outputs[features.CAPTION_OUTPUT]
    log_probs = outputs[features.LOG_PROB_OUTPUT]
    status = outputs[features.STATUS_OUTPUT]
    if captions.ndim != 2 or captions.shape != log_probs.shape or status.shape != (count,):
        raise ValueError(f"shapes {captions.shape}, {log_probs.shape} and {status.shape} for {count} images")
    if len(captions) != count:
        raise ValueError(f"{len(captions)} rows for {count} images")
    answers: list[Answer] = []
    for row in range(count):
        reason = status[row].decode("utf-8", "replace")
        if reason == features.STATUS_OK:
            texts = tuple(text.decode("utf-8", "replace") for text in captions[row])
            answers.append(Captions(texts, tuple(float(value) for value in log_probs[row])))
        else:
            answers.append(errors.NotAnImage(reason))
    return answers
