"""The gate: which metrics the Evaluator computes, and what a model needs to be pushed."""

import dataclasses
import json
import math
from typing import Any, Final

from models import features
from models.config import Config

# Metric by key: module and class of its TFMA wrapper.
METRICS: Final = {
    "images": ("components.metrics.captions", "Images"),
    "bleu_1": ("components.metrics.overlap", "Bleu1"),
    "bleu_2": ("components.metrics.overlap", "Bleu2"),
    "bleu_3": ("components.metrics.overlap", "Bleu3"),
    "bleu_4": ("components.metrics.overlap", "Bleu4"),
    "rouge_l": ("components.metrics.overlap", "RougeL"),
    "cider_d": ("components.metrics.overlap", "CiderD"),
    "token_cross_entropy": ("components.metrics.tokens", "TokenCrossEntropy"),
    "token_accuracy": ("components.metrics.tokens", "TokenAccuracy"),
    "mean_caption_length": ("components.metrics.captions", "MeanCaptionLength"),
    "distinct_captions": ("components.metrics.captions", "DistinctCaptions"),
}


@dataclasses.dataclass(frozen=True)
class Rule:
    """What one metric must be.

    Attributes:
      metric: key of `METRICS`.
      higher_is_better: the direction of `bound` and of a loss.
      bound: the least (or, where lower is better, the most) that is accepted.
      allowed_loss: how much worse than the model in service is accepted; None compares nothing.
    """

    metric: str
    higher_is_better: bool
    bound: float
    allowed_loss: float | None = None


@dataclasses.dataclass(frozen=True)
class GateConfig(Config):
    """Absolute floors, and "not worse than the model in service". Anything that is not a number is refused.

    The margins are the noise of one seed on 1,000 images; the floors tell a model that looks at the picture
    from one that repeats the commonest caption.

    Attributes:
      min_images: fewest images that the scores may rest on.
      min_bleu_4: in [0, 1].
      min_cider_d: in [0, 10].
      max_cross_entropy: nats a token; guessing at random among V words is log(V).
      allowed_loss_bleu_4, allowed_loss_cider_d: how much below the model in service is accepted; None does
        not compare.
      allowed_rise_cross_entropy: nats a token above the model in service; None, the default, does not
        compare, because two vocabularies make two different tasks.
    """

    min_images: int = 1
    min_bleu_4: float = 0.05
    min_cider_d: float = 0.1
    max_cross_entropy: float = 8.0
    allowed_loss_bleu_4: float | None = 0.01
    allowed_loss_cider_d: float | None = 0.02
    allowed_rise_cross_entropy: float | None = None

    def __post_init__(self) -> None:
        if self.min_images < 1:
            raise ValueError(f"gate.min_images must be 1 or more; got {self.min_images}")
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is None and field.name.startswith("allowed_"):
                continue
            if value is None or not math.isfinite(value) or value < 0:
                raise ValueError(f"gate.{field.name} must be a number from 0; got {value}")

    def rules(self) -> tuple[Rule, ...]:
        """Returns what is asked of each gated metric; never empty."""
        return (
            Rule("images", True, float(self.min_images)),
            Rule("bleu_4", True, self.min_bleu_4, self.allowed_loss_bleu_4),
            Rule("cider_d", True, self.min_cider_d, self.allowed_loss_cider_d),
            Rule("token_cross_entropy", False, self.max_cross_entropy, self.allowed_rise_cross_entropy),
        )


def build_eval_config(gate: GateConfig) -> Any:
    """Returns the gate's `tfma.EvalConfig`: one model spec, one overall slice, every metric of `METRICS`.

    TFMA adds the spec of the baseline where there is one, and drops the comparisons where there is none.
    """
    import tfx.components  # noqa: F401 - TFMA 0.52 has its EvalConfig only after this import
    import tensorflow_model_analysis as tfma  # isort: skip

    def threshold(rule: Rule) -> tfma.MetricThreshold:
        bound = {"lower_bound" if rule.higher_is_better else "upper_bound": {"value": rule.bound}}
        result = tfma.MetricThreshold(value_threshold=tfma.GenericValueThreshold(**bound))
        if rule.allowed_loss is not None:
            result.change_threshold.CopyFrom(
                tfma.GenericChangeThreshold(
                    direction=tfma.MetricDirection.HIGHER_IS_BETTER
                    if rule.higher_is_better
                    else tfma.MetricDirection.LOWER_IS_BETTER,
                    absolute={"value": -rule.allowed_loss if rule.higher_is_better else rule.allowed_loss},
                )
            )
        return result

    rules = {rule.metric: rule for rule in gate.rules()}
    metrics = [
        tfma.MetricConfig(
            module=module,
            class_name=class_name,
            config=json.dumps({"name": key}),
            threshold=threshold(rules[key]) if key in rules else None,
        )
        for key, (module, class_name) in METRICS.items()
    ]
    return tfma.EvalConfig(
        model_specs=[
            tfma.ModelSpec(
                # Without a type TFMA first tries to load the model with legacy Keras.
                model_type="tf_generic",
                signature_name=features.EVAL_SIGNATURE,
                label_key=features.CAPTIONS,
            )
        ],
        slicing_specs=[tfma.SlicingSpec()],
        metrics_specs=[tfma.MetricsSpec(metrics=metrics)],
        options={"include_default_metrics": {"value": False}},
    )
