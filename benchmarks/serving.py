"""The embedded server against its own model, under load, during swaps of versions, and overloaded.

The model is the one that the config flickr8k serves (InceptionV3 up to mixed8, Transformer, beam 5, 20
words), with random weights, or that of `--model`. Client and server share the machine; "in process" is the
same signature of the same SavedModel, loaded in the same precision, called without a server.

    python -m benchmarks.serving [--parts latency,throughput,swaps,overload] [--model DIR]

Bars, each on figures of this one run:

- latency: an image through the server takes at most 3 ms more than in process (medians of calls that take
  turns); at half of the most that the server can do, arrivals evenly, the 99th percentile is at most twice
  the median (shown for arrivals at random, too: there a queue forms whatever the server does);
- throughput: 32 clients get at least 0.95 of the best in-process batch, and their 99th percentile is at most
  1.3 times the median;
- swaps: 20 new versions under load, no request fails, and the 99th percentile meanwhile is at most 3 times
  that before;
- overload: for 60 s three times as much as the server can do: it serves at least 0.9 of its most, refusals
  take less than 50 ms (99th percentile), its memory stays bounded, and 5 s later it answers as before.
"""

import argparse
import collections
import dataclasses
import os
import pathlib
import platform
import shutil
import statistics
import sys
import tempfile
import threading
import time

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import load, served_model
from components.serving_validator.server_process import ServerProcess
from models import features
from serving import precision
from serving.saved_model import SavedModel

_BATCHES = (1, 2, 4, 8, 16)


@dataclasses.dataclass
class Bench:
    """What all parts share.

    Attributes:
      model_dir: folder with version 1.
      photos: encoded pictures.
      rows: what was measured, the bar, and whether it holds.
      most: calls a second that the server can do; 0 before it was measured.
    """

    model_dir: pathlib.Path
    photos: list[bytes]
    options: argparse.Namespace
    console: Console
    rows: list[tuple[str, str, str, bool]] = dataclasses.field(default_factory=list)
    most: float = 0.0

    @property
    def messages(self) -> list[bytes]:
        """A request of one photo each."""
        return [load.request([photo]) for photo in self.photos]

    def bar(self, what: str, value: float, unit: str, bar: str, holds: bool) -> None:
        """Notes a figure with a bar."""
        self.rows.append((what, f"{value:.3g} {unit}".strip(), bar, holds))
        self.note(f"{what}: {value:.3g} {unit} ({bar}: {'holds' if holds else 'MISSED'})")

    def note(self, text: str) -> None:
        """Shows how far it is."""
        self.console.print(text, style="dim", highlight=False)

    def load_model(self) -> SavedModel:
        """The same model in this process, warmed up."""
        model = SavedModel(self.model_dir / "1", precision.resolve(precision.AUTO))
        model.warm_up()
        return model

    def measure_most(self, server: ServerProcess) -> float:
        """Calls a second that 32 clients get."""
        if not self.most:
            self.most = load.rate_of(load.closed_loop(server.address, self.messages, 32, 200))
        return self.most


def _run(model: SavedModel, photos: list[bytes]) -> float:
    """Seconds of one call in process."""
    start = time.perf_counter()
    model.run(
        features.SERVING_SIGNATURE, {features.IMAGE_BYTES_INPUT: np.array([*photos, None], object)[:-1]}
    )
    return time.perf_counter() - start


def latency(bench: Bench) -> None:
    """One image through the server against the same in process."""
    model = bench.load_model()
    through, alone = [], []
    with load.serving(bench.model_dir) as server:
        load.closed_loop(server.address, bench.messages, 1, 10)
        for _ in range(bench.options.rounds):
            answers = load.closed_loop(server.address, bench.messages, 1, len(bench.photos))
            through += [1e3 * answer.seconds for answer in answers]
            alone += [1e3 * _run(model, [photo]) for photo in bench.photos]
        model.close()
        more = statistics.median(through) - statistics.median(alone)
        bench.note(f"in process {statistics.median(alone):.1f} ms, through the server {more:+.1f} ms")
        bench.bar("one image, more than in process (median)", more, "ms", "at most 3 ms", more <= 3)
        rate = bench.measure_most(server) / 2
        for seed, how in ((None, "evenly"), (1, "at random")):
            answers = load.open_loop(server.address, bench.messages, rate, bench.options.seconds, seed)
            half = load.percentile(answers, 99) / load.percentile(answers, 50)
            bench.note(
                f"{rate:.1f} a second {how}: median {load.percentile(answers, 50):.0f} ms, 99th percentile "
                f"{load.percentile(answers, 99):.0f} ms, ratio {half:.2f}"
            )
            if seed is None:
                bench.bar("half of its most: 99th percentile / median", half, "", "at most 2", half <= 2)


def throughput(bench: Bench) -> None:
    """32 clients against the best batch in process."""
    model = bench.load_model()
    ratios, spreads = [], []
    with load.serving(bench.model_dir) as server:
        load.closed_loop(server.address, bench.messages, 32, 64)
        for _ in range(max(3, bench.options.rounds // 2)):
            answers = load.closed_loop(server.address, bench.messages, 32, 320)
            spreads.append(load.percentile(answers, 99) / load.percentile(answers, 50))
            rates = {}
            for size in _BATCHES:
                images = (bench.photos * 2)[:size]
                seconds = statistics.median(_run(model, images) for _ in range(max(3, 32 // size)))
                rates[size] = size / seconds
            best = max(rates, key=lambda size: rates[size])
            ratios.append(load.rate_of(answers) / rates[best])
            bench.note(
                f"server {load.rate_of(answers):.1f} images/s; in process {rates[best]:.1f} in batches of "
                f"{best}"
            )
    model.close()
    ratio, spread = statistics.median(ratios), statistics.median(spreads)
    bench.bar("32 clients / best in-process batch", ratio, "", "at least 0.95", ratio >= 0.95)
    bench.bar("32 clients: 99th percentile / median", spread, "", "at most 1.3", spread <= 1.3)


def swaps(bench: Bench) -> None:
    """New versions under load."""
    with load.serving(bench.model_dir, "--poll", "0.5") as server:
        rate = bench.measure_most(server) / 2
        before = load.open_loop(server.address, bench.messages, rate, bench.options.seconds)
        swapping = _Swaps(bench.model_dir, server, bench.options.swaps)
        swapping.start()
        during: list[load.Answer] = []
        while swapping.is_alive():
            during += load.open_loop(server.address, bench.messages, rate, 5.0, seed=len(during))
        memory = swapping.memory
    failed = collections.Counter(answer.code for answer in during if answer.code != "OK")
    bench.bar(
        f"{bench.options.swaps} swaps, {len(during)} requests: failed",
        sum(failed.values()),
        "",
        "0",
        not failed,
    )
    ratio = load.percentile(during, 99) / load.percentile(before, 99)
    bench.note(
        f"99th percentile {load.percentile(before, 99):.0f} ms before, {load.percentile(during, 99):.0f} "
        f"during; medians {load.percentile(before, 50):.0f} and {load.percentile(during, 50):.0f}"
    )
    bench.bar("99th percentile during swaps / before", ratio, "", "at most 3", ratio <= 3)
    growth = memory[-1] / memory[1]
    bench.note(f"memory after each swap: {', '.join(f'{mib:.0f}' for mib in memory)} MiB")
    bench.bar(f"memory after {len(memory)} swaps / after 2", growth, "", "at most 1.1", growth <= 1.1)


def overload(bench: Bench) -> None:
    """Three times as much as the server can do."""
    with load.serving(bench.model_dir) as server:
        most = bench.measure_most(server)
        calm = load.closed_loop(server.address, bench.messages, 4, 64)
        before = server.memory_mib()
        answers = load.open_loop(server.address, bench.messages, 3 * most, bench.options.overload_seconds)
        after = server.memory_mib()
        codes = collections.Counter(answer.code for answer in answers)
        bench.note(f"{len(answers)} calls at {3 * most:.0f} a second: {dict(codes)}")
        served = load.rate_of(answers) / most
        bench.bar("overload: served / its most", served, "", "at least 0.9", served >= 0.9)
        refused = [1e3 * answer.seconds for answer in answers if answer.code == "RESOURCE_EXHAUSTED"]
        slow = float(np.percentile(refused, 99))
        bench.note(f"refusals: median {statistics.median(refused):.1f} ms")
        bench.bar("overload: refusals, 99th percentile", slow, "ms", "less than 50 ms", slow < 50)
        others = set(codes) - {"OK", "RESOURCE_EXHAUSTED"}
        bench.bar("overload: other errors", len(others), "kinds", "0", not others)
        bench.bar("overload: memory / before", after / before, "", "at most 1.25", after <= 1.25 * before)
        time.sleep(5)
        again = load.closed_loop(server.address, bench.messages, 4, 64)
        back = load.percentile(again, 50) / load.percentile(calm, 50)
        bench.bar("5 s later: median / before", back, "", "at most 1.2", back <= 1.2)


class _Swaps(threading.Thread):
    """Copies the model to the next version, waits until it has taken over, and removes the one before.

    Attributes:
      memory: of the server after each swap, MiB.
    """

    def __init__(self, model_dir: pathlib.Path, server: ServerProcess, count: int):
        super().__init__()
        self._dir, self._server, self._count = model_dir, server, count
        self.memory: list[float] = []

    def run(self) -> None:
        """Makes all swaps."""
        for version in range(2, self._count + 2):
            aside = self._dir / "copying"
            shutil.copytree(self._dir / "1", aside)
            aside.rename(self._dir / str(version))
            while f"version {version - 1} is unloaded" not in self._server.log():
                time.sleep(0.1)
            self.memory.append(self._server.memory_mib())
            if version > 2:
                shutil.rmtree(self._dir / str(version - 1))


_PARTS = {"latency": latency, "throughput": throughput, "swaps": swaps, "overload": overload}


def main() -> int:
    """Prints what was measured; returns 1 if a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--parts", default=",".join(_PARTS))
    parser.add_argument("--model", help="folder of a SavedModel to serve instead")
    parser.add_argument("--photos", help="folder of JPEGs to send instead of made-up ones")
    parser.add_argument("--rounds", type=int, default=6, help="of latency and throughput")
    parser.add_argument("--seconds", type=float, default=30.0, help="of load at half of its most")
    parser.add_argument("--swaps", type=int, default=20)
    parser.add_argument("--overload-seconds", type=float, default=60.0)
    options = parser.parse_args()
    console = Console(width=120)
    with tempfile.TemporaryDirectory() as temporary:
        model_dir = served_model.place(pathlib.Path(temporary, "captioner"), options.model)
        photos = served_model.photos(32)
        if options.photos:
            photos = [path.read_bytes() for path in sorted(pathlib.Path(options.photos).glob("*.jpg"))[:32]]
        bench = Bench(model_dir, photos, options, console)
        for part in options.parts.split(","):
            bench.note(f"--- {part}")
            _PARTS[part](bench)
    table = Table(title=f"{os.cpu_count()} cores, {platform.machine()}, {precision.resolve(precision.AUTO)}")
    for column in ("what", "measured", "bar", ""):
        table.add_column(column)
    for what, value, bar, holds in bench.rows:
        table.add_row(what, value, bar, "holds" if holds else "[red]missed")
    console.print(table)
    return int(not all(holds for *_, holds in bench.rows))


if __name__ == "__main__":
    sys.exit(main())
