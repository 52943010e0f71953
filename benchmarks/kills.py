"""Kill -9 at random moments: of imports, of runs and of gc.

    python -m benchmarks.kills --runs 10

Each round adds a span and kills its import, imports it, kills a run over the new data, kills the removal of
old runs, and then lets a run end. A run is killed in a node drawn by lot, after a share of that node's usual
time drawn by lot; an import and a removal a share of their usual time after they began to write. The process
alone is killed, and what it had started must end by itself. After each kill everything is read to the last
byte: ML Metadata (SQLite's own check, and rows of nothing), every shard of every span against its manifest,
every row of the feature store against its checksum, every version by loading it as a server does and asking
it; and no span or version may have changed. At the end of each round the run must end well, and leave nothing
half done behind.
"""

import argparse
import contextlib
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Final

import rich.console
import rich.table

from benchmarks import tiny
from benchmarks.wholeness import Wholeness
from pipeline import quiet, run_pipeline, runs
from pipeline.importers import scenes
from pipeline.importers.importer import ImportOptions, import_source
from pipeline.paths import Paths
from pipeline.retention import inventory

_NODE: Final = re.compile(r"\[(\d+)/(\d+)\] (\w+)")
_LOADING: Final = "loading TFX"
_PLAN: Final = "planning"  # before the first node: loading, and judging of new spans
_END: Final = "the end"  # after the last node: records, verdict, report
_END_S: Final = 2.0
_TIMEOUT_S: Final = 900.0
_CHILDREN_S: Final = 10.0  # for the children of what was killed, to end
_GATE: Final = (
    "gate.min_bleu_4=0",
    "gate.min_cider_d=0",
    "gate.undecided=pass",
    "train.epochs=4",
    "push.keep_versions=0",  # none may be gone
    "validator.images=2",
)
_FIRST: Final = (60, 10, 0)  # pictures
_NEW: Final = (12, 2, 0)
_SEED: Final = 100


class Child:
    """A command of ours as a process, read line by line as it tells how far it is."""

    def __init__(self, arguments: list[str]):
        environment = os.environ | {"PYTHONUNBUFFERED": "1", "COLUMNS": "200"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            start_new_session=True,
        )
        self._news = threading.Condition()
        self.lines: list[tuple[float, str]] = []  # with their moments
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._news:
                self.lines.append((time.monotonic(), line.rstrip()))
                self._news.notify_all()

    def wait_for(self, words: str) -> bool:
        """Waits until a line has `words`; returns whether one has, or the process has ended without."""
        deadline = time.monotonic() + _TIMEOUT_S
        with self._news:
            while not any(words in line for _, line in self.lines):
                if self._process.poll() is not None:
                    return any(words in line for _, line in self.lines)
                if time.monotonic() > deadline:
                    raise TimeoutError(f"no line with {words!r} in {_TIMEOUT_S:.0f} s: {self.lines[-5:]}")
                self._news.wait(0.05)
        return True

    def wait_until(self, so: Callable[[], bool]) -> None:
        """Waits until something is so, or the process has ended."""
        deadline = time.monotonic() + _TIMEOUT_S
        while not so() and self._process.poll() is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"nothing came of it in {_TIMEOUT_S:.0f} s: {self.lines[-5:]}")
            time.sleep(0.001)  # another process: there is nothing to wait on but its files

    def end(self) -> int:
        """Waits for the end; returns the exit status."""
        return self._process.wait(_TIMEOUT_S)

    def kill_after(self, seconds: float) -> bool:
        """Kills it, but not its children, after so long; returns whether it was still at work.

        Raises:
          RuntimeError: its children live on. They are killed then.
        """
        try:
            self._process.wait(seconds)
            return False
        except subprocess.TimeoutExpired:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()
        deadline = time.monotonic() + _CHILDREN_S
        while left := _commands(self._process.pid):
            if time.monotonic() > deadline:
                os.killpg(self._process.pid, signal.SIGKILL)
                raise RuntimeError(f"killed, but what it had started lives on: {left}")
            time.sleep(0.05)  # they are nobody's children now: nothing tells of their end
        return True

    def reached(self) -> str:
        """The last node that it told of."""
        found = [match for _, line in self.lines if (match := _NODE.search(line))]
        return f"{found[-1][3]} ({found[-1][1]}/{found[-1][2]})" if found else ""

    def seconds_by_node(self) -> dict[str, float]:
        """How long each node took, and what comes before the first."""
        began = next(moment for moment, line in self.lines if _LOADING in line)
        first = next(moment for moment, line in self.lines if _NODE.search(line))
        found = re.findall(
            r"\[\d+/\d+\] (\w+)|(?:done|cached) in (\d+) s", "\n".join(t for _, t in self.lines)
        )
        names, moments = [name for name, _ in found if name], [s for _, s in found if s]
        nodes = {name: float(seconds) for name, seconds in zip(names, moments, strict=True)}
        return {_PLAN: first - began} | nodes


def _commands(group: int) -> list[str]:
    """The processes of a group that are at work, by their names."""
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # has ended meanwhile
            name, _, rest = stat.read_text().partition("(")[2].rpartition(")")
            state, _, its_group = rest.split()[:3]
            if int(its_group) == group and state not in "ZX":
                found.append(name)
    return found


class Trial:
    """The rounds, one after the other, in one folder."""

    def __init__(self, folder: pathlib.Path, seed: int, console: rich.console.Console):
        self._data, self._root = folder / "data", folder / "root"
        self._paths = Paths(str(self._root))
        self._random = random.Random(seed)
        self._console = console
        self._whole = Wholeness(self._paths, self._data)
        self._node_seconds: dict[str, float] = {}
        self._import_s = 1.0
        self.rows: list[tuple[str, ...]] = []
        self.failures: list[str] = []

    def prepare(self) -> None:
        """One import and one run that nobody disturbs: how long their parts take."""
        child = Child(self._import(0))
        child.wait_until(lambda: self._is_importing(set()))
        began = time.monotonic()
        _expect(child.end(), child)
        self._import_s = time.monotonic() - began
        child = Child(self._run(0))
        _expect(child.end(), child)
        self._node_seconds = child.seconds_by_node() | {_END: _END_S}
        self._check(0, "undisturbed", "")

    def round(self, number: int) -> None:
        """Kills an import, a run and a gc, and lets a run end."""
        if not self._kill_import(number):
            import_source(scenes.make_source(*_NEW, seed=_SEED + number), self._data, ImportOptions())
        self._kill_run(number)
        self._kill_gc(number)
        began = time.monotonic()
        run_pipeline.run(tiny.config([*_GATE, f"train.seed={number + 1}"]), str(self._data), str(self._root))
        run = runs.find(self._paths, runs.LATEST)
        debris = [
            *pathlib.Path(self._paths.checkpoints).glob("*"),
            *pathlib.Path(self._paths.serving).glob(".*"),
            *self._data.glob(".*"),
        ]
        if debris:
            self.failures.append(f"round {number}: left behind: {', '.join(map(str, debris))}")
        self._check(number, "run", f"ended well: {run.state}, {time.monotonic() - began:.0f} s")

    def _kill_import(self, number: int) -> bool:
        """Returns whether the span is there all the same."""
        share = self._random.random()
        child = Child(self._import(number))
        before = set(self._data.glob("span-*"))
        child.wait_until(lambda: self._is_importing(before))
        killed = child.kill_after(share * self._import_s)
        there = set(self._data.glob("span-*")) != before
        self._check(
            number,
            "import",
            f"{share:.0%} of its time"
            + ("" if killed else ", had ended")
            + (", span there" if there else ""),
        )
        return there

    def _is_importing(self, before: set[pathlib.Path]) -> bool:
        return any(self._data.glob(".importing-*")) or set(self._data.glob("span-*")) != before

    def _kill_run(self, number: int) -> None:
        node, share = self._random.choice(list(self._node_seconds)), self._random.random()
        child = Child(self._run(number))
        last = list(self._node_seconds)[-2]
        if node == _END:
            child.wait_for(f"] {last}")
            child.wait_for("the run took")
        else:
            child.wait_for(_LOADING if node == _PLAN else f"] {node}")
        killed = child.kill_after(share * max(self._node_seconds[node], 0.5))
        what = f"{share:.0%} of {node}'s time: in {child.reached() or node}" if killed else "had ended"
        self._check(number, "run", what)

    def _kill_gc(self, number: int) -> None:
        # From the moment that it says what goes; the removal takes some tens of milliseconds.
        seconds = 10 ** self._random.uniform(-3, -0.7)
        child = Child(["gc", "--root", str(self._root), "--data", str(self._data), "--keep-runs", "1"])
        child.wait_for("stays.")
        killed = child.kill_after(seconds)
        aside = (self._root / inventory.REMOVING).exists()
        self._check(
            number,
            "gc",
            f"{1000 * seconds:.0f} ms after it began" + (", half done" if aside else "")
            if killed
            else f"had ended within {1000 * seconds:.0f} ms",
        )

    def _check(self, number: int, what: str, moment: str) -> None:
        problems = self._whole.problems()
        self.failures += [f"round {number}, {what} {moment}: {problem}" for problem in problems]
        row = (str(number), what, moment, "; ".join(problems) or "whole")
        self.rows.append(row)
        self._console.print("  ".join(row), markup=False)

    def _import(self, number: int) -> list[str]:
        train, eval_, test = _NEW if number else _FIRST
        counts = ["--train", str(train), "--eval", str(eval_), "--test", str(test)]
        return ["import", "scenes", "--out", str(self._data), *counts, "--seed", str(_SEED + number)]

    def _run(self, number: int) -> list[str]:
        settings = [f"--set={each}" for each in (*tiny.SETTINGS, *_GATE, f"train.seed={number + 1}")]
        return ["run", "--config=demo", f"--data={self._data}", f"--root={self._root}", *settings]

    @property
    def checks(self) -> int:
        return self._whole.checks


def _expect(status: int, child: Child) -> None:
    if status:
        raise RuntimeError("\n".join(line for _, line in child.lines[-20:]))


def main() -> None:
    """Runs the rounds and prints every moment."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10, help="rounds")
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    parser.add_argument("--folder", type=pathlib.Path, help="empty; kept (default: a temporary one)")
    args = parser.parse_args()
    console = rich.console.Console(file=sys.stdout, highlight=False, soft_wrap=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or pathlib.Path(temporary)
        with (
            quiet.noise_to(str(folder / "kills.log")),
            open(folder / "runs.out", "w", encoding="utf-8") as out,
        ):
            trial = Trial(folder, args.seed, console)
            trial.prepare()
            for number in range(1, args.runs + 1):
                with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
                    trial.round(number)
    console.print(f"{trial.checks} times everything was read; {len(trial.failures)} failures")
    for failure in trial.failures:
        console.print(failure, style="red", markup=False)
    sys.exit(bool(trial.failures))


if __name__ == "__main__":
    main()
