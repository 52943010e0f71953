"""The metrics that TFMA wrote, by model, slice and key."""

import dataclasses
import math
import os
from collections.abc import Mapping
from typing import Any

# Name of the slice of all images.
OVERALL = ""
Metrics = dict[str, float]


@dataclasses.dataclass(frozen=True)
class Scores:
    """What an evaluation found.

    Attributes:
      candidate, baseline: metrics by key, by slice: `OVERALL` or `name=value`. The baseline's are None where
        no model was in service.
    """

    candidate: Mapping[str, Metrics]
    baseline: Mapping[str, Metrics] | None = None


def read(evaluation_uri: str) -> Scores:
    """Reads the metrics of an evaluation; `perplexity` is added.

    Raises:
      FileNotFoundError: there is no evaluation, or not a whole one.
    """
    import tfx.components  # noqa: F401 - TFMA 0.52 has its EvalConfig only after this import
    import tensorflow_model_analysis as tfma  # isort: skip
    from tfx.dsl.io import fileio

    if not fileio.exists(os.path.join(evaluation_uri, "eval_config.json")):
        raise FileNotFoundError(
            f"expected the Evaluator's eval_config.json in {evaluation_uri}; it is not there, so the "
            "evaluation did not reach its end. Run the pipeline again"
        )
    specs = tfma.load_eval_result(evaluation_uri).config.model_specs
    baseline_name = next((spec.name for spec in specs if spec.is_baseline), None)
    candidate: dict[str, Metrics] = {}
    baseline: dict[str, Metrics] = {}
    for of_slice in tfma.load_metrics(evaluation_uri):
        name = _slice_name(of_slice.slice_key)
        for entry in of_slice.metric_keys_and_values:
            if entry.key.is_diff or not entry.value.HasField("double_value"):
                continue
            # A model that is alone has no name.
            its_model = baseline if baseline_name and entry.key.model_name == baseline_name else candidate
            its_model.setdefault(name, {})[entry.key.name] = entry.value.double_value.value
    for metrics in (*candidate.values(), *baseline.values()):
        if "token_cross_entropy" in metrics:
            metrics["perplexity"] = _exp(metrics["token_cross_entropy"])
    return Scores(candidate, baseline if baseline_name else None)


def _slice_name(key: Any) -> str:
    """`span=3`. All values are text; see `components.evaluator.slices`."""
    parts = [f"{single.column}={single.bytes_value.decode('utf-8')}" for single in key.single_slice_keys]
    return ",".join(parts) or OVERALL


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf
