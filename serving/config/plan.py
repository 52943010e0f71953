"""Settings of TensorFlow Serving for a machine and a model, each number with its reason."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Final

from serving.config.machine import GIB, MIB, Machine
from serving.config.model_folder import ModelFolder
from serving.config.read import Batching

# Measured with InceptionV3 in float32 at 299 x 299: the process with TensorFlow is 0.8 GiB before the
# weights, and a batch of 16 adds 21 MiB an image; the decoder and the decoded picture come on top.
_PROCESS: Final = GIB
_RUNNING_IMAGE: Final = 32 * MIB
# The client sends no larger picture without shrinking it.
_QUEUED_IMAGE: Final = 4 * MIB
# Each signature that has run keeps its own copy of the encoder's weights, as they are and as oneDNN wants
# them: measured, 270 MiB of a model of 83 MiB on disk.
_PER_SIGNATURE: Final = 3.3
# A new version is loaded and warmed up before the old one goes.
_VERSIONS_IN_MEMORY: Final = 2
# An image of a batch takes 30 ms: so many of them are 4 s, well within a client's deadline.
_IMAGES_A_THREAD: Final = 128
# A thread is cheap, thousands are not.
_GRPC_THREADS: Final = 1024
# One image takes 50 ms on two cores, so 5 ms of waiting costs a lone request a tenth at most.
_TIMEOUT_S: Final = 0.005


@dataclasses.dataclass(frozen=True)
class Plan:
    """Settings, with reasons.

    Attributes:
      batching: the batching parameters; why: a sentence for each of its fields, by the name in the file.
      threads: threads of one op, and ops run at once. grpc_threads: calls that may wait for an answer.
    """

    batching: Batching
    why: dict[str, str]
    threads: int
    grpc_threads: int


def make_plan(machine: Machine, model: ModelFolder, batch_sizes: Sequence[int] = ()) -> Plan:
    """Chooses the settings.

    Args:
      batch_sizes: allowed ones, instead of those of the model's warm-up that the machine has memory for.

    Raises:
      ValueError: no batch sizes are known, or the machine is too small for the model.
    """
    if batch_sizes or not model.batch_sizes:
        return _plan(machine, model, tuple(sorted(set(batch_sizes))), asked_for=True)
    sizes = tuple(sorted(set(model.batch_sizes)))
    for count in range(len(sizes), 0, -1):
        try:
            return _plan(machine, model, sizes[:count], asked_for=False)
        except ValueError as error:
            too_small = error
    raise too_small


def _plan(machine: Machine, model: ModelFolder, sizes: tuple[int, ...], asked_for: bool) -> Plan:
    if not sizes:
        raise ValueError(
            f"version {model.version} in {model.path} has no warm-up requests that tell its batch sizes; "
            "give them with --batch, such as --batch 1 2 4 8"
        )
    if sizes[0] < 1:
        raise ValueError(f"batch sizes must be 1 or more; got {sizes[0]}")
    largest, threads = sizes[-1], machine.cores
    running = threads * largest * _RUNNING_IMAGE
    needed = _PROCESS + _VERSIONS_IN_MEMORY * _loaded(model) + running
    # Each signature has a queue of its own: one is given half of what is free.
    free = (machine.memory - needed) // 2
    a_thread = max(1, _IMAGES_A_THREAD // largest)
    enqueued = min(a_thread * threads, free // (largest * _QUEUED_IMAGE))
    scarce = enqueued < a_thread * threads
    if enqueued < threads:
        least = needed + 2 * threads * largest * _QUEUED_IMAGE
        raise ValueError(
            f"expected at least {math.ceil(least / GIB * 10) / 10:g} GiB of memory for {threads} cores and "
            f"batches of {largest}; got {machine.memory / GIB:.3g} GiB. Give more memory, fewer cores or "
            "smaller batches (--batch)"
        )
    source = "as asked for" if asked_for else f"those that version {model.version} is warmed up with"
    if not asked_for and largest < max(model.batch_sizes):
        source += f" and {machine.memory / GIB:.3g} GiB have room for"
    unwarmed = [str(size) for size in sizes if size not in model.batch_sizes]
    missing = f" Not warmed up: {', '.join(unwarmed)}; their first request is slower." if unwarmed else ""
    why = {
        "max_batch_size": "The largest of the sizes below; a request with more images is refused, so the "
        "client splits its own.",
        "batch_timeout_micros": "Once a thread is free, wait 5 ms for more images: a tenth of what one image "
        "takes by itself.",
        "max_enqueued_batches": _queue_reason(machine, model, largest, threads, scarce),
        "num_batch_threads": f"One a core ({threads}).",
        "allowed_batch_sizes": f"Sizes, {source}; a batch is filled up to the next one.{missing}",
    }
    batching = Batching(
        max_batch_size=largest,
        batch_timeout_s=_TIMEOUT_S,
        max_enqueued_batches=enqueued,
        num_batch_threads=threads,
        allowed_batch_sizes=sizes,
    )
    # A call keeps its thread while it waits: with one for each image that runs or waits, the queue refuses,
    # which says why; gRPC, short of threads, does not.
    grpc_threads = min(_GRPC_THREADS, (enqueued + threads) * largest)
    return Plan(batching, why, threads, grpc_threads)


def _loaded(model: ModelFolder) -> int:
    """Bytes that a version takes in memory once it is warmed up."""
    return int(_PER_SIGNATURE * model.signatures * model.size)


def _queue_reason(machine: Machine, model: ModelFolder, largest: int, threads: int, scarce: bool) -> str:
    if not scarce:
        return (
            f"{_IMAGES_A_THREAD} images a thread: at 30 ms an image, the last one waits 4 s. What comes "
            "beyond is refused at once (UNAVAILABLE). Memory would allow more."
        )
    return (
        f"What memory allows: of {machine.memory / GIB:.3g} GiB, 1 for the process, {_VERSIONS_IN_MEMORY} x "
        f"{_loaded(model) / GIB:.2g} for the model and the one that replaces it, {threads} x {largest} x "
        f"{_RUNNING_IMAGE // MIB} MiB for the batches that run; half of the rest at "
        f"{_QUEUED_IMAGE // MIB} MiB an image, since each signature has its own queue. What comes beyond is "
        "refused at once (UNAVAILABLE)."
    )
