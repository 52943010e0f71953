"""20,000 requests of which one in twenty is bad, each in its own way: every good one is answered right, every
bad one with its status, and the server neither leaks nor ends.

A good answer is right if its best caption and that caption's log-probability are those of the same picture
asked alone before; another caption with the same log-probability is a tie.

    python -m benchmarks.soak [--requests 20000] [--clients 16] [--model DIR]

The model is a small one with random weights, so that the server has more to do than the model; or `--model`.
"""

import argparse
import asyncio
import collections
import dataclasses
import io
import os
import pathlib
import random
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc
import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks import load, served_model
from components.serving_validator.server_process import ServerProcess
from models import features
from models.config import EncoderConfig, ModelConfig
from serving import wire

_TIE: Final = 2e-2  # bfloat16 rounds otherwise in another batch
_BAD_IMAGE: Final = features.STATUS_NOT_AN_IMAGE
_LIMITS: Final = ("--max-images", "8", "--max-pixels", "1000000", "--max-message-bytes", "2000000")

Ask = Callable[[Any, bytes], Awaitable[load.Answer]]


@dataclasses.dataclass(frozen=True)
class Bad:
    """A kind of bad request: what is sent, how, and which statuses are right for it."""

    name: str
    message: bytes
    expected: tuple[str, ...]
    how: str = "call"


def _picture(form: str, side: int = 64) -> bytes:
    out = io.BytesIO()
    Image.effect_noise((side, side), 50).convert("RGB").save(out, form)
    return out.getvalue()


def _changed(good: bytes, change: Callable[[Any], None]) -> bytes:
    message = wire.PredictRequest.FromString(good)
    change(message)
    return message.SerializeToString()


def bad_requests(photo: bytes) -> list[Bad]:
    """Every kind, around one good photo. A status of an image stands as `image: STATUS`."""
    good = load.request([photo])
    not_an_image = ("image",)
    invalid = ("INVALID_ARGUMENT",)
    png = _picture("PNG")
    bad = [
        Bad(f"bad image: {name}", load.request([data]), not_an_image)
        for name, data in {
            "empty": b"",
            "text": b"this is no picture",
            "first half of a JPEG's header": photo[:10],
            "PNG cut short": png[: len(png) // 2],
            "GIF's header alone": b"GIF89a",
            "random bytes after a JPEG's first": b"\xff\xd8\xff" + random.Random(1).randbytes(500),
            "TIFF": _picture("TIFF"),
        }.items()
    ]

    def retyped(message: Any) -> None:
        message.inputs[0].value.dtype = 1
        message.inputs[0].value.ClearField("string_val")
        message.inputs[0].value.float_val.append(1.0)

    def reshaped(message: Any) -> None:
        message.inputs[0].value.tensor_shape.dim.add(size=1)

    def huge(message: Any) -> None:
        message.inputs[0].value.tensor_shape.dim[0].size = 1 << 40

    def signature(message: Any) -> None:
        message.model_spec.signature_name = "none"

    def model(message: Any) -> None:
        message.model_spec.name = "nobody"

    one = np.ones(1, np.int32)
    wide = {name: one for name in ("captions", "min_tokens", "max_tokens")}
    wide |= {"beam_width": one * 1000, "length_penalty": np.ones(1, np.float32)}
    odd = wide | {"beam_width": one, "min_tokens": one * 9, "max_tokens": one * 3}
    return [
        *bad,
        Bad("wrong dtype", _changed(good, retyped), invalid),
        Bad("wrong shape", _changed(good, reshaped), invalid),
        Bad("a shape of 2^40 values", _changed(good, huge), invalid),
        Bad("unknown signature", _changed(good, signature), ("FAILED_PRECONDITION",)),
        Bad("unknown model", _changed(good, model), ("NOT_FOUND",)),
        Bad("missing input", _changed(good, lambda message: message.ClearField("inputs")), invalid),
        Bad("no model spec", _changed(good, lambda message: message.ClearField("model_spec")), invalid),
        Bad("too many images", load.request([photo] * 9), invalid),
        Bad("too many pixels", load.request([_picture("PNG", 1001)]), invalid),
        Bad("too large a message", load.request([photo + bytes(2_500_000)]), invalid),
        Bad("far too large a message", load.request([bytes(5_000_000)]), ("RESOURCE_EXHAUSTED",)),
        Bad("too wide a beam", load.request([photo], features.BEAM_SIGNATURE, **wide), invalid),
        Bad("options that contradict", load.request([photo], features.BEAM_SIGNATURE, **odd), not_an_image),
        Bad("no message", b"\xff\xff\xff garbage", ("INTERNAL", "UNKNOWN")),
        Bad("deadline of 1 ms", good, ("DEADLINE_EXCEEDED", "OK"), "deadline"),
        Bad("cancelled", load.request([photo] * 8), ("CANCELLED", "OK"), "cancel"),
        Bad("garbage on the port", b"GET / HTTP/1.1\r\n\r\n" + bytes(range(256)), ("closed",), "raw"),
        Bad("a reader that does not read", _PREFACE, ("closed",), "stall"),
    ]


# HTTP/2's preface and an empty SETTINGS frame: a connection that then says nothing.
_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"


async def ask_badly(bad: Bad, call: Any, address: str) -> str:
    """Sends a bad request and returns what came of it."""
    if bad.how in ("raw", "stall"):
        return await asyncio.to_thread(_on_the_wire, address, bad.message, 0.3 if bad.how == "stall" else 0.0)
    if bad.how == "deadline":
        return (await load.ask(call, bad.message, timeout=0.001)).code
    if bad.how == "cancel":
        task = asyncio.ensure_future(call(bad.message, timeout=60))
        await asyncio.sleep(0.01)
        task.cancel()
        try:
            await task
        except (asyncio.CancelledError, grpc.aio.AioRpcError):
            return "CANCELLED"
        return "OK"
    answer = await load.ask(call, bad.message, read=True)
    if answer.code != "OK":
        return answer.code
    status = answer.outputs[features.STATUS_OUTPUT][0].decode()
    empty = not any(answer.outputs[features.CAPTION_OUTPUT][0])
    return "image" if status != features.STATUS_OK and empty else "OK"


def _on_the_wire(address: str, data: bytes, wait_s: float) -> str:
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(data)
        connection.settimeout(wait_s or 5)
        try:
            while connection.recv(1 << 16):
                pass
        except (ConnectionError, TimeoutError):
            pass
    return "closed"


class Soak:
    """The requests, what came of them, and the server's memory along the way."""

    def __init__(self, server: ServerProcess, options: argparse.Namespace):
        self._server = server
        self._options = options
        self._photos = served_model.photos(24, 200, 150)
        self._good = [load.request([photo]) for photo in self._photos]
        self._bad = bad_requests(self._photos[0])
        self._alone = self._ask_alone()
        self.counts: collections.Counter[tuple[str, str]] = collections.Counter()
        self.wrong: list[str] = []
        self.memory: list[float] = []

    def _ask_alone(self) -> list[dict[str, np.ndarray]]:
        async def main() -> list[Any]:
            async with load.predict(self._server.address) as call:
                return [await load.ask(call, message, read=True) for message in self._good]

        return [answer.outputs for answer in asyncio.run(main())]

    def run(self) -> None:
        """Sends everything."""
        rng = random.Random(1)
        kinds = [
            rng.randrange(len(self._bad)) if rng.random() < 0.05 else None
            for _ in range(self._options.requests)
        ]
        numbers = iter(enumerate(kinds))
        with Progress() as progress:
            bar = progress.add_task("requests", total=len(kinds))

            async def client() -> None:
                async with load.predict(self._server.address) as call:
                    for number, kind in numbers:
                        if kind is None:
                            await self._ask_well(number, call)
                        else:
                            bad = self._bad[kind]
                            self._note(bad, await ask_badly(bad, call, self._server.address))
                        progress.advance(bar)
                        if number % max(1, len(kinds) // 20) == 0:
                            self.memory.append(self._server.memory_mib())

            async def main() -> None:
                await asyncio.gather(*(client() for _ in range(self._options.clients)))

            asyncio.run(main())
        self.memory.append(self._server.memory_mib())

    async def _ask_well(self, number: int, call: Any) -> None:
        index = number % len(self._good)
        answer = await load.ask(call, self._good[index], read=True)
        verdict = answer.code if answer.code != "OK" else _compared(answer.outputs, self._alone[index])
        self.counts["good", verdict] += 1
        if verdict not in ("OK", "tie"):
            self.wrong.append(f"good request {number}: {verdict}: {answer.outputs}")

    def _note(self, bad: Bad, outcome: str) -> None:
        self.counts[bad.name, outcome] += 1
        if outcome not in bad.expected:
            self.wrong.append(f"{bad.name}: expected {' or '.join(bad.expected)}, got {outcome}")


def _compared(got: dict[str, np.ndarray], alone: dict[str, np.ndarray]) -> str:
    gap = abs(float(got[features.LOG_PROB_OUTPUT][0, 0] - alone[features.LOG_PROB_OUTPUT][0, 0]))
    captions = got[features.CAPTION_OUTPUT][0, 0], alone[features.CAPTION_OUTPUT][0, 0]
    if gap > _TIE or not captions[0]:
        return "another answer"
    return "OK" if captions[0] == captions[1] else "tie"


def main() -> int:
    """Prints what came of each kind; returns 1 if anything was not as it should be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--model", help="folder of a SavedModel to serve instead")
    options = parser.parse_args()
    console = Console(width=110)
    with tempfile.TemporaryDirectory() as temporary:
        small = EncoderConfig(weights="random", layer="mixed0", pooling="pool")
        model_dir = served_model.place(
            pathlib.Path(temporary, "captioner"),
            options.model,
            small,
            ModelConfig(decoder="gru", width=32, layers=1),
            500,
        )
        with load.serving(model_dir, *_LIMITS) as server:
            soak = Soak(server, options)
            soak.run()
            ended = server.ended
            tracebacks = server.log().count("Traceback")
    table = Table(title=f"{options.requests} requests, {options.clients} clients, {os.cpu_count()} cores")
    for column in ("request", "outcome", "count"):
        table.add_column(column)
    for (name, outcome), count in sorted(soak.counts.items()):
        table.add_row(name, outcome, str(count))
    console.print(table)
    early = soak.memory[len(soak.memory) // 10]
    console.print(
        f"memory: {soak.memory[0]:.0f} MiB at first, {early:.0f} after a tenth, {soak.memory[-1]:.0f} at the "
        f"end; tracebacks in the log: {tracebacks}"
    )
    for line in soak.wrong[:20]:
        console.print(f"[red]{line}", markup=True)
    if ended is not None:
        console.print(f"[red]the server ended with {ended}")
    return int(bool(soak.wrong) or ended is not None or tracebacks > 0 or soak.memory[-1] > 1.1 * early)


if __name__ == "__main__":
    sys.exit(main())
