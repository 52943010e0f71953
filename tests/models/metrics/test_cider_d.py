import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocoevalcap.cider.cider_scorer import CiderScorer

from models.metrics.cider_d import caption_scores, cider_d, document_frequencies

words = st.lists(
    st.sampled_from(["a", "dog", "runs", "on", "the", "grass", "with", "two", "men"]), min_size=0, max_size=12
)
corpora = st.lists(st.tuples(words, st.lists(words, min_size=1, max_size=4)), min_size=1, max_size=6)


def test_a_word_for_word_copy_of_its_only_reference_scores_ten() -> None:
    captions = [["a", "dog", "runs", "on", "grass"], ["two", "men", "ride", "their", "bikes"]]
    assert caption_scores(captions, [[c] for c in captions]) == pytest.approx([10, 10])


def test_a_pair_worked_by_hand() -> None:
    # Two images, so a word of one has weight log 2 and a word of both has none. "red bus" against "red car":
    # words (red) over (red, bus) x (red, car) = 1/2, pairs 0, longer n-grams none: (1/2 + 0) / 4 x 10.
    scores = caption_scores([["red", "bus"], ["a", "dog"]], [[["red", "car"]], [["a", "dog"]]])
    assert scores[0] == pytest.approx(10 * (1 / 2) / 4)


def test_words_of_every_image_weigh_nothing_so_one_image_alone_scores_nothing() -> None:
    assert cider_d([["a", "dog"]], [[["a", "dog"]]]) == 0


def test_repeating_a_word_does_not_pay() -> None:
    references = [[["a", "red", "bus", "stops"]], [["two", "men", "run", "far"]]]
    honest, padded = (
        caption_scores([first.split(), ["two", "men", "run", "far"]], references)[0]
        for first in ("a red bus stops", "a red red bus bus stops")
    )
    assert padded < honest


def test_document_frequency_counts_images_not_references() -> None:
    frequencies = document_frequencies([[["a", "dog"], ["a", "cat"]], [["a", "dog"]]])
    assert frequencies["a",] == 2
    assert frequencies["a", "dog"] == 2
    assert frequencies["cat",] == 1


def test_the_order_of_the_images_does_not_change_a_bit_of_the_score() -> None:
    rng = random.Random(0)
    vocabulary = ["a", "dog", "runs", "on", "the", "grass", "with", "two", "men"]
    corpus = [
        (rng.choices(vocabulary, k=8), [rng.choices(vocabulary, k=rng.randint(4, 12)) for _ in range(3)])
        for _ in range(50)
    ]
    score = cider_d([c for c, _ in corpus], [r for _, r in corpus])
    rng.shuffle(corpus)
    assert cider_d([c for c, _ in corpus], [r for _, r in corpus]) == score


def test_an_empty_corpus_has_no_score() -> None:
    assert math.isnan(cider_d([], []))


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="at least one reference"):
        cider_d([["a"], ["b"]], [[["a"]], []])
    with pytest.raises(ValueError, match="longer"):
        cider_d([["a"]], [[["a"]], [["b"]]])


@settings(deadline=None, derandomize=True, max_examples=100)
@given(corpora)
def test_any_corpus_scores_as_in_coco_caption(corpus: list) -> None:
    theirs = CiderScorer()
    for candidate, references in corpus:
        theirs += (" ".join(candidate), [" ".join(reference) for reference in references])
    theirs.compute_doc_freq()
    expected = theirs.compute_cider()
    assert caption_scores([c for c, _ in corpus], [r for _, r in corpus]) == pytest.approx(
        expected, abs=1e-12
    )
