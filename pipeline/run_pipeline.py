"""One run on this machine, from checks to verdict."""

import contextlib
import dataclasses
import glob
import importlib
import json
import os
import pathlib
import time
from collections.abc import Iterator
from typing import Any

import rich.console
from absl import logging

from components.evaluator import verdict as verdicts
from pipeline import fingerprint, lineage, locks, outcomes, quiet, release_history, releases, runs
from pipeline.config import PipelineConfig, PushConfig, ValidatorConfig
from pipeline.errors import UserError
from pipeline.outcomes import Outcome as Outcome
from pipeline.paths import Paths


def run(
    config: PipelineConfig, data: str, root: str, verbose: bool = False, force_bless: str = ""
) -> Outcome:
    """Runs the pipeline, prints how it ended, and writes the record and the report of the run.

    Args:
      config: what to compute.
      data: folder of the spans.
      root: where results go.
      verbose: show the libraries' log.
      force_bless: a person's reason to bless the model whatever the gate says, and to push it even if it was
        rolled back; empty: the gate decides.

    Raises:
      UserError: data or weights are missing, a run is under way in `root`, or a component failed.
    """
    paths = Paths(root)
    check_data(data)
    run_id = time.strftime("%Y%m%d-%H%M%S")
    log = None if verbose else paths.log(run_id)
    with lock(paths), quiet.noise_to(log):
        try:
            return _Running(run_id, config, os.path.abspath(data), paths, force_bless).run()
        except UserError as error:
            raise UserError(f"{error}\nAll log lines are in {log}" if log else str(error)) from error


class _Running:
    """A run while it goes on, and what is known of it so far."""

    def __init__(self, run_id: str, config: PipelineConfig, data: str, paths: Paths, force_bless: str):
        self._config = config
        self._data = data
        self._paths = paths
        self._force_bless = force_bless
        self._console = rich.console.Console(stderr=True)
        self._started = time.monotonic()
        options = json.loads(config.to_json())
        self._record = runs.Run(run_id, config=options, data=data)
        self._runner: Any = None
        self._pipeline: Any = None

    def run(self) -> Outcome:
        """Runs to the end, records how it came there, and tells."""
        self._console.print("loading TFX (about half a minute)", style="dim")
        try:
            self._keep(code=lineage.code(), machine=lineage.machine(), spans=lineage.spans(self._data))
            outcome = self._compute()
        except BaseException as error:  # an interrupt, too: what was done is on record
            try:
                self._fail(error)
            except Exception:  # must not hide what went wrong
                logging.exception("the failed run could not be recorded")
            raise
        state = runs.REFUSED
        if outcome.pushed:
            state = runs.UNCHANGED if outcome.pushed_before else runs.PUSHED
        self._keep(
            state=state,
            nodes=self._nodes(),
            artifacts=self._artifacts(),
            pushed=outcome.pushed or "",
            serving=outcome.refused,
            canary=outcome.canary,
            rolled_back=outcome.rolled_back,
        )
        self._console.print(f"\nthe run took {self._record.seconds / 60:.1f} minutes", highlight=False)
        print("\n".join(runs.last_lines(self._record, outcome.verdict)), flush=True)
        self._report()
        return outcome

    def _fail(self, error: BaseException) -> None:
        node = getattr(error, "node", "")
        self._keep(
            state=runs.FAILED,
            error=str(error) or type(error).__name__,
            nodes=[*self._nodes(), *([runs.Node(node, runs.FAILED, 0.0)] if node else [])],
        )
        self._keep(artifacts=self._artifacts())
        if "CaptionEvaluator" in {node.name for node in self._nodes()}:  # what failed came after the verdict
            judged = self._runner.artifacts(self._pipeline, "CaptionEvaluator")
            outcomes.verdict(judged).write(self._paths.report(self._record.id, verdicts.FILE))
        if isinstance(error, UserError):
            self._report()

    def _compute(self) -> Outcome:
        # Slow and noisy, so not before the checks and the log.
        from components.baseline import plan
        from components.pusher.component import rolled_back
        from components.span_example_gen import executor as span_example_gen
        from pipeline import judging, local_runner
        from pipeline import pipeline as wiring

        config, encoder_version = prepare(self._config)
        self._keep(encoder=encoder_version)
        paths = self._paths
        with releases.changing(paths):
            pass  # what a killed command had begun is done before anything is planned
        try:
            judged = judging.judge_new(config, self._data, paths)
        except Exception as error:
            reason = local_runner.root_cause(error)
            raise UserError(f"the new spans could not be judged: {reason}") from error
        for record in judged:
            for reason in record.reasons:
                self._console.print(f"span {record.span} is refused: {reason}", style="red", markup=False)
        spans = span_example_gen.identify(self._data, paths.spans)
        everything = fingerprint.of_texts(
            # How it is computed, tried and pushed does not change what is computed.
            config.replace(beam_args=(), validator=ValidatorConfig(), push=PushConfig()).to_json(),
            encoder_version,
            spans,
            fingerprint.of_trainer(),
            fingerprint.of_sources((*fingerprint.EVALUATOR_SOURCES, *fingerprint.VALIDATOR_SOURCES)),
        )
        in_service = plan.plan(paths.serving, paths.last_run, everything)
        world = wiring.World(
            encoder_version,
            spans,
            in_service,
            rolled_back(paths.serving),
        )
        values = wiring.Values.of(config, self._data, paths.serving)
        self._pipeline = wiring.build(config, values, world, paths, self._force_bless)
        self._runner = local_runner.LocalRunner(self._console)
        self._runner.run(self._pipeline)
        outcome = outcomes.read(self._runner, self._pipeline, paths)
        plan.remember(paths.serving, paths.last_run, everything, in_service, outcome.pushed)
        outcome.verdict.write(paths.report(self._record.id, verdicts.FILE))
        if outcome.pushed and not outcome.pushed_before:
            self._keep(removed=self._release(int(os.path.basename(outcome.pushed)), in_service))
        return outcome

    def _release(self, version: int, in_service: str) -> list[int]:
        """Records the push, and removes old versions; returns which."""
        told = release_history.event(release_history.PUSHED, version, self._force_bless, self._record.id)
        compared_with = in_service.partition("-")[0]
        spared = [int(compared_with)] if compared_with.isdecimal() else []
        with releases.changing(self._paths, told):
            return releases.remove_old(self._paths, self._config.push.keep_versions, spared)

    def _keep(self, **changes: Any) -> None:
        seconds = time.monotonic() - self._started
        self._record = dataclasses.replace(self._record, seconds=seconds, **changes)
        self._record.write(self._paths)

    def _nodes(self) -> list[runs.Node]:
        if self._runner is None:
            return []
        return [
            runs.Node(name, state, self._runner.seconds[name]) for name, state in self._runner.states.items()
        ]

    def _artifacts(self) -> dict[str, str]:
        """The folders that the report reads, of the nodes that have run."""
        if self._runner is None:
            return {}
        return {
            output: artifact.uri
            for node in ("SpanExampleGen", "ImageFeaturizer", "Trainer", "CaptionEvaluator")
            if node in self._runner.states
            for output, artifact in self._runner.artifacts(self._pipeline, node).items()
        }

    def _report(self) -> None:
        from pipeline.report import report

        try:
            path = report.make(self._record, self._paths)
        except Exception as error:  # the run itself is done, and its model may be in service
            logging.exception("the report could not be made")
            self._console.print(f"the report could not be made: {error}", style="red", markup=False)
            return
        print(f"Report: {os.path.relpath(path)}", flush=True)


def prepare(config: PipelineConfig) -> tuple[PipelineConfig, str]:
    """Returns the config with the encoder weights that there are, and the encoder's fingerprint.

    Reads weights and word vectors, so that what is wrong with them is said before anything is computed.

    Raises:
      UserError: there are no weights, and they cannot be downloaded; or the word vectors cannot be read.
    """
    # Held by name: the pipeline knows the models only as dotted strings.
    weights = importlib.import_module("models.encoder_weights")
    encoder = importlib.import_module("models.image_encoder")
    vectors = importlib.import_module("models.word_vectors")
    config = config.replace(
        encoder=config.encoder.replace(weights=weights.resolve_weights(config.encoder.weights))
    )
    try:
        if vectors.available(config.corpus):
            vectors.load(config.corpus.word_vectors, config.corpus.word_list_size)
        return config, encoder.encoder_fingerprint(config.encoder)
    except (OSError, ValueError) as error:
        raise UserError(str(error)) from error


def check_data(data: str) -> None:
    """Raises UserError unless `data` has spans with both splits."""
    if not glob.glob(os.path.join(glob.escape(data), "span-*")):
        raise UserError(f"no spans in {data}; write one with 'captioner import ... --out {data}'")
    for split in ("train", "eval"):
        if not glob.glob(os.path.join(glob.escape(data), "span-*", f"{split}-*.tfrecord.gz")):
            raise UserError(
                f"no {split} split in {data}: expected span-*/{split}-*.tfrecord.gz; import the data again "
                "with more images, or give the official split files"
            )


@contextlib.contextmanager
def lock(paths: Paths) -> Iterator[None]:
    """One run at a time in a root."""
    os.makedirs(paths.root, exist_ok=True)
    taken = f"another run is under way in {paths.root}; wait for it or take another --root"
    with locks.alone(pathlib.Path(paths.lock), taken):
        yield
