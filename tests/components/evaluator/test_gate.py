"""The gate's rules on scores and records made for the purpose."""

import json
import math
import pathlib
import random
import re

import pytest

from components.evaluator import scores, verdict
from components.evaluator.gate import judge
from components.evaluator.records import ImageRecord, Record
from components.evaluator.rules import Gate, Rule
from components.evaluator.scores import Scores

BLEU = Rule("bleu_4", higher_is_better=True, bound=0.1)
LOSS = Rule("token_cross_entropy", higher_is_better=False, bound=4.0)
NOT_WORSE = Rule("cider_d", higher_is_better=True, allowed_loss=0.2)
WORDS = ("dog", "cat", "man", "ball", "park", "car", "bird", "tree", "boat", "girl")


def images(candidate: float, baseline: float, count: int = 300, span: str = "1") -> list[ImageRecord]:
    """Images whose captions are right with these probabilities, independently, and else of something else."""
    rng = random.Random(f"{candidate}/{baseline}/{count}/{span}")
    records = []
    for number in range(count):
        truth = " ".join(rng.choices(WORDS, k=8))

        def caption(right: float, truth: str = truth) -> Record:
            text = truth if rng.random() < right else " ".join(rng.choices(WORDS, k=8))
            return Record(text, 20.0, 4.0, 10.0, cider_d=5.0 * (text == truth), novel=True)

        records.append(
            ImageRecord(
                f"{span}/{number}",
                "",
                (truth,),
                {"span": span},
                {"candidate": caption(candidate), "baseline": caption(baseline)},
            )
        )
    return records


def as_good(count: int) -> list[ImageRecord]:
    """Images of which each model gets every other one right, never the same."""
    right, wrong = Record("a dog", 20.0, 4.0, 10.0, 5.0), Record("a cat", 20.0, 4.0, 10.0, 0.0)
    return [
        ImageRecord(str(i), "", ("a dog",), {}, {"candidate": candidate, "baseline": baseline})
        for i in range(count)
        for candidate, baseline in [((right, wrong), (wrong, right))[i % 2]]
    ]


def compared(candidate: float = 0.4, baseline: float = 0.4, images: float = 300.0) -> Scores:
    return Scores({"": {"cider_d": candidate, "images": images}}, {"": {"cider_d": baseline}})


def test_a_first_model_is_told_by_its_bounds() -> None:
    found = judge(Gate((BLEU, LOSS)), Scores({"": {"bleu_4": 0.2, "token_cross_entropy": 2.5}}), [])
    assert found.blessed
    assert found.sentences == [
        "BLESSED: the model keeps every bound and there is no model in service to compare it with.",
        "BLEU-4 is 0.2000, at least 0.1000 asked for: passed.",
        "Token cross-entropy is 2.5000, at most 4.0000 asked for: passed.",
    ]


@pytest.mark.parametrize(
    ("rule", "value", "passed"),
    [
        (BLEU, 0.1, True),
        (BLEU, 0.0999, False),
        (BLEU, math.nan, False),
        (LOSS, 4.0, True),
        (LOSS, 4.1, False),
        (LOSS, math.inf, False),
    ],
)
def test_a_bound_holds_or_not(rule: Rule, value: float, passed: bool) -> None:
    found = judge(Gate((rule,)), Scores({"": {rule.metric: value}}), [])
    assert found.blessed == passed
    assert found.checks[0].outcome == (verdict.PASSED if passed else verdict.REFUSED)


def test_a_model_that_is_surely_worse_is_refused_with_the_interval() -> None:
    found = judge(Gate((NOT_WORSE,)), compared(), images(0.4, 0.7))
    assert not found.blessed
    (check,) = found.checks
    assert check.interval is not None
    assert check.interval[1] < -0.2
    assert check.sentence.endswith("refused, worse than the model in service.")
    assert found.sentences[0] == "NOT BLESSED because of: CIDEr-D."


def test_a_better_model_passes_though_few_images_leave_it_uncertain_by_how_much() -> None:
    found = judge(Gate((NOT_WORSE,)), compared(), images(0.9, 0.2, count=40))
    (check,) = found.checks
    assert check.interval is not None
    assert check.interval[1] - check.interval[0] > 0.2, "wider than the margin"
    assert found.blessed


def test_too_few_images_to_tell_refuse_and_say_how_many_it_would_take() -> None:
    rule = Rule("bleu_1", higher_is_better=True, allowed_loss=0.1)
    found = Scores({"": {"bleu_1": 0.75, "images": 30.0}}, {"": {"bleu_1": 0.75}})
    refused = judge(Gate((rule,)), found, as_good(30))
    assert not refused.blessed
    assert refused.checks[0].outcome == verdict.UNDECIDED
    assert "refused, too few images to tell: 30 leave a difference uncertain by" in refused.sentences[1]
    needed = int(re.search(r"about ([\d,]+) would do", refused.sentences[1])[1].replace(",", ""))
    assert judge(Gate((rule,)), found, as_good(needed)).blessed
    assert judge(Gate((rule,), undecided="pass"), found, as_good(30)).blessed


def test_of_a_handful_of_images_nothing_is_told_however_alike_they_are() -> None:
    records = images(1.0, 0.0, count=19)
    found = judge(Gate((NOT_WORSE,)), compared(images=19.0), records)
    assert found.checks[0].outcome == verdict.UNDECIDED
    assert "too few images to tell: 19, and it takes 20 at least" in found.sentences[1]
    assert judge(Gate((NOT_WORSE,)), compared(), images(1.0, 0.0, count=20)).blessed


def test_enough_images_let_an_equal_model_pass() -> None:
    rule = Rule("bleu_1", higher_is_better=True, allowed_loss=0.1)
    assert judge(Gate((rule,)), Scores({"": {"bleu_1": 0.75}}, {"": {"bleu_1": 0.75}}), as_good(600)).blessed


def test_the_same_seed_gives_the_same_verdict() -> None:
    records = images(0.5, 0.5)
    assert judge(Gate((NOT_WORSE,)), compared(), records) == judge(Gate((NOT_WORSE,)), compared(), records)


def test_a_lower_metric_is_a_loss_when_it_rises() -> None:
    rule = Rule("token_cross_entropy", higher_is_better=False, allowed_loss=0.1)
    records = [
        ImageRecord(
            str(i),
            "",
            ("a dog",),
            {},
            {"candidate": Record("a dog", 24.0, 1.0, 10.0), "baseline": Record("a dog", 20.0, 1.0, 10.0)},
        )
        for i in range(50)
    ]
    found = Scores({"": {"token_cross_entropy": 2.4}}, {"": {"token_cross_entropy": 2.0}})
    assert not judge(Gate((rule,)), found, records).blessed
    assert judge(Gate((Rule("token_cross_entropy", False, allowed_loss=0.5),)), found, records).blessed


def test_a_rule_on_a_slice_is_checked_for_each_of_its_values() -> None:
    rule = Rule("cider_d", higher_is_better=True, bound=0.3, slice="span")
    each = {f"span={n}": {"cider_d": value, "images": 20.0} for n, value in ((1, 0.5), (2, 0.2))}
    found = judge(Gate((rule,)), Scores({"": {"cider_d": 0.4}} | each), [])
    assert [(check.slice, check.passed) for check in found.checks] == [("span=1", True), ("span=2", False)]
    assert found.sentences[0] == "NOT BLESSED because of: CIDEr-D of span=2."
    one = Rule("cider_d", higher_is_better=True, bound=0.3, slice="span", value="1")
    assert judge(Gate((one,)), Scores(each), []).blessed


def test_a_rare_value_of_a_slice_does_not_stand_in_the_way() -> None:
    rule = Rule("cider_d", higher_is_better=True, bound=0.3, slice="span")
    each = {
        "span=1": {"cider_d": 0.5, "images": 20.0},
        "span=2": {"cider_d": 0.1, "images": 19.0},
    }
    found = judge(Gate((rule,)), Scores(each), [])
    assert [check.slice for check in found.checks] == ["span=1"]
    assert found.blessed
    none = judge(Gate((rule,)), Scores({"span=2": each["span=2"]}), [])
    assert none.sentences[1] == "CIDEr-D of span: refused, no value of the slice span has 20 images."


def test_a_slice_is_compared_on_its_own_images() -> None:
    records = images(0.9, 0.2, span="1") + images(0.2, 0.9, span="2")
    each = {of: {"cider_d": 0.4, "images": 300.0} for of in ("", "span=1", "span=2")}
    rule = Rule("cider_d", higher_is_better=True, allowed_loss=0.5, slice="span")
    found = judge(Gate((rule,)), Scores(each, each), records)
    assert [check.outcome for check in found.checks] == [verdict.PASSED, verdict.REFUSED]


@pytest.mark.parametrize("value", ["3", None])
def test_a_slice_with_nothing_in_it_is_refused(value: str | None) -> None:
    rule = Rule("cider_d", higher_is_better=True, bound=0.3, slice="people", value=value)
    found = judge(Gate((rule,)), Scores({"": {"cider_d": 0.4}}), [])
    assert not found.blessed
    reason = "no image is in the slice people=3" if value else "no value of the slice people has 20 images"
    assert f"refused, {reason}." in found.sentences[1]


def test_a_metric_that_was_not_computed_is_refused() -> None:
    found = judge(Gate((BLEU,)), Scores({"": {"cider_d": 1.0}}), [])
    assert found.sentences[1].endswith("refused, it was not computed.")


def test_a_baseline_without_a_score_is_no_reason_to_pass() -> None:
    found = judge(Gate((NOT_WORSE,)), compared(baseline=math.nan), images(0.9, 0.2))
    assert not found.blessed
    assert found.sentences[1].endswith("refused, the model in service has no score to compare it with.")


def test_a_baseline_that_cannot_be_scored_is_no_reason_to_pass() -> None:
    scored = Scores({"": {"bleu_4": 0.2}})
    found = judge(Gate((BLEU, NOT_WORSE)), scored, [], baseline_version="7", unscorable="it is old")
    assert not found.blessed
    assert "version 7, cannot be compared: it is old" in found.sentences[-1]


def test_a_baseline_that_nothing_is_compared_with_need_not_be_scored() -> None:
    scored = Scores({"": {"bleu_4": 0.2}})
    found = judge(Gate((BLEU,)), scored, [], baseline_version="7", unscorable="it is old")
    assert found.sentences[0] == (
        "BLESSED: the model keeps every bound; no rule compares it with the model in service."
    )


def test_without_images_or_rules_nothing_is_blessed() -> None:
    nothing = judge(Gate((BLEU,)), Scores({}), [])
    assert not nothing.blessed
    assert nothing.sentences == ["NOT BLESSED: no image was evaluated, so nothing is known of the model."]
    lawless = judge(Gate(()), Scores({"": {"bleu_4": 0.2}}), [])
    assert not lawless.blessed
    assert "no rule" in lawless.sentences[0]


def test_a_person_may_overrule_the_gate_and_it_is_recorded() -> None:
    found = judge(Gate((BLEU,)), Scores({"": {"bleu_4": 0.0}}), [], force="the old one is broken")
    assert found.blessed
    assert found.forced == "the old one is broken"
    assert found.sentences[0].startswith(
        'BLESSED BY FORCE ("the old one is broken"), though the gate says: N'
    )
    assert not judge(Gate((BLEU,)), Scores({"": {"bleu_4": 0.2}}), [], force="not needed").forced


def test_the_file_holds_the_verdict_even_of_what_is_no_number(tmp_path: pathlib.Path) -> None:
    found = judge(Gate((BLEU, NOT_WORSE)), compared(), images(0.4, 0.7))
    found.metrics[""]["bleu_4"] = math.inf
    path = str(tmp_path / "new" / "verdict.json")
    found.write(path)
    assert json.loads(pathlib.Path(path).read_text())["metrics"][""]["bleu_4"] == "inf"
    assert verdict.read(path) == found


def test_an_evaluation_that_did_not_end_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(FileNotFoundError, match="did not reach its end"):
        scores.read(str(tmp_path))
