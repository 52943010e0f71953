"""Why a model was blessed or not: every rule of the gate with its numbers, in sentences."""

import dataclasses
import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipeline.eval_config import Rule

_NAMES: Final = {
    "images": "Number of images",
    "bleu_1": "BLEU-1",
    "bleu_2": "BLEU-2",
    "bleu_3": "BLEU-3",
    "bleu_4": "BLEU-4",
    "rouge_l": "ROUGE-L",
    "cider_d": "CIDEr-D",
    "token_cross_entropy": "Token cross-entropy",
    "token_accuracy": "Token accuracy",
    "mean_caption_length": "Words a caption",
    "distinct_captions": "Share of distinct captions",
}


@dataclasses.dataclass(frozen=True)
class Check:
    """One rule applied to one metric.

    Attributes:
      metric: its key.
      value: of the candidate; None where the Evaluator computed none.
      baseline_value: of the model in service; None without one.
      bound: the absolute bound.
      allowed_loss: against the model in service; None where it is not compared.
      passed: whether the rule holds.
      sentence: the above in plain English.
    """

    metric: str
    value: float | None
    baseline_value: float | None
    bound: float | None
    allowed_loss: float | None
    passed: bool
    sentence: str


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The outcome of the gate.

    Attributes:
      blessed: what the Evaluator decided; the Pusher follows it.
      sentences: one for the outcome, then one a rule.
      metrics: of the candidate, by key.
      baseline_metrics: of the model in service; None without one.
      checks: the rules, as data.
    """

    blessed: bool
    sentences: list[str]
    metrics: dict[str, float]
    baseline_metrics: dict[str, float] | None
    checks: list[Check] = dataclasses.field(default_factory=list)

    def to_json(self) -> str:
        """Returns the verdict as JSON; a number that is not finite becomes a string, as JSON has none."""
        return json.dumps(_finite(dataclasses.asdict(self)), indent=2, sort_keys=True, allow_nan=False)

    def write(self, path: str) -> None:
        """Writes `verdict.json`, whole or not at all, on any file system that TFX reads."""
        from tfx.dsl.io import fileio

        fileio.makedirs(os.path.dirname(path) or ".")
        aside = f"{path}.writing"
        with fileio.open(aside, "w") as file:
            file.write(self.to_json() + "\n")
        fileio.rename(aside, path, overwrite=True)


def judge(
    rules: Sequence[Rule],
    metrics: Mapping[str, float],
    baseline_metrics: Mapping[str, float] | None,
    blessed: bool,
) -> Verdict:
    """Explains a decision of the Evaluator rule by rule.

    Args:
      rules: those that the Evaluator applied.
      metrics: of the candidate.
      baseline_metrics: of the model in service; None without one.
      blessed: the decision. It stands: where no rule explains it, a sentence says so.
    """
    checks = [_check(rule, metrics, baseline_metrics) for rule in rules]
    failed = [check for check in checks if not check.passed]
    if not metrics:
        outcome = "NOT BLESSED: no image was evaluated, so nothing is known of the model."
    elif not rules:
        outcome = "NOT BLESSED: the gate has no rule, and without a rule no model passes."
    elif blessed:
        beside = (
            "and is not worse than the model in service"
            if baseline_metrics is not None
            else "and there is no model in service to compare it with"
        )
        outcome = f"BLESSED: the model keeps every bound {beside}."
    elif failed:
        names = ", ".join(dict.fromkeys(_name(check.metric) for check in failed))
        outcome = f"NOT BLESSED because of: {names}."
    else:
        outcome = (
            "NOT BLESSED: every rule known here holds, but the Evaluator refused the model. "
            "Its validation result has the details."
        )
    if blessed and (failed or not metrics or not rules):
        outcome = (
            "BLESSED by the Evaluator although a rule does not hold as read here; "
            "check the versions of the two before you serve this model."
        )
    return Verdict(
        blessed=blessed,
        sentences=[outcome, *(check.sentence for check in checks if metrics)],
        metrics=dict(metrics),
        baseline_metrics=None if baseline_metrics is None else dict(baseline_metrics),
        checks=checks,
    )


def read_verdict(evaluation_uri: str, blessing_uri: str) -> Verdict:
    """Reads the outputs of a CaptionEvaluator.

    Args:
      evaluation_uri, blessing_uri: of its two artifacts.

    Raises:
      FileNotFoundError: there is no evaluation under `evaluation_uri`.
    """
    import tfx.components  # noqa: F401 - TFMA 0.52 has its EvalConfig only after this import
    import tensorflow_model_analysis as tfma  # isort: skip
    from tfx.dsl.io import fileio

    config_file = os.path.join(evaluation_uri, "eval_config.json")
    if not fileio.exists(config_file):
        raise FileNotFoundError(
            f"expected the Evaluator's eval_config.json in {evaluation_uri}; it is not there, so the "
            "evaluation did not reach its end. Run the pipeline again"
        )
    eval_config = tfma.load_eval_result(evaluation_uri).config
    baseline_name = next((spec.name for spec in eval_config.model_specs if spec.is_baseline), None)
    metrics: dict[str, float] = {}
    baseline_metrics: dict[str, float] = {}
    for of_slice in tfma.load_metrics(evaluation_uri):
        if of_slice.slice_key.single_slice_keys:
            continue
        for entry in of_slice.metric_keys_and_values:
            if entry.key.is_diff or not entry.value.HasField("double_value"):
                continue
            its_model = baseline_metrics if entry.key.model_name == baseline_name else metrics
            its_model[entry.key.name] = entry.value.double_value.value
    return judge(
        rules=_rules(eval_config),
        metrics=metrics,
        baseline_metrics=None if baseline_name is None else baseline_metrics,
        blessed=fileio.exists(os.path.join(blessing_uri, "BLESSED")),
    )


def _rules(eval_config: Any) -> list[Rule]:
    """Returns the rules that an EvalConfig of `build_eval_config` was built from."""
    rules = []
    for spec in eval_config.metrics_specs:
        for metric in spec.metrics:
            if not metric.HasField("threshold"):
                continue
            bounds = metric.threshold.value_threshold
            change = metric.threshold.change_threshold
            higher_is_better = bounds.HasField("lower_bound")
            compared = metric.threshold.HasField("change_threshold")
            rules.append(
                Rule(
                    metric=json.loads(metric.config)["name"],
                    higher_is_better=higher_is_better,
                    bound=(bounds.lower_bound if higher_is_better else bounds.upper_bound).value,
                    allowed_loss=abs(change.absolute.value) if compared else None,
                )
            )
    return rules


def _check(rule: Rule, metrics: Mapping[str, float], baseline_metrics: Mapping[str, float] | None) -> Check:
    value = metrics.get(rule.metric)
    baseline = None if baseline_metrics is None else baseline_metrics.get(rule.metric)
    compared = rule.allowed_loss is not None and baseline_metrics is not None
    sign = 1 if rule.higher_is_better else -1
    most, less = ("at least", "less") if rule.higher_is_better else ("at most", "more")
    said = f"{_name(rule.metric)} is {_number(value)}, {most} {_number(rule.bound)} asked for"
    against = []
    # Written so that a comparison with NaN fails.
    if value is None:
        against.append("it was not computed")
    elif math.isnan(value):
        against.append("it is not a number, so look for a NaN loss in training")
    elif not sign * value >= sign * rule.bound:
        against.append("out of bounds")
    if compared and value is not None and not math.isnan(value):
        assert rule.allowed_loss is not None
        said += f"; the model in service has {_number(baseline)}, at most {_number(rule.allowed_loss)} {less}"
        said += " allowed"
        # The subtraction is TFMA's, so that a value on the edge falls on the same side.
        if baseline is None or not sign * (value - baseline) >= -rule.allowed_loss:
            comparable = baseline is not None and not math.isnan(baseline)
            against.append(
                "worse than the model in service"
                if comparable
                else "the model in service has no score to compare it with"
            )
    return Check(
        metric=rule.metric,
        value=value,
        baseline_value=baseline,
        bound=rule.bound,
        allowed_loss=rule.allowed_loss if compared else None,
        passed=not against,
        sentence=f"{said}: refused, {' and '.join(against)}." if against else f"{said}: passed.",
    )


def _name(metric: str) -> str:
    return _NAMES.get(metric, metric)


def _number(value: float | None) -> str:
    if value is None:
        return "missing"
    return f"{value:.4f}".rstrip("0").rstrip(".")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
