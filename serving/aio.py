"""Asks a caption server from asyncio: `serving.client` for programs that wait for many things at once.

    async with AsyncCaptionClient("127.0.0.1:8500") as client:
        [answer] = await client.caption([photo])
        async for answer in client.caption_many(photos):
            print(answer)

Reading and preparing photos happens in threads; the loop is never held up. Imports no TensorFlow.
"""

import asyncio
import collections
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, Final, Self, TypeVar

import grpc
import grpc.aio

from models import features
from serving import client_channel, photo
from serving.caption_options import CaptionOptions
from serving.client import batches, loaded
from serving.client_answers import Answer, Attention, Captions
from serving.client_calls import Calls, Conversation, Send, Wait
from serving.client_channel import TlsOptions
from serving.client_settings import DEFAULT_ADDRESS, MAX_BATCH, MAX_REQUEST_BYTES, Settings

__all__ = ["Answer", "AsyncCaptionClient", "Attention", "CaptionOptions", "Captions", "TlsOptions"]

# Enough for the server to fill a batch while it runs another; more would only wait in its queue.
CONCURRENCY: Final = 4

_Result = TypeVar("_Result")
_Item = TypeVar("_Item")


class AsyncCaptionClient:
    """One channel to one server, for one event loop. Deadlines and retries are those of `CaptionClient`."""

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
        """Opens a channel; call it in a coroutine. Arguments and errors are those of `CaptionClient`."""
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
        self._channel = client_channel.open_channel(grpc.aio, address, timeout_s, tls)
        self._predict = client_channel.predict(self._channel)

    @property
    def address(self) -> str:
        """`host:port` of the server."""
        return self._settings.address

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the channel; calls that still wait are cancelled."""
        await self._channel.close()

    async def caption(self, images: Sequence[bytes], options: CaptionOptions | None = None) -> list[Answer]:
        """Captions encoded pictures, batch after batch. As `CaptionClient.caption`."""
        return [answer async for answer in self.caption_many(images, options, concurrency=1)]

    def caption_many(
        self,
        images: Iterable[bytes],
        options: CaptionOptions | None = None,
        *,
        concurrency: int = CONCURRENCY,
    ) -> AsyncIterator[Answer]:
        """Captions any number of encoded pictures with up to `concurrency` calls at once.

        Args:
          images: taken as they are needed, in the event loop: what has to be read first belongs in
            `caption_files`.
          options: how captions are written; None: as the model was set.
          concurrency: calls at once, each of `max_batch` pictures.

        Returns:
          An iterator of one answer a picture, in order. It raises CaptionError (not ImageError) as
          `CaptionClient.caption` does, and the calls under way are then cancelled.

        Raises:
          ValueError: `concurrency` is not 1 or more.
        """
        _check(concurrency)
        return self._answers(images, photo.prepare, options, concurrency)

    def caption_files(
        self,
        paths: Iterable[str],
        options: CaptionOptions | None = None,
        *,
        concurrency: int = CONCURRENCY,
    ) -> AsyncIterator[tuple[str, Answer]]:
        """Captions files as `caption_many` does pictures. Iterates over `(path, answer)` in order."""
        _check(concurrency)
        return self._each(paths, photo.load, options, concurrency)

    async def attention(self, image: bytes) -> Attention:
        """Returns where the model looked. As `CaptionClient.attention`."""
        return await self._hold(self._calls.attention(await asyncio.to_thread(photo.prepare, image)))

    async def _answers(self, *arguments: Any) -> AsyncIterator[Answer]:
        async for _, answer in self._each(*arguments):
            yield answer

    async def _each(
        self,
        items: Iterable[_Item],
        load: Callable[[_Item], bytes],
        options: CaptionOptions | None,
        concurrency: int,
    ) -> AsyncIterator[tuple[_Item, Answer]]:
        under_way: collections.deque[tuple[list[_Item], asyncio.Task[list[Answer]]]] = collections.deque()
        try:
            for batch in batches(items, self._settings.max_batch):
                under_way.append((batch, asyncio.create_task(self._caption(batch, load, options))))
                if len(under_way) == concurrency:
                    first, task = under_way.popleft()
                    for pair in zip(first, await task, strict=True):
                        yield pair
            while under_way:
                first, task = under_way.popleft()
                for pair in zip(first, await task, strict=True):
                    yield pair
        finally:
            for _, task in under_way:
                task.cancel()
            await asyncio.gather(*(task for _, task in under_way), return_exceptions=True)

    async def _caption(
        self, batch: list[_Item], load: Callable[[_Item], bytes], options: CaptionOptions | None
    ) -> list[Answer]:
        ready = await asyncio.to_thread(lambda: [loaded(load, item) for item in batch])
        return await self._hold(self._calls.caption(ready, options))

    async def _hold(self, conversation: Conversation[_Result]) -> _Result:
        try:
            step = next(conversation)
            while True:
                try:
                    response = await self._do(step)
                except grpc.RpcError as error:
                    step = conversation.throw(error)
                else:
                    step = conversation.send(response)
        except StopIteration as end:
            return end.value

    async def _do(self, step: Send | Wait) -> Any:
        if isinstance(step, Wait):
            return await asyncio.sleep(step.seconds)
        return await self._predict(step.request, timeout=step.timeout_s, metadata=step.metadata)


def _check(concurrency: int) -> None:
    if concurrency < 1:
        raise ValueError(f"expected a concurrency of 1 or more; got {concurrency}")
