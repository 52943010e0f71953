import json
import math
import pathlib

import pytest

from pipeline.eval_config import Rule
from pipeline.verdict import judge, read_verdict

BLEU = Rule("bleu_4", higher_is_better=True, bound=0.1, allowed_loss=0.01)
LOSS = Rule("token_cross_entropy", higher_is_better=False, bound=4.0, allowed_loss=0.1)


def test_a_first_model_is_told_by_its_bounds() -> None:
    verdict = judge([BLEU, LOSS], {"bleu_4": 0.2, "token_cross_entropy": 2.5}, None, blessed=True)
    assert verdict.sentences == [
        "BLESSED: the model keeps every bound and there is no model in service to compare it with.",
        "BLEU-4 is 0.2, at least 0.1 asked for: passed.",
        "Token cross-entropy is 2.5, at most 4 asked for: passed.",
    ]


def test_a_worse_model_is_told_how_much() -> None:
    verdict = judge([BLEU], {"bleu_4": 0.2}, {"bleu_4": 0.25}, blessed=False)
    assert verdict.sentences == [
        "NOT BLESSED because of: BLEU-4.",
        "BLEU-4 is 0.2, at least 0.1 asked for; the model in service has 0.25, at most 0.01 less allowed: "
        "refused, worse than the model in service.",
    ]


@pytest.mark.parametrize(
    ("rule", "value", "baseline", "passed"),
    [
        (BLEU, 0.1, None, True),
        (BLEU, 0.0999, None, False),
        (BLEU, 0.245, 0.25, True),
        (BLEU, 0.235, 0.25, False),
        (BLEU, 0.3, 0.25, True),
        (BLEU, math.nan, None, False),
        (BLEU, 0.3, math.nan, False),
        (LOSS, 4.0, None, True),
        (LOSS, 4.1, None, False),
        (LOSS, 2.55, 2.5, True),
        (LOSS, 2.65, 2.5, False),
        (LOSS, math.inf, None, False),
    ],
)
def test_a_rule_holds_or_not(rule: Rule, value: float, baseline: float | None, passed: bool) -> None:
    verdict = judge(
        [rule],
        {rule.metric: value},
        None if baseline is None else {rule.metric: baseline},
        blessed=passed,
    )
    assert verdict.checks[0].passed == passed
    assert verdict.sentences[0].startswith("BLESSED" if passed else "NOT BLESSED because of")


def test_a_metric_that_was_not_computed_is_refused() -> None:
    verdict = judge([BLEU], {"cider_d": 1.0}, None, blessed=False)
    assert verdict.sentences[1].endswith("refused, it was not computed.")


def test_without_images_or_rules_the_reason_is_said() -> None:
    assert "no image was evaluated" in judge([BLEU], {}, None, blessed=False).sentences[0]
    assert "no rule" in judge([], {"bleu_4": 0.2}, None, blessed=False).sentences[0]


def test_the_evaluators_decision_stands_where_no_rule_explains_it() -> None:
    refused = judge([BLEU], {"bleu_4": 0.2}, None, blessed=False)
    assert not refused.blessed
    assert "the Evaluator refused" in refused.sentences[0]
    passed = judge([BLEU], {"bleu_4": 0.0}, None, blessed=True)
    assert passed.blessed
    assert "although a rule does not hold" in passed.sentences[0]


def test_the_file_holds_the_verdict_even_of_what_is_no_number(tmp_path: pathlib.Path) -> None:
    verdict = judge([BLEU], {"bleu_4": math.nan}, {"bleu_4": 0.2}, blessed=False)
    verdict.write(str(tmp_path / "new" / "verdict.json"))
    read = json.loads((tmp_path / "new" / "verdict.json").read_text())
    assert read["blessed"] is False
    assert read["metrics"] == {"bleu_4": "nan"}
    assert read["checks"][0]["baseline_value"] == 0.2
    assert read["sentences"] == verdict.sentences


def test_an_evaluation_that_did_not_end_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(FileNotFoundError, match="did not reach its end"):
        read_verdict(str(tmp_path), str(tmp_path))
