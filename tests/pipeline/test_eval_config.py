import importlib
import math

import pytest

from pipeline.eval_config import METRICS, GateConfig, build_eval_config


def test_every_metric_names_a_class_whose_key_is_its_own() -> None:
    for key, (module, class_name) in METRICS.items():
        assert getattr(importlib.import_module(module), class_name).key == key


def test_every_rule_becomes_a_threshold_of_its_metric() -> None:
    gate = GateConfig(min_images=5, min_bleu_4=0.2, max_cross_entropy=4, allowed_loss_bleu_4=0.01)
    (spec,) = build_eval_config(gate).metrics_specs
    thresholds = {m.class_name: m.threshold for m in spec.metrics if m.HasField("threshold")}
    assert set(thresholds) == {"Images", "Bleu4", "CiderD", "TokenCrossEntropy"}
    assert thresholds["Images"].value_threshold.lower_bound.value == 5
    assert thresholds["Bleu4"].value_threshold.lower_bound.value == 0.2
    assert thresholds["Bleu4"].change_threshold.absolute.value == -0.01
    assert thresholds["TokenCrossEntropy"].value_threshold.upper_bound.value == 4
    assert not thresholds["TokenCrossEntropy"].HasField("change_threshold")


def test_a_gate_survives_json() -> None:
    gate = GateConfig(min_cider_d=0.5, allowed_loss_cider_d=None, allowed_rise_cross_entropy=0.2)
    assert GateConfig.from_json(gate.to_json()) == gate


@pytest.mark.parametrize(
    "options",
    [
        {"min_images": 0},
        {"min_bleu_4": math.nan},
        {"max_cross_entropy": None},
        {"allowed_loss_cider_d": -0.1},
    ],
)
def test_a_bound_that_cannot_refuse_is_refused(options: dict) -> None:
    with pytest.raises(ValueError, match=f"gate.{next(iter(options))} must be"):
        GateConfig(**options)
