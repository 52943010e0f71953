"""Rows of many requests run together, in bounds, and each caller gets its own."""

import asyncio
import threading

import grpc
import numpy as np
import pytest

from serving.batching import Batcher
from serving.errors import ServingError
from serving.scheduling import BatchingOptions, BatchRun, Scheduler, Timing


def rows(*values: float) -> dict[str, np.ndarray]:
    return {"x": np.array(values, np.float64)}


class Doubler:
    """Doubles its rows, remembers its batches, and can be held at the door. Refuses negative rows."""

    def __init__(self, held: bool = False):
        self.batches: list[list[float]] = []
        self.entered = threading.Semaphore(0)
        self.door = threading.Event()
        if not held:
            self.door.set()

    def __call__(self, inputs):
        self.batches.append(inputs["x"].tolist())
        self.entered.release()
        assert self.door.wait(30)
        if (inputs["x"] < 0).any():
            raise ValueError("negative")
        return {"y": inputs["x"] * 2}


def run(scenario, model: Doubler, **options):
    """Runs `scenario(batcher, scheduler)` in a loop."""

    async def main():
        scheduler = Scheduler(BatchingOptions(**{"max_batch": 4, "timeout_s": 0.0, "threads": 1, **options}))
        try:
            return await asyncio.wait_for(scenario(Batcher(model, scheduler), scheduler), 30)
        finally:
            model.door.set()
            scheduler.close()

    return asyncio.run(main())


async def entered(model: Doubler) -> None:
    """Returns when the model is running a batch."""
    assert await asyncio.to_thread(model.entered.acquire, timeout=30)


def test_a_lone_request_runs_at_once_and_alone():
    model = Doubler()

    async def scenario(batcher, scheduler):
        return [(await batcher.submit(rows(i)))["y"].tolist() for i in range(3)]

    # The timeout is far longer than the test may take: it must not be waited for.
    assert run(scenario, model, timeout_s=600) == [[0], [2], [4]]
    assert model.batches == [[0], [1], [2]]


def test_requests_that_come_while_the_model_runs_share_the_next_batch():
    model = Doubler(held=True)

    async def scenario(batcher, scheduler):
        first = asyncio.create_task(batcher.submit(rows(1)))
        await entered(model)
        others = [asyncio.create_task(batcher.submit(rows(*values))) for values in ([2, 3], [4], [5, 6])]
        await asyncio.sleep(0)
        model.door.set()
        return [answer["y"].tolist() for answer in await asyncio.gather(first, *others)]

    assert run(scenario, model) == [[2], [4, 6], [8], [10, 12]]
    assert model.batches == [[1], [2, 3, 4, 5], [6]]


def test_after_company_a_batch_waits_to_be_full():
    model = Doubler(held=True)

    async def scenario(batcher, scheduler):
        early = [asyncio.create_task(batcher.submit(rows(i))) for i in (1, 2)]
        await entered(model)
        model.door.set()
        await asyncio.gather(*early)
        late = [asyncio.create_task(batcher.submit(rows(3)))]
        await asyncio.sleep(0.05)
        late += [asyncio.create_task(batcher.submit(rows(i))) for i in (4, 5, 6)]
        await asyncio.gather(*late)

    run(scenario, model, timeout_s=600)
    assert model.batches == [[1, 2], [3, 4, 5, 6]]


def test_a_large_request_is_split_and_small_ones_pass_between():
    model = Doubler(held=True)

    async def scenario(batcher, scheduler):
        large = asyncio.create_task(batcher.submit(rows(*range(10))))
        await entered(model)
        small = asyncio.create_task(batcher.submit(rows(100)))
        await asyncio.sleep(0)
        model.door.set()
        return (await large)["y"].tolist(), (await small)["y"].tolist()

    assert run(scenario, model) == ([2 * i for i in range(10)], [200])
    assert model.batches == [[0, 1, 2, 3], [100, 4, 5, 6], [7, 8, 9]]


def test_rows_of_different_shape_do_not_mix():
    model = Doubler(held=True)

    async def scenario(batcher, scheduler):
        first = asyncio.create_task(batcher.submit(rows(0)))
        await entered(model)
        wide = {"x": np.ones([1, 3])}
        tasks = [asyncio.create_task(batcher.submit(inputs)) for inputs in (rows(1), wide, rows(2))]
        await asyncio.sleep(0)
        model.door.set()
        await asyncio.gather(first, *tasks)

    run(scenario, model)
    assert model.batches == [[0], [1, 2], [[1, 1, 1]]]


def test_only_the_request_at_fault_fails(caplog):
    model = Doubler(held=True)

    async def scenario(batcher, scheduler):
        first = asyncio.create_task(batcher.submit(rows(0)))
        await entered(model)
        tasks = [asyncio.create_task(batcher.submit(rows(i))) for i in (1, -1, 2)]
        await asyncio.sleep(0)
        model.door.set()
        return await asyncio.gather(first, *tasks, return_exceptions=True)

    _, one, fault, two = run(scenario, model)
    assert (one["y"].tolist(), two["y"].tolist()) == ([2], [4])
    assert isinstance(fault, ValueError)
    assert "each runs again alone" in caplog.text
    assert "negative" not in caplog.text, "what the model says of its input may quote it"


def test_a_full_queue_refuses_at_once_and_opens_again():
    model = Doubler(held=True)

    async def scenario(batcher, scheduler):
        first = asyncio.create_task(batcher.submit(rows(1, 2)))
        await entered(model)
        second = asyncio.create_task(batcher.submit(rows(3)))
        await asyncio.sleep(0)
        with pytest.raises(ServingError, match="full") as caught:
            await batcher.submit(rows(4))
        model.door.set()
        await asyncio.gather(first, second)
        assert scheduler.queued == 0
        return caught.value.code, await batcher.submit(rows(5))

    code, later = run(scenario, model, max_queued=3)
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert later["y"].tolist() == [10]
    assert [4] not in model.batches


def test_a_request_that_no_queue_could_ever_hold_is_wrong_not_early():
    async def scenario(batcher, scheduler):
        with pytest.raises(ServingError, match="at most 3 rows") as caught:
            await batcher.submit(rows(1, 2, 3, 4))
        return caught.value.code

    assert run(scenario, Doubler(), max_queued=3) is grpc.StatusCode.INVALID_ARGUMENT


def test_work_past_its_deadline_is_not_started():
    model = Doubler(held=True)

    async def scenario(batcher, scheduler):
        first = asyncio.create_task(batcher.submit(rows(1)))
        await entered(model)
        late = asyncio.create_task(batcher.submit(rows(2), deadline=asyncio.get_running_loop().time()))
        await asyncio.sleep(0)
        model.door.set()
        await first
        with pytest.raises(ServingError, match="deadline") as caught:
            await late
        return caught.value.code

    assert run(scenario, model) is grpc.StatusCode.DEADLINE_EXCEEDED
    assert model.batches == [[1]]


def test_cancelled_work_is_not_started_and_leaves_the_queue():
    model = Doubler(held=True)

    async def scenario(batcher, scheduler):
        first = asyncio.create_task(batcher.submit(rows(1)))
        await entered(model)
        gone = asyncio.create_task(batcher.submit(rows(2)))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        assert scheduler.queued == 1
        model.door.set()
        await first
        return await batcher.submit(rows(3))

    assert run(scenario, model)["y"].tolist() == [6]
    assert model.batches == [[1], [3]]


def test_what_cannot_be_batched_runs_by_itself():
    model = Doubler(held=True)

    async def scenario(batcher, scheduler):
        first = asyncio.create_task(batcher.submit(rows(0)))
        await entered(model)
        scalars = [asyncio.create_task(batcher.submit({"x": np.array(i)}, batchable=False)) for i in (1, 2)]
        await asyncio.sleep(0)
        model.door.set()
        await first
        return [answer["y"].item() for answer in await asyncio.gather(*scalars)]

    assert run(scenario, model) == [2, 4]
    assert model.batches == [[0], 1, 2]


def test_a_model_whose_rows_do_not_add_up_is_an_error():
    async def scenario(batcher, scheduler):
        return await batcher.submit(rows(1, 2))

    class Forgetful(Doubler):
        def __call__(self, inputs):
            return {"y": np.zeros(1)}

    with pytest.raises(ServingError, match="expected 2 rows"):
        run(scenario, Forgetful())


@pytest.mark.parametrize("wrong", [{"max_batch": 0}, {"max_queued": 0}, {"threads": 0}, {"timeout_s": -1}])
def test_impossible_options_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        BatchingOptions(**wrong)


def test_a_batch_is_filled_up_to_an_allowed_size_and_nobody_sees_it():
    model = Doubler()
    runs: list[BatchRun] = []

    async def scenario(batcher, scheduler):
        scheduler.observe = runs.append
        return [(await batcher.submit(rows(*range(count))))["y"].tolist() for count in (1, 2, 3, 8, 9)]

    answers = run(scenario, model, max_batch=8, sizes=(2, 4, 8))
    assert answers == [[2.0 * i for i in range(count)] for count in (1, 2, 3, 8, 9)]
    assert [len(batch) for batch in model.batches] == [2, 2, 4, 8, 8, 2]
    assert [(batch.rows, batch.size) for batch in runs] == [(1, 2), (2, 2), (3, 4), (8, 8), (8, 8), (1, 2)]


@pytest.mark.parametrize("sizes", [(4, 2), (2, 2, 4), (1, 2)])
def test_allowed_sizes_rise_to_the_largest_batch(sizes):
    with pytest.raises(ValueError, match="sizes must rise and end with max_batch"):
        BatchingOptions(max_batch=4, sizes=sizes)


def test_a_request_is_told_how_long_it_waited_and_ran():
    model = Doubler(held=True)
    first, second = Timing(), Timing()

    async def scenario(batcher, scheduler):
        asked = [asyncio.create_task(batcher.submit(rows(1), timing=first))]
        await entered(model)
        asked.append(asyncio.create_task(batcher.submit(rows(2), timing=second)))
        await asyncio.sleep(0.05)
        model.door.set()
        await asyncio.gather(*asked)

    run(scenario, model)
    assert first.queue_s < 0.05 <= first.run_s
    assert second.queue_s >= 0.05
