import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocoevalcap.rouge.rouge import Rouge, my_lcs

from models.metrics.rouge_l import caption_score, lcs_length, rouge_l

WORDS = ("a", "dog", "runs", "on", "the", "grass")
words = st.lists(st.sampled_from(WORDS), min_size=1, max_size=80)


def test_a_caption_worked_by_hand() -> None:
    # Longest common subsequence "the cat on the mat" of 5; precision 5/6, recall 5/7.
    candidate, reference = (
        ["the", "cat", "sat", "on", "the", "mat"],
        ["the", "black", "cat", "was", "on", "the", "mat"],
    )
    precision, recall = 5 / 6, 5 / 7
    expected = (1 + 1.44) * precision * recall / (recall + 1.44 * precision)
    assert caption_score(candidate, [reference]) == pytest.approx(expected)


def test_precision_and_recall_are_the_best_over_the_references() -> None:
    candidate = ["a", "dog", "runs"]
    assert caption_score(candidate, [["a", "dog", "runs", "over", "there", "now"], ["a", "dog"]]) == 1.0


def test_nothing_in_common_or_no_words_scores_nothing() -> None:
    assert caption_score(["a", "dog"], [["the", "cat"]]) == 0
    assert caption_score([], [["the", "cat"]]) == 0
    assert caption_score(["a", "dog"], [[], ["a", "dog"]]) == 1


def test_an_empty_corpus_has_no_score() -> None:
    assert math.isnan(rouge_l([], []))


def test_a_caption_without_reference_is_named() -> None:
    with pytest.raises(ValueError, match="at least one reference"):
        rouge_l([["a"]], [[]])


@settings(deadline=None, derandomize=True, max_examples=100)
@given(words, words)
def test_bits_find_what_the_table_finds(first: list[str], second: list[str]) -> None:
    assert lcs_length(first, second) == my_lcs(first, second)


@settings(deadline=None, derandomize=True, max_examples=50)
@given(words, st.lists(words, min_size=1, max_size=4))
def test_any_caption_scores_as_in_coco_caption(candidate: list[str], references: list[list[str]]) -> None:
    theirs = Rouge().calc_score([" ".join(candidate)], [" ".join(r) for r in references])
    assert caption_score(candidate, references) == pytest.approx(theirs, abs=1e-12)
