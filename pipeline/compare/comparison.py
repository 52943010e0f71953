"""A comparison from its plan to its reports: run after run, the leaderboard, the page."""

import datetime
import os
import pathlib
import statistics
import time
from collections.abc import Sequence
from typing import Final

import rich.console

from models.config import EncoderConfig
from pipeline import quiet, run_pipeline
from pipeline.compare import leaderboard, page, pictures, results, tables
from pipeline.compare.plan import Run
from pipeline.errors import UserError
from pipeline.paths import Paths

# What differs between the runs of a comparison. A node before these fails for all of them.
_OWN_NODES: Final = ("Trainer", "CaptionEvaluator", "CaptionMeter")


def compare(
    runs: Sequence[Run], data: str, root: str, count: int, verbose: bool = False
) -> leaderboard.Leaderboard:
    """Makes all runs, prints the leaderboard and writes it, with the page, under `root`'s reports.

    A training that fails is set aside with its reason, and the others go on.

    Args:
      runs: of `plan.plan`.
      data: folder of the spans.
      root: as of `run_pipeline.run`; what its runs have computed is used.
      count: eval pictures on the page.
      verbose: show the libraries' log.

    Raises:
      UserError: data or weights are missing, a run is under way in `root`, or every training failed.
    """
    if count < 0:
        raise UserError(f"--pictures takes a number from 0; got {count}")
    run_pipeline.check_data(data)
    paths = Paths(root)
    started = time.strftime("%Y%m%d-%H%M%S")
    log = None if verbose else paths.log(f"compare-{started}")
    folder = pathlib.Path(paths.reports, f"compare-{started}")
    with run_pipeline.lock(paths), quiet.noise_to(log):
        try:
            return _compare(runs, os.path.abspath(data), paths, folder, count)
        except UserError as error:
            raise UserError(f"{error}\nAll log lines are in {log}" if log else str(error)) from error


def _compare(
    runs: Sequence[Run], data: str, paths: Paths, folder: pathlib.Path, count: int
) -> leaderboard.Leaderboard:
    console = rich.console.Console(stderr=True)
    console.print("loading TFX (about half a minute)", style="dim")
    maker = _Maker(data, paths, console, len(runs))
    finished: list[results.Result] = []
    failures: list[results.Failure] = []
    for run in runs:
        outcome = maker.make(run)
        if isinstance(outcome, results.Result):
            finished.append(outcome)
        else:
            failures.append(outcome)
    if not finished:
        raise UserError(f"every run of the comparison failed; the first: {failures[0].reason}")
    board = leaderboard.rank(finished, failures)
    board.write(folder)
    shown = pictures.captioned(board, *maker.sources, count, console)
    page.write(folder / "compare.html", f"Comparison of {runs[0].config.name}", board, shown)
    tables.show(board)
    print(f"Page: {folder / 'compare.html'}", flush=True)
    return board


class _Maker:
    """Makes runs one after the other in this process, and says which is under way and how long is left."""

    def __init__(self, data: str, paths: Paths, console: rich.console.Console, total: int):
        self._data = data
        self._paths = paths
        self._console = console
        self._total = total
        self._made = 0
        self._encoder: EncoderConfig | None = None
        self._encoder_version = ""
        self._seconds: list[float] = []  # of the runs that were not cached
        self.sources = ("", "")  # folders of the eval split: pictures, features

    def make(self, run: Run) -> results.Result | results.Failure:
        """Raises UserError where all runs would fail alike."""
        # Slow and noisy, so not before the checks and the log.
        from components.baseline.in_service import NO_MODEL
        from components.span_example_gen import executor as span_example_gen
        from pipeline import local_runner
        from pipeline import pipeline as wiring

        self._announce(run)
        if self._encoder is None:  # the same for all runs
            config, self._encoder_version = run_pipeline.prepare(run.config)
            self._encoder = config.encoder
        config = run.config.replace(encoder=self._encoder)
        values = wiring.Values.of(config, self._data, self._paths.serving)
        spans = span_example_gen.identify(self._data, self._paths.spans)
        world = wiring.World(self._encoder_version, spans, NO_MODEL)
        pipeline = wiring.build_comparison(config, values, world, self._paths)
        # Those before training are told of once: after the first run they come from the cache.
        runner = local_runner.LocalRunner(self._console, told=_OWN_NODES if self._made else None)
        self._made += 1
        try:
            runner.run(pipeline)
        except local_runner.NodeError as error:
            if error.node not in _OWN_NODES:
                raise
            self._console.print(f"  {error}", style="red", markup=False, highlight=False)
            return results.Failure(run.contender, run.seed, str(error))
        finally:
            _forget_models()
        cached = all(runner.states[node] == "cached" for node in _OWN_NODES)
        if not cached:
            self._seconds.append(sum(runner.seconds[node] for node in _OWN_NODES))
        self.sources = results.sources(runner, pipeline)
        result = results.read(run, runner, pipeline)
        self._tell(result, cached)
        return result

    def _announce(self, run: Run) -> None:
        left = self._total - self._made
        eta = ""
        if self._seconds:
            seconds = left * statistics.fmean(self._seconds)
            eta = f", about {datetime.timedelta(seconds=round(seconds))} left"
        self._console.print(
            f"[bold]run {self._made + 1} of {self._total}: {run.contender.name}, seed {run.seed}[/bold]{eta}",
            highlight=False,
        )

    def _tell(self, result: results.Result, cached: bool) -> None:
        figures = result.metrics
        self._console.print(
            f"  CIDEr-D {figures['cider_d']:.3f}, BLEU-4 {figures['bleu_4']:.3f}, "
            f"{figures['parameters']:,.0f} parameters{' (made before)' if cached else ''}",
            highlight=False,
        )


def _forget_models() -> None:
    """Frees what Keras holds of the model just trained, or a long comparison would run out of memory."""
    import keras

    keras.backend.clear_session()
