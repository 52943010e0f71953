"""Asks a caption server, the embedded one or TensorFlow Serving.

    with CaptionClient("127.0.0.1:8500") as client:
        for answer in client.caption([open("photo.jpg", "rb").read()]):
            print(answer)

Imports no TensorFlow: a call from a script starts in a fraction of a second. `serving.aio` is the same for
asyncio.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Self, TypeVar

import grpc

from models import features
from serving import client_channel, errors, photo
from serving.caption_options import CaptionOptions
from serving.client_answers import Answer, Attention, Captions
from serving.client_calls import Calls, Conversation, Send, Wait
from serving.client_channel import TlsOptions
from serving.client_settings import DEFAULT_ADDRESS, MAX_BATCH, MAX_REQUEST_BYTES, Settings

__all__ = ["Answer", "Attention", "CaptionClient", "CaptionOptions", "Captions", "TlsOptions"]

_Result = TypeVar("_Result")
_Item = TypeVar("_Item")


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
        version: int | None = None,
        label: str | None = None,
        timeout_s: float = 30.0,
        max_batch: int = MAX_BATCH,
        max_message_bytes: int = MAX_REQUEST_BYTES,
        tls: TlsOptions | None = None,
        token: str | None = None,
        plaintext_token: bool = False,
    ):
        """Opens a channel; the server is first contacted by a call.

        The arguments are those of `client_settings.Settings`, which explains them.

        Raises:
          ValueError: an argument cannot be right, or the token would be sent where others can read it.
          OSError: a file of `tls` cannot be read.
        """
        self._settings = Settings(
            address=address,
            model=model,
            version=version,
            label=label,
            timeout_s=timeout_s,
            max_batch=max_batch,
            max_message_bytes=max_message_bytes,
            tls=tls,
            token=token,
            plaintext_token=plaintext_token,
        )
        self._calls = Calls(self._settings)
        self._channel = client_channel.open_channel(grpc, address, timeout_s, tls)
        self._predict = client_channel.predict(self._channel)

    @property
    def address(self) -> str:
        """`host:port` of the server."""
        return self._settings.address

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the channel; calls that still wait are cancelled."""
        self._channel.close()

    def caption(self, images: Sequence[bytes], options: CaptionOptions | None = None) -> list[Answer]:
        """Captions encoded pictures.

        Each is turned upright and made smaller where that costs nothing (`serving.photo`).

        Args:
          images: encoded pictures in any of `photo.FORMATS`.
          options: how captions are written; None: as the model was set.

        Returns:
          One answer a picture, in order: `Captions`, or the `ImageError` that says what is wrong with it.

        Raises:
          CaptionError (not ImageError): the server could not be asked or did not answer.
        """
        return [answer for _, answer in self._each(images, photo.prepare, options)]

    def caption_files(
        self, paths: Iterable[str], options: CaptionOptions | None = None
    ) -> Iterator[tuple[str, Answer]]:
        """Captions files, reading one batch at a time. Yields `(path, answer)` in order.

        Raises CaptionError (not ImageError) as `caption` does.
        """
        yield from self._each(paths, photo.load, options)

    def attention(self, image: bytes) -> Attention:
        """Returns where the model looked for each word of its best caption of an encoded picture.

        Raises:
          AttentionUnavailable: the model cannot tell.
          CaptionError: as `caption`; an ImageError if the picture cannot be read.
        """
        return self._hold(self._calls.attention(photo.prepare(image)))

    def _each(
        self, items: Iterable[_Item], load: Callable[[_Item], bytes], options: CaptionOptions | None
    ) -> Iterator[tuple[_Item, Answer]]:
        for batch in batches(items, self._settings.max_batch):
            ready = [loaded(load, item) for item in batch]
            yield from zip(batch, self._hold(self._calls.caption(ready, options)), strict=True)

    def _hold(self, conversation: Conversation[_Result]) -> _Result:
        try:
            step = next(conversation)
            while True:
                try:
                    response = self._do(step)
                except grpc.RpcError as error:
                    step = conversation.throw(error)
                else:
                    step = conversation.send(response)
        except StopIteration as end:
            return end.value

    def _do(self, step: Send | Wait) -> Any:
        if isinstance(step, Wait):
            return time.sleep(step.seconds)
        return self._predict(step.request, timeout=step.timeout_s, metadata=step.metadata)


def loaded(load: Callable[[_Item], bytes], item: _Item) -> bytes | errors.ImageError:
    """Returns `load(item)`, or the ImageError that it raised."""
    try:
        return load(item)
    except errors.ImageError as error:
        return error


def batches(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    """Yields the items in lists of `size`; the last may be shorter."""
    batch: list[_Item] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
