"""Which version answers: follows a directory of numbered SavedModels, as TensorFlow Serving does.

    START -> LOADING -> AVAILABLE -> UNLOADING -> END
                     -> END with an error, tried again when its files change

The newest version that can be loaded is in service. A new one is loaded and warmed up beside it, then takes
over; the old one ends when its last request is answered. A version that is still being written (its files
change between two looks) is left alone until it is whole.
"""

import asyncio
import concurrent.futures
import contextlib
import dataclasses
import enum
import gc
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Final

import grpc
import tensorflow as tf
from absl import logging

from serving.batching import Arrays, Batcher, Scheduler
from serving.errors import ServingError
from serving.saved_model import FILE, SavedModel

# Relative path, size and modification time of each file: changes while a version is being written.
Fingerprint = tuple[tuple[str, int, int], ...]

_SETTLE_S: Final = 1.0
_ENDED_KEPT: Final = 20  # ended versions that GetModelStatus still shows


class State(enum.IntEnum):
    """States of a version; the numbers are those of ModelVersionStatus.State."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclasses.dataclass
class VersionStatus:
    """What GetModelStatus says of a version; error_code is a gRPC status number, 0 without error."""

    version: int
    state: State
    error_code: int = 0
    error_message: str = ""


class Servable:
    """A loaded version and its requests in flight."""

    def __init__(self, name: str, version: int, model: SavedModel, scheduler: Scheduler):
        self.name = name
        self.version = version
        self.model = model
        self.in_flight = 0
        self.idle = asyncio.Event()
        self.idle.set()
        self._scheduler = scheduler
        self._batchers: dict[str, Batcher] = {}

    async def run(self, signature: str, inputs: Arrays, *, batchable: bool, deadline: float | None) -> Arrays:
        """Runs one of the model's signatures, batched; see `Batcher.submit`."""
        if signature not in self._batchers:
            self._batchers[signature] = Batcher(
                lambda arrays: self.model.run(signature, arrays), self._scheduler
            )
        return await self._batchers[signature].submit(inputs, batchable=batchable, deadline=deadline)


class ModelManager:
    """Keeps the newest loadable version of one model in service. Lives in one asyncio loop."""

    def __init__(
        self,
        name: str,
        directory: str | pathlib.Path,
        scheduler: Scheduler,
        *,
        poll_s: float = 2.0,
        load: Callable[[pathlib.Path], SavedModel] = SavedModel,
        on_ready: Callable[[], None] = lambda: None,
    ):
        """`load` reads a version's folder (in a thread); `on_ready` is called when the first one answers."""
        self.name = name
        self.directory = pathlib.Path(directory)
        self.current: Servable | None = None
        self._scheduler = scheduler
        self._poll_s = poll_s
        self._load = load
        self._on_ready = on_ready
        self._statuses: dict[int, VersionStatus] = {}
        self._last_seen: dict[int, Fingerprint] = {}
        self._failed: dict[int, Fingerprint] = {}
        self._retiring: set[asyncio.Task[None]] = set()
        # Loading blocks for seconds: a thread of its own, so that the version in service is not delayed.
        self._loader = concurrent.futures.ThreadPoolExecutor(1, "loader")

    def statuses(self, version: int | None = None) -> list[VersionStatus]:
        """Returns all versions known, newest first, or the one asked for (empty if it is not known)."""
        return [
            self._statuses[v] for v in sorted(self._statuses, reverse=True) if version is None or v == version
        ]

    @contextlib.contextmanager
    def lease(self, version: int | None = None) -> Iterator[Servable]:
        """Gives the version in service and keeps it loaded meanwhile. Raises ServingError NOT_FOUND."""
        servable = self.current
        if servable is None or version not in (None, servable.version):
            wanted = f"Latest({self.name})" if version is None else f"Specific({self.name}, {version})"
            raise ServingError(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {wanted}")
        servable.in_flight += 1
        servable.idle.clear()
        try:
            yield servable
        finally:
            servable.in_flight -= 1
            if servable.in_flight == 0:
                servable.idle.set()

    async def run(self) -> None:
        """Follows the directory until cancelled."""
        while True:
            settling = False
            try:
                settling = await self.poll()
            except OSError as error:
                logging.error("%s cannot be read; trying again: %s", self.directory, error)
            await asyncio.sleep(min(self._poll_s, _SETTLE_S) if settling else self._poll_s)

    async def poll(self) -> bool:
        """Looks at the directory once and loads what is new. Returns whether something is still changing."""
        seen = await asyncio.to_thread(scan, self.directory)
        before, self._last_seen = self._last_seen, seen
        self._failed = {version: files for version, files in self._failed.items() if version in seen}
        settling = False
        for version in sorted(seen, reverse=True):
            if self.current is not None and version == self.current.version:
                break
            if self._failed.get(version) == seen[version]:
                continue
            if before.get(version) != seen[version]:
                settling = True
                continue
            if await self._bring_up(version, seen[version]):
                break
        return settling

    async def close(self) -> None:
        """Unloads everything, once requests in flight are answered."""
        if self.current is not None:
            self._retire(self.current)
            self.current = None
        await asyncio.gather(*self._retiring)
        self._loader.shutdown()

    async def _bring_up(self, version: int, fingerprint: Fingerprint) -> bool:
        path = self.directory / str(version)
        logging.info("Loading %s version %d", self.name, version)
        self._set(version, State.LOADING)
        start = time.monotonic()
        try:
            model, warmed = await asyncio.get_running_loop().run_in_executor(
                self._loader, self._load_and_warm, path, fingerprint
            )
        except Exception as error:
            code, message = describe(error)
            logging.error("%s version %d is not served: %s", self.name, version, message)
            self._failed[version] = fingerprint
            self._set(version, State.END, code, message)
            return False
        self._failed.pop(version, None)
        old, self.current = self.current, Servable(self.name, version, model, self._scheduler)
        self._set(version, State.AVAILABLE)
        logging.info(
            "%s version %d is in service (loaded in %.1f s, %d warm-up requests)",
            self.name,
            version,
            time.monotonic() - start,
            warmed,
        )
        if old is None:
            self._on_ready()
        else:
            self._retire(old)
        return True

    def _load_and_warm(self, path: pathlib.Path, fingerprint: Fingerprint) -> tuple[SavedModel, int]:
        model = self._load(path)
        try:
            warmed = model.warm_up()
            if _fingerprint(path) != fingerprint:
                raise RuntimeError("its files changed while it was loaded")
            return model, warmed
        except BaseException:
            model.close()
            raise

    def _retire(self, servable: Servable) -> None:
        async def drain() -> None:
            self._set(servable.version, State.UNLOADING)
            await servable.idle.wait()
            await asyncio.get_running_loop().run_in_executor(self._loader, self._unload, servable.model)
            self._set(servable.version, State.END)
            logging.info("%s version %d is unloaded", self.name, servable.version)

        task = asyncio.create_task(drain())
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    @staticmethod
    def _unload(model: SavedModel) -> None:
        model.close()
        del model
        gc.collect()  # a graph and its tensors refer to each other

    def _set(self, version: int, state: State, error_code: int = 0, error_message: str = "") -> None:
        self._statuses[version] = VersionStatus(version, state, error_code, error_message)
        ended = sorted(v for v, status in self._statuses.items() if status.state is State.END)
        for old in ended[:-_ENDED_KEPT]:
            del self._statuses[old]


def scan(directory: pathlib.Path) -> dict[int, Fingerprint]:
    """Returns the versions in `directory`: folders with a number for a name and a SavedModel inside."""
    versions = {}
    for path in directory.iterdir():
        # str(int()): a name like 007 or in another script's digits is not the version's own name.
        if path.name.isdecimal() and path.name == str(int(path.name)) and (path / FILE).is_file():
            versions[int(path.name)] = _fingerprint(path)
    return versions


def _fingerprint(path: pathlib.Path) -> Fingerprint:
    files = []
    for file in sorted(path.rglob("*")):
        with contextlib.suppress(FileNotFoundError):  # removed since it was listed
            stat = file.stat()
            files.append((str(file.relative_to(path)), stat.st_size, stat.st_mtime_ns))
    return tuple(files)


def describe(error: BaseException) -> tuple[int, str]:
    """Returns the gRPC status number and the message that stand for any exception of a model."""
    if isinstance(error, ServingError):
        return error.code.value[0], error.message
    if isinstance(error, tf.errors.OpError):
        return error.error_code, error.message
    return grpc.StatusCode.UNKNOWN.value[0], f"{type(error).__name__}: {error}"
