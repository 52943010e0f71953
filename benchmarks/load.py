"""Load on a caption server: clients that wait for their answers, and arrivals that do not wait."""

import asyncio
import contextlib
import dataclasses
import pathlib
import random
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

import grpc
import numpy as np

from components.serving_validator.server_process import ServerProcess
from models import features
from serving import codec, wire

_READY_S: Final = 600.0
_OPTIONS: Final = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


@dataclasses.dataclass(frozen=True)
class Answer:
    """One call: when it began and how long it took (seconds), the name of its status, what it returned."""

    start: float
    seconds: float
    code: str
    outputs: Any = None


@contextlib.contextmanager
def serving(model_dir: pathlib.Path, *flags: str) -> Iterator[ServerProcess]:
    """The embedded server on a folder of versions, ready to answer."""
    with ServerProcess(str(model_dir), *flags) as server:
        server.wait_ready(_READY_S)
        yield server


def request(
    images: Sequence[bytes], signature: str = features.SERVING_SIGNATURE, **options: np.ndarray
) -> bytes:
    """A serialized Predict request."""
    message = wire.PredictRequest()
    message.model_spec.name = features.MODEL_NAME
    message.model_spec.signature_name = signature
    images_array = np.array([*images, None], object)[:-1]
    for name, array in {features.IMAGE_BYTES_INPUT: images_array, **options}.items():
        codec.write(array, message.inputs.add(key=name).value)
    return message.SerializeToString()


@contextlib.asynccontextmanager
async def predict(address: str):
    """Yields the Predict call on a channel of its own, from bytes to bytes."""
    # Else channels of one process to one address share a connection.
    alone = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(address, options=[*_OPTIONS, *alone]) as channel:
        yield channel.unary_unary(wire.PREDICT)


async def ask(call: Any, message: bytes, timeout: float = 60.0, read: bool = False) -> Answer:
    """Makes one call; an error is an answer too."""
    start = time.perf_counter()
    try:
        data = await call(message, timeout=timeout)
        seconds = time.perf_counter() - start
        return Answer(start, seconds, "OK", outputs(data) if read else None)
    except grpc.aio.AioRpcError as error:
        return Answer(start, time.perf_counter() - start, error.code().name, error.details())


def outputs(data: bytes) -> dict[str, np.ndarray]:
    """A serialized Predict response -> its outputs."""
    return {item.key: codec.read(item.value) for item in wire.PredictResponse.FromString(data).outputs}


def closed_loop(address: str, messages: Sequence[bytes], clients: int, calls: int) -> list[Answer]:
    """`clients` ask one after the other, `calls` in all, each the next message when its answer is there."""

    async def main() -> list[Answer]:
        numbers = iter(range(calls))

        async def client() -> list[Answer]:
            async with predict(address) as call:
                return [await ask(call, messages[i % len(messages)]) for i in numbers]

        return [
            answer for part in await asyncio.gather(*(client() for _ in range(clients))) for answer in part
        ]

    return asyncio.run(main())


def open_loop(
    address: str,
    messages: Sequence[bytes],
    rate: float,
    seconds: float,
    seed: int | None = 1,
    channels: int = 4,
) -> list[Answer]:
    """Calls arrive whatever the answers, `rate` a second: at random (a Poisson process), or without a seed
    evenly.
    """
    arrivals = list(_arrivals(rate, seconds, seed))

    async def main() -> list[Answer]:
        async with contextlib.AsyncExitStack() as stack:
            calls = [await stack.enter_async_context(predict(address)) for _ in range(channels)]
            start = asyncio.get_running_loop().time()
            tasks = []
            for number, arrival in enumerate(arrivals):
                await asyncio.sleep(max(0.0, start + arrival - asyncio.get_running_loop().time()))
                message = messages[number % len(messages)]
                tasks.append(asyncio.create_task(ask(calls[number % channels], message)))
            return list(await asyncio.gather(*tasks))

    return asyncio.run(main())


def _arrivals(rate: float, seconds: float, seed: int | None) -> Iterator[float]:
    rng = random.Random(seed)
    now = 0.0
    while now < seconds:
        yield now
        now += 1 / rate if seed is None else rng.expovariate(rate)


def rate_of(answers: Sequence[Answer]) -> float:
    """Calls answered well, a second from the first call's start to the last answer."""
    good = [answer for answer in answers if answer.code == "OK"]
    first = min(answer.start for answer in answers)
    return len(good) / (max(answer.start + answer.seconds for answer in good) - first)


def percentile(answers: Sequence[Answer], percent: float) -> float:
    """Milliseconds of calls answered well."""
    return 1e3 * float(np.percentile([a.seconds for a in answers if a.code == "OK"], percent))
