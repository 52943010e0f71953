"""A schedule whose clock, runs and messages are the test's."""

import dataclasses
import datetime
import json
import pathlib
import random
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from components.evaluator import verdict as verdicts
from components.evaluator.verdict import Verdict
from pipeline import locks, runs
from pipeline.continuous import daemon, transitions
from pipeline.continuous.options import Options
from pipeline.continuous.scheduler import Scheduler, World
from pipeline.continuous.state import Schedule, State
from pipeline.paths import Paths

MONDAY = datetime.datetime(2026, 1, 5, tzinfo=datetime.UTC)  # 0:00


def write_span(data: pathlib.Path, number: int, images: int = 10, content: str = "") -> pathlib.Path:
    """Writes a span as importers do, with nothing in its shard that anybody reads here."""
    folder = data / f"span-{number:04}"
    folder.mkdir(parents=True, exist_ok=True)
    splits: dict[str, Any] = {}
    for split, count in (("train", images - images // 5), ("eval", images // 5), ("test", 3)):
        name = f"{split}-00000-of-00001.tfrecord.gz"
        (folder / name).write_text(content or f"{split} of span {number}")
        size = (folder / name).stat().st_size
        splits[split] = {"images": count, "captions": count, "shards": [{"file": name, "bytes": size}]}
    (folder / "manifest.json").write_text(json.dumps({"span": number, "splits": splits, "note": content}))
    return folder


def write_record(root: pathlib.Path, number: int, digest: str, state: str, **more: Any) -> None:
    """Writes the judgement of a span."""
    path = root / "spans" / f"span-{number:04}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"span": number, "digest": digest, "state": state} | more))


def write_word(root: pathlib.Path, number: int, digest: str, state: str) -> None:
    """Writes a person's word on a span."""
    path = root / "spans" / f"span-{number:04}" / "word.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"digest": digest, "state": state, "reason": "I looked", "at": ""}))


@dataclasses.dataclass
class Trial:
    """A scheduler, and what it is given and does.

    Attributes:
      now: the time.
      states: how the next runs end; beyond them, `unchanged`.
      lasts: how long a run takes.
      ran: when each began, in order.
      told, said: messages, and what is said.
      ways: in which each message was to be told; empty: all.
      complaints: what goes wrong with telling, by the way.
      during: called in each run.
      judge: called when new spans are to be judged; returns an exit status.
    """

    options: Options
    now: datetime.datetime = MONDAY
    states: list[str] = dataclasses.field(default_factory=list)
    lasts: datetime.timedelta = datetime.timedelta(minutes=30)
    ran: list[datetime.datetime] = dataclasses.field(default_factory=list)
    told: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    said: list[str] = dataclasses.field(default_factory=list)
    ways: list[tuple[str, ...]] = dataclasses.field(default_factory=list)
    complaints: dict[str, str] = dataclasses.field(default_factory=dict)
    during: Callable[[], None] = lambda: None
    judge: Callable[[], int] = lambda: 0
    stop: threading.Event = dataclasses.field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.paths = Paths(self.options.root)
        self.root = pathlib.Path(self.options.root)
        self.data = pathlib.Path(self.options.data)
        self.data.mkdir(exist_ok=True)
        self.schedule = Schedule(self.options.root)
        self.start()

    def start(self, options: Options | None = None) -> None:
        """Starts a scheduler on the root, as after a restart of the machine."""
        self.options = options or self.options
        asked, now = daemon.asked(self.options), self.now
        self.schedule.make(State(asked, cron_from=now), lambda s: transitions.asked_again(s, asked, now))
        self.stop.clear()
        world = World(
            now=lambda: self.now,
            run=self._run,
            judge=lambda log: self.judge(),
            tell=self._tell,
            say=self.said.append,
            random=random.Random(1),
            stop=self.stop,
        )
        self.scheduler = Scheduler(self.options, world)

    def pass_time(self, **time: float) -> None:
        """Lets the clock run, with the scheduler looking as often as it wants to."""
        end = self.now + datetime.timedelta(**time)
        while self.now < end and not self.stop.is_set():
            wait = datetime.timedelta(seconds=self.scheduler.look())
            self.now = max(self.now, min(self.now + wait, end))

    def sleep(self, **time: float) -> None:
        """Lets the clock run while there is no scheduler, and starts one."""
        self.now += datetime.timedelta(**time)
        self.start()

    @property
    def state(self) -> State:
        return self.schedule.read()

    def _tell(self, message: dict[str, Any], only: Sequence[str]) -> dict[str, str]:
        self.told.append(message)
        self.ways.append(tuple(only))
        return self.complaints

    def _run(self, log: pathlib.Path) -> int:
        self.ran.append(self.now)
        state = self.states.pop(0) if self.states else runs.UNCHANGED
        run = runs.Run(f"{self.now:%Y%m%d-%H%M%S}", state=state)
        if state == runs.FAILED:
            run = dataclasses.replace(run, error="Trainer failed: no memory")
        elif state != runs.RUNNING:
            verdict = Verdict(blessed=state != runs.REFUSED, sentences=[f"The model is {state}."])
            path = pathlib.Path(self.paths.report(run.id, verdicts.FILE))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(verdict.to_json())
        with locks.alone(pathlib.Path(self.paths.lock), "taken"):
            self.during()
            run.write(self.paths)
        self.now += self.lasts
        return {runs.FAILED: 1, runs.RUNNING: -9}.get(state, 0)


@pytest.fixture
def make_trial(tmp_path: pathlib.Path) -> Callable[..., Trial]:
    """Makes a trial of a schedule with these triggers; `retry` and `notify` may be given too."""
    from pipeline.continuous.config import NotifyConfig, RetryConfig, TriggerConfig

    def make(retry: RetryConfig | None = None, notify: NotifyConfig | None = None, **triggers: Any) -> Trial:
        options = Options(
            "demo",
            str(tmp_path / "data"),
            str(tmp_path / "root"),
            triggers=TriggerConfig(**{"timezone": "UTC"} | triggers),
            retry=retry or RetryConfig(),
            notify=notify or NotifyConfig(),
        )
        return Trial(options)

    return make
