"""The asyncio client behaves as the other one, and does several things at once."""

import asyncio
import functools
import threading
import time
from collections.abc import Callable, Coroutine

import grpc
import numpy as np
import pytest

from models import features
from serving import errors
from serving.aio import AsyncCaptionClient, CaptionOptions, Captions, TlsOptions
from tests.serving import scripted
from tests.serving.pki import Authority
from tests.serving.scripted import texts
from tests.serving.support import jpeg

Code = grpc.StatusCode


def in_a_loop(test: Callable[..., Coroutine]) -> Callable[..., None]:
    """Runs a coroutine as a test."""

    @functools.wraps(test)
    def run(*args, **kwargs) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), 60))

    return run


@in_a_loop
async def test_answers_are_typed_and_in_order(address):
    async with AsyncCaptionClient(address) as client:
        answers = await client.caption([jpeg(), b"bad", jpeg(50)])
    assert answers[0] == Captions(("40 x 30", "a picture"), (-1.25, -2.5))
    assert isinstance(answers[1], errors.NotAnImage)
    assert texts(answers) == ["40 x 30", None, "50 x 30"]


@in_a_loop
async def test_options_token_and_request_id_are_sent(address, server):
    async with AsyncCaptionClient(address, model="m", label="stable", token="s3cret") as client:
        await client.caption([jpeg()], CaptionOptions(num=2, beam=3))
    [call] = server.calls
    assert (call.signature, call.options["captions"], call.options["beam_width"]) == ("beam", [2], [3])
    assert (call.spec.name, call.spec.version_label) == ("m", "stable")
    assert call.metadata["authorization"] == "Bearer s3cret"
    assert len(call.metadata["x-request-id"]) == 32


@in_a_loop
async def test_only_unavailable_is_tried_again(address, server):
    server.script = [Code.UNAVAILABLE] * 2
    async with AsyncCaptionClient(address) as client:
        assert texts(await client.caption([jpeg()])) == ["40 x 30"]
        assert len(server.calls) == 3
        server.script = [Code.RESOURCE_EXHAUSTED]
        with pytest.raises(errors.ServerOverloaded, match="request id"):
            await client.caption([jpeg()])
        assert len(server.calls) == 4


@in_a_loop
async def test_the_deadline_holds(address, server):
    server.script = [1.0]
    async with AsyncCaptionClient(address, timeout_s=0.1) as client:
        with pytest.raises(errors.DeadlineExceeded):
            await client.caption([jpeg()])


@in_a_loop
async def test_batches_are_split_by_the_server_s_limits(address, server):
    server.most_images, server.most_pixels = 3, 2000
    async with AsyncCaptionClient(address) as client:
        answers = await client.caption([jpeg(40), jpeg(41), jpeg(400, 300), jpeg(42), jpeg(43)])
    assert texts(answers) == ["40 x 30", "41 x 30", None, "42 x 30", "43 x 30"]
    assert isinstance(answers[2], errors.TooLarge)


@in_a_loop
async def test_many_pictures_are_asked_about_at_once_and_answered_in_order(address, server):
    server.script = [threading.Barrier(3)] * 3 + [0.2, 0.0, 0.1]
    async with AsyncCaptionClient(address, max_batch=2) as client:
        pictures = (jpeg(40 + i) for i in range(20))
        answers = [answer async for answer in client.caption_many(pictures, concurrency=3)]
    assert texts(answers) == [f"{40 + i} x 30" for i in range(20)]
    assert server.most_at_once == 3
    assert server.counts == [2] * 10


@in_a_loop
async def test_pictures_are_taken_only_when_there_is_room_for_them(address):
    taken = 0

    def pictures():
        nonlocal taken
        for _ in range(100):
            taken += 1
            yield jpeg()

    async with AsyncCaptionClient(address, max_batch=2) as client:
        async for _ in client.caption_many(pictures(), concurrency=3):
            assert taken <= 3 * 2
            break


@in_a_loop
async def test_an_error_cancels_the_calls_beside_it(address, server):
    release = threading.Event()
    server.by_width = {40: Code.INTERNAL, 41: release, 42: release}
    async with AsyncCaptionClient(address, max_batch=1) as client:
        began, tasks = time.monotonic(), asyncio.all_tasks()
        answers = client.caption_many([jpeg(40 + i) for i in range(10)], concurrency=3)
        with pytest.raises(errors.RequestRefused):
            await anext(answers)
        assert time.monotonic() - began < 5, "nobody waited for the others"
        assert asyncio.all_tasks() == tasks
    release.set()
    assert len(server.calls) <= 3


@in_a_loop
async def test_a_cancelled_task_ends_its_call(address, server):
    release = threading.Event()
    server.script = [release]
    async with AsyncCaptionClient(address) as client:
        task = asyncio.create_task(client.caption([jpeg()]))
        while not server.calls:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        release.set()
        assert texts(await client.caption([jpeg()])) == ["40 x 30"]


@in_a_loop
async def test_the_loop_goes_on_while_photos_are_prepared(address):
    large = [jpeg(4000, 3000)] * 8
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    ticking = asyncio.create_task(tick())
    async with AsyncCaptionClient(address) as client:
        await client.caption(large)
    ticking.cancel()
    assert ticks >= 5


@in_a_loop
async def test_files_come_with_their_answers(address, tmp_path):
    (tmp_path / "photo.jpg").write_bytes(jpeg())
    names = [str(tmp_path / name) for name in ("photo.jpg", "none.jpg", "photo.jpg")]
    async with AsyncCaptionClient(address, max_batch=1) as client:
        answers = [pair async for pair in client.caption_files(names)]
    assert [name for name, _ in answers] == names
    assert isinstance(answers[1][1], errors.NoSuchFile)
    assert texts(answer for _, answer in answers) == ["40 x 30", None, "40 x 30"]


@in_a_loop
async def test_attention_is_typed(address, server):
    server.outputs = {
        features.TOKENS_OUTPUT: [["dog", ""]],
        features.ATTENTION_OUTPUT: np.full((1, 2, 4), 0.25, np.float32),
        features.STATUS_OUTPUT: [features.STATUS_OK],
    }
    async with AsyncCaptionClient(address) as client:
        attention = await client.attention(jpeg())
    assert (attention.tokens, attention.weights.shape) == (("dog",), (1, 2, 2))


@in_a_loop
async def test_tls_is_spoken(server, tmp_path):
    authority = Authority(tmp_path)
    certificate, key = (file.read_bytes() for file in authority.sign("server"))
    with scripted.serving(server, grpc.ssl_server_credentials([(key, certificate)])) as address:
        async with AsyncCaptionClient(address, tls=TlsOptions(ca=authority.file)) as client:
            assert texts(await client.caption([jpeg()])) == ["40 x 30"]


def test_no_concurrency_is_refused_at_once():
    async def ask():
        async with AsyncCaptionClient("127.0.0.1:9") as client:
            client.caption_many([], concurrency=0)

    with pytest.raises(ValueError, match="expected a concurrency of 1 or more; got 0"):
        asyncio.run(ask())
