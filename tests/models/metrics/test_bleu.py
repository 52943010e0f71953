import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocoevalcap.bleu.bleu_scorer import BleuScorer

from models.metrics.bleu import BleuStatistics, corpus_bleu, score, statistics

WORDS = ("a", "dog", "runs", "on", "the", "grass")
words = st.lists(st.sampled_from(WORDS), min_size=1, max_size=12)
corpora = st.lists(st.tuples(words, st.lists(words, min_size=1, max_size=4)), min_size=2, max_size=6)


def test_a_caption_worked_by_hand() -> None:
    # 5 of 6 words; "the cat", "cat sat", "on the" of 5 pairs; "the cat sat" of 4 triples; no four in a row.
    counts = statistics(
        ["the", "cat", "sat", "there", "on", "the"], [["the", "cat", "sat", "on", "the", "mat"]]
    )
    assert counts == BleuStatistics(6, 6, correct=(5, 3, 1, 0), guessed=(6, 5, 4, 3))
    assert score(counts)[:3] == pytest.approx(
        (5 / 6, math.sqrt(5 / 6 * 3 / 5), (5 / 6 * 3 / 5 * 1 / 4) ** (1 / 3))
    )
    assert score(counts)[3] < 1e-3


def test_a_repeated_word_counts_as_often_as_one_reference_has_it() -> None:
    references = [["the", "cat"], ["the", "dog", "and", "the", "cat"]]
    assert statistics(["the", "the", "the"], references).correct[0] == 2


def test_the_closest_reference_length_is_taken_and_the_shorter_of_two() -> None:
    references = [["a"] * 3, ["a"] * 5, ["a"] * 9]
    assert statistics(["a"] * 8, references).reference_length == 9
    assert statistics(["a"] * 4, references).reference_length == 3


def test_short_captions_pay_and_empty_ones_score_nothing() -> None:
    reference = [["a", "dog", "runs", "on", "the", "green", "grass", "today"]]
    assert corpus_bleu([["a", "dog", "runs", "on"]], [reference])[3] == pytest.approx(math.exp(1 - 8 / 4))
    assert corpus_bleu([[]], [reference]) == (0, 0, 0, 0)


def test_an_empty_corpus_has_no_score() -> None:
    assert all(math.isnan(value) for value in corpus_bleu([], []))


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="at least one reference"):
        corpus_bleu([["a"]], [[]])
    with pytest.raises(ValueError, match="shorter"):
        corpus_bleu([["a"], ["b"]], [[["a"]]])


@settings(deadline=None, derandomize=True, max_examples=100)
@given(corpora)
def test_any_corpus_scores_as_in_coco_caption(corpus: list) -> None:
    theirs = BleuScorer(n=4)
    for candidate, references in corpus:
        theirs += (" ".join(candidate), [" ".join(reference) for reference in references])
    ours = corpus_bleu([c for c, _ in corpus], [r for _, r in corpus])
    assert ours == pytest.approx(theirs.compute_score(option="closest")[0], abs=1e-12)


@given(corpora)
@settings(deadline=None, derandomize=True, max_examples=20)
def test_counts_survive_flattening(corpus: list) -> None:
    counts = statistics(*corpus[0])
    assert BleuStatistics.from_flat(counts.flat()) == counts
