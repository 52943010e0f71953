"""The gate's options, and the TFMA config: which metrics are computed, in which slices."""

import dataclasses
import json
import math
import re
from typing import Any, Final

from components.evaluator.rules import PASS, REFUSE, Gate, Rule
from components.evaluator.slices import SLICES, VALUES
from models import features
from models.config import Config
from models.metrics.catalogue import METRICS

# What a metric's TFMA wrapper is: module and class by key. METEOR has none: it comes from Java.
WRAPPERS: Final = {
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
    "distinct_1": ("components.metrics.captions", "Distinct1"),
    "distinct_2": ("components.metrics.captions", "Distinct2"),
    "distinct_captions": ("components.metrics.captions", "DistinctCaptions"),
    "vocabulary_used": ("components.metrics.captions", "VocabularyUsed"),
    "novel_captions": ("components.metrics.captions", "NovelCaptions"),
}

_RULE: Final = re.compile(
    r"(?:(?P<slice>\w+)(?:=(?P<value>[^:]+))?:)?(?P<metric>\w+)(?P<sign>>=|<=)"
    r"(?P<baseline>baseline[-+])?(?P<number>-?[0-9.eE+-]+)"
)
_RULE_HELP: Final = (
    "METRIC>=NUMBER (<= where lower is better) or METRIC>=baseline-NUMBER (<=baseline+NUMBER), after SLICE: "
    "or SLICE=VALUE: if it is not for all images; for example span:cider_d>=baseline-0.1"
)


@dataclasses.dataclass(frozen=True)
class GateConfig(Config):
    """Absolute floors, and "not worse than the model in service". Anything that is not a number is refused.

    The floors tell a model that looks at the picture from one that repeats the commonest caption. A model is
    held to be worse only where that is not chance; see `components.evaluator.gate`. The smaller the allowed
    loss, the more images it takes to tell.

    Attributes:
      min_images: fewest images that the scores may rest on.
      min_bleu_4: in [0, 1].
      min_cider_d: in [0, 10].
      max_cross_entropy: nats a token; guessing at random among V words is log(V).
      allowed_loss_bleu_4, allowed_loss_cider_d: how much below the model in service is accepted; None does
        not compare.
      allowed_rise_cross_entropy: nats a token above the model in service; None, the default, does not
        compare, because two vocabularies make two different tasks.
      rules: further rules, of any metric and slice; see `parse_rule`.
      confidence: of each bound of a difference, in (0.5, 1).
      resamples: sets of images drawn to find these bounds.
      seed: of that drawing.
      undecided: `refuse` or `pass` a model where there are too few images to tell.
    """

    min_images: int = 1
    min_bleu_4: float = 0.05
    min_cider_d: float = 0.1
    max_cross_entropy: float = 8.0
    allowed_loss_bleu_4: float | None = 0.02
    allowed_loss_cider_d: float | None = 0.05
    allowed_rise_cross_entropy: float | None = None
    rules: tuple[str, ...] = ()
    confidence: float = 0.95
    resamples: int = 1000
    seed: int = 1
    undecided: str = REFUSE

    def __post_init__(self) -> None:
        if self.min_images < 1:
            raise ValueError(f"gate.min_images must be 1 or more; got {self.min_images}")
        for name in ("min_bleu_4", "min_cider_d", "max_cross_entropy"):
            _require_number(name, getattr(self, name))
        for name in ("allowed_loss_bleu_4", "allowed_loss_cider_d", "allowed_rise_cross_entropy"):
            if getattr(self, name) is not None:
                _require_number(name, getattr(self, name))
        if not 0.5 < self.confidence < 1:
            raise ValueError(f"gate.confidence must be between 0.5 and 1; got {self.confidence}")
        if self.resamples < 100 or self.resamples * (1 - self.confidence) < 5:
            raise ValueError(
                "gate.resamples must be 100 or more, and so many that 5 lie beyond each bound, or chance "
                f"decides; got {self.resamples} with gate.confidence {self.confidence}"
            )
        if self.undecided not in (REFUSE, PASS):
            raise ValueError(f"gate.undecided must be {REFUSE} or {PASS}; got {self.undecided!r}")
        for text in self.rules:
            parse_rule(text)

    def gate(self) -> Gate:
        """Returns what the Evaluator judges by."""
        return Gate(
            (
                Rule("images", True, float(self.min_images)),
                Rule("bleu_4", True, self.min_bleu_4, self.allowed_loss_bleu_4),
                Rule("cider_d", True, self.min_cider_d, self.allowed_loss_cider_d),
                Rule("token_cross_entropy", False, self.max_cross_entropy, self.allowed_rise_cross_entropy),
                *map(parse_rule, self.rules),
            ),
            self.confidence,
            self.resamples,
            self.seed,
            self.undecided,
        )


def parse_rule(text: str) -> Rule:
    """Reads a rule such as `bleu_1>=0.5`, `span=3:cider_d>=0.4` or `source:cider_d>=baseline-0.1`.

    Raises:
      ValueError: it has another form, or names a metric or a slice that there is not.
    """
    match = _RULE.fullmatch(text)
    try:
        number = float(match["number"]) if match else math.nan
    except ValueError:
        number = math.nan
    if match is None or not math.isfinite(number):
        raise ValueError(f"gate.rules: expected {_RULE_HELP}; got {text!r}")
    metric, of = match["metric"], match["slice"] or ""
    if metric not in WRAPPERS and metric != "perplexity":
        raise ValueError(
            f"gate.rules: there is no metric {metric!r} to gate on in {text!r}; there are "
            f"{', '.join(WRAPPERS)}"
        )
    if of and of not in SLICES:
        raise ValueError(f"gate.rules: there is no slice {of!r} in {text!r}; there are {', '.join(SLICES)}")
    if match["value"] is not None and match["value"] not in VALUES.get(of, (match["value"],)):
        raise ValueError(
            f"gate.rules: {of} is never {match['value']!r} in {text!r}; it is one of {', '.join(VALUES[of])}"
        )
    higher = match["sign"] == ">="
    if METRICS[metric].higher_is_better not in (None, higher):
        right = ">=" if METRICS[metric].higher_is_better else "<="
        raise ValueError(f"gate.rules: {metric} takes {right}; got {text!r}")
    if not match["baseline"]:
        return Rule(metric, higher, bound=number, slice=of, value=match["value"])
    if not METRICS[metric].resampled:
        compared = ", ".join(key for key in WRAPPERS if METRICS[key].resampled)
        raise ValueError(
            f"gate.rules: {metric} is not compared with the model in service; these are: {compared}"
        )
    if match["baseline"][-1] != ("-" if higher else "+") or number < 0:
        raise ValueError(f"gate.rules: expected {_RULE_HELP}; got {text!r}")
    return Rule(metric, higher, allowed_loss=number, slice=of, value=match["value"])


def _require_number(name: str, value: float) -> None:
    if value is None or not math.isfinite(value) or value < 0:
        raise ValueError(f"gate.{name} must be a number from 0; got {value}")


def build_eval_config() -> Any:
    """Returns the `tfma.EvalConfig`: one model spec, the slices, every metric of `WRAPPERS`.

    It has no thresholds, because TFMA compares two numbers without asking how far they are chance: the gate
    decides. TFMA adds the spec of the baseline where there is one.
    """
    import tfx.components  # noqa: F401 - TFMA 0.52 has its EvalConfig only after this import
    import tensorflow_model_analysis as tfma  # isort: skip

    metrics = [
        tfma.MetricConfig(module=module, class_name=class_name, config=json.dumps({"name": key}))
        for key, (module, class_name) in WRAPPERS.items()
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
        slicing_specs=[tfma.SlicingSpec(), *(tfma.SlicingSpec(feature_keys=[name]) for name in SLICES)],
        metrics_specs=[tfma.MetricsSpec(metrics=metrics)],
        options={"include_default_metrics": {"value": False}},
    )
