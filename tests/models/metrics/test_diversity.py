import math

import pytest

from models.metrics import diversity

CAPTIONS = [("a", "dog", "runs"), ("a", "cat"), ("a", "dog", "runs"), ()]


def test_distinct_ngrams_are_a_share_of_all() -> None:
    assert diversity.distinct_ngrams(CAPTIONS, 1) == pytest.approx(4 / 8)
    assert diversity.distinct_ngrams(CAPTIONS, 2) == pytest.approx(3 / 5)
    assert math.isnan(diversity.distinct_ngrams(CAPTIONS, 4))


def test_captions_and_words_are_counted_once() -> None:
    assert diversity.distinct_captions(CAPTIONS) == 3 / 4
    assert diversity.vocabulary_used(CAPTIONS) == 4
    assert diversity.mean_length(CAPTIONS) == 2
    assert math.isnan(diversity.distinct_captions([]))


def test_a_caption_is_novel_if_no_training_caption_reads_like_it() -> None:
    assert diversity.novel_captions(CAPTIONS, [("a", "cat"), ("a", "dog")]) == 3 / 4
    assert math.isnan(diversity.novel_captions([], [("a", "cat")]))
