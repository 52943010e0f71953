"""What a finished run of a comparison is known by, read from its artifacts."""

import dataclasses
import json
import math
import os
import statistics
from typing import Any

from pipeline.compare.plan import Contender, Run
from pipeline.errors import UserError


@dataclasses.dataclass(frozen=True)
class Result:
    """A finished run.

    Attributes:
      contender, seed: of the run.
      metrics: by key; see `pipeline.compare.leaderboard.METRICS`.
      epochs: `training.json`'s record of each epoch.
      model: folder of the SavedModel.
      self_critical: its record of each self-critical epoch.
    """

    contender: Contender
    seed: int
    metrics: dict[str, float]
    epochs: list[dict[str, float]]
    model: str
    self_critical: list[dict[str, float]] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Failure:
    """A run that failed in training or after, and why."""

    contender: Contender
    seed: int
    reason: str


def sources(runner: Any, pipeline: Any) -> tuple[str, str]:
    """Folders of the eval split that a run judged: Examples with pictures, and with features."""
    outputs = (("SpanExampleGen", "examples"), ("ImageFeaturizer", "featurized"))
    examples, features = (
        # The folder's name is TFX's own.
        os.path.join(runner.artifacts(pipeline, node)[output].uri, "Split-eval")
        for node, output in outputs
    )
    return examples, features


def read(run: Run, runner: Any, pipeline: Any) -> Result:
    """Reads the results of the run that `runner` has just made of `pipeline`."""
    from tfx.dsl.io import fileio
    from tfx.utils import path_utils

    from components.caption_meter.executor import FILE

    def load(artifact: Any, name: str) -> Any:
        with fileio.open(os.path.join(artifact.uri, name)) as file:
            return json.loads(file.read())

    trained = runner.artifacts(pipeline, "Trainer")
    judged = runner.artifacts(pipeline, "CaptionEvaluator")
    measured = load(runner.artifacts(pipeline, "CaptionMeter")["measured"], FILE)
    training = load(trained["model_run"], "training.json")
    evaluated = _evaluated(judged["evaluation"].uri)
    return Result(
        run.contender,
        run.seed,
        {**evaluated, **measured, **_derived(training, evaluated)},
        training["epochs"],
        path_utils.serving_model_path(trained["model"].uri),
        training["self_critical"],
    )


def _evaluated(uri: str) -> dict[str, float]:
    from components.evaluator import scores

    found = scores.read(uri).candidate
    if not found:
        raise UserError("no image was evaluated, so there is nothing to compare; import an eval split")
    return found[scores.OVERALL]


def _derived(training: dict[str, Any], evaluated: dict[str, float]) -> dict[str, float]:
    epochs = training["epochs"]
    return {
        "parameters": float(training["parameters"]),
        "epochs": float(len(epochs)),
        # Medians: the first epoch also traces and compiles.
        "epoch_seconds": statistics.median(epoch["seconds"] for epoch in epochs),
        "tokens_per_second": statistics.median(epoch["tokens_per_second"] for epoch in epochs),
        "training_seconds": sum(epoch.get("seconds", 0.0) for epoch in epochs + training["self_critical"]),
        "perplexity": math.exp(evaluated["token_cross_entropy"]),
    }
