import importlib
import math

import pytest

from components.evaluator.rules import Gate, Rule
from components.evaluator.slices import SLICES
from models.metrics.catalogue import METRICS
from pipeline.eval_config import WRAPPERS, GateConfig, build_eval_config, parse_rule


def test_every_metric_names_a_class_whose_key_is_its_own() -> None:
    for key, (module, class_name) in WRAPPERS.items():
        assert getattr(importlib.import_module(module), class_name).key == key
        assert key in METRICS


def test_every_metric_and_slice_is_computed_and_tfma_decides_nothing() -> None:
    config = build_eval_config()
    (spec,) = config.metrics_specs
    assert len(spec.metrics) == len(WRAPPERS)
    assert not any(metric.HasField("threshold") for metric in spec.metrics)
    sliced_by = [list(slicing.feature_keys) for slicing in config.slicing_specs]
    assert sliced_by == [[], *([name] for name in SLICES)]


def test_the_options_become_rules() -> None:
    gate = GateConfig(
        min_images=5,
        min_bleu_4=0.2,
        allowed_loss_bleu_4=0.01,
        allowed_loss_cider_d=None,
        rules=("span:cider_d>=baseline-0.1",),
        confidence=0.9,
    ).gate()
    assert gate.rules == (
        Rule("images", True, 5.0),
        Rule("bleu_4", True, 0.2, 0.01),
        Rule("cider_d", True, 0.1),
        Rule("token_cross_entropy", False, 8.0),
        Rule("cider_d", True, allowed_loss=0.1, slice="span"),
    )
    assert gate.confidence == 0.9
    assert Gate.from_json(gate.to_json()) == gate


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("bleu_1>=0.5", Rule("bleu_1", True, bound=0.5)),
        ("perplexity<=20", Rule("perplexity", False, bound=20.0)),
        ("mean_caption_length<=15", Rule("mean_caption_length", False, bound=15.0)),
        ("span=3:cider_d>=0.4", Rule("cider_d", True, bound=0.4, slice="span", value="3")),
        (
            "people=3-5:rouge_l>=baseline-1e-2",
            Rule("rouge_l", True, allowed_loss=0.01, slice="people", value="3-5"),
        ),
        ("token_cross_entropy<=baseline+0.1", Rule("token_cross_entropy", False, allowed_loss=0.1)),
    ],
)
def test_a_rule_is_read(text: str, rule: Rule) -> None:
    assert parse_rule(text) == rule


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("cider_d", "expected METRIC>=NUMBER"),
        ("cider_d>=nan", "expected METRIC>=NUMBER"),
        ("cider_d>=1e", "expected METRIC>=NUMBER"),
        ("cider>=0.4", "there is no metric 'cider'"),
        ("meteor>=0.2", "there is no metric 'meteor'"),
        ("weather:cider_d>=0.4", "there is no slice 'weather'"),
        ("cider_d<=0.4", "cider_d takes >="),
        ("people=7:cider_d>=0.4", "people is never '7'.*3-5"),
        ("cider_d>=baseline+0.4", "expected METRIC>=NUMBER"),
        ("distinct_1>=baseline-0.1", "distinct_1 is not compared"),
    ],
)
def test_a_rule_that_cannot_be_right_is_refused_when_the_config_is_made(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        GateConfig(rules=(text,))


def test_a_gate_survives_json() -> None:
    gate = GateConfig(min_cider_d=0.5, allowed_loss_cider_d=None, rules=("bleu_1>=0.1",))
    assert GateConfig.from_json(gate.to_json()) == gate


@pytest.mark.parametrize(
    "options",
    [
        {"min_images": 0},
        {"min_bleu_4": math.nan},
        {"max_cross_entropy": None},
        {"allowed_loss_cider_d": -0.1},
        {"confidence": 1.0},
        {"resamples": 3},
        {"resamples": 100, "confidence": 0.99},
        {"undecided": "perhaps"},
    ],
)
def test_an_option_that_makes_no_sense_is_refused(options: dict) -> None:
    with pytest.raises(ValueError, match=f"gate.{next(iter(options))} must be"):
        GateConfig(**options)
