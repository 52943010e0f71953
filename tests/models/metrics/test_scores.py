import math

import pytest

from models.metrics.scores import score_captions


def test_captions_are_scored_as_written() -> None:
    scores = score_captions(
        ["A dog runs on grass.", "Two men ride their bikes!"],
        [["a dog runs on grass", "The dog is out."], ["two men ride their bikes"]],
    )
    assert scores["bleu_4"] == pytest.approx(1)
    assert scores["rouge_l"] == 1
    assert 0 < scores["cider_d"] < 10
    assert scores["mean_caption_length"] == 5
    assert scores["distinct_captions"] == 1


def test_saying_the_same_of_every_picture_shows() -> None:
    scores = score_captions(["A dog.", "a dog"], [["a dog"], ["a cat"]])
    assert scores["distinct_captions"] == 0.5


def test_empty_captions_score_nothing() -> None:
    scores = score_captions(["", "..."], [["a dog"], ["a cat"]])
    assert [scores[key] for key in ("bleu_1", "bleu_4", "rouge_l", "cider_d")] == [0, 0, 0, 0]


def test_no_captions_are_no_score() -> None:
    scores = score_captions([], [])
    assert scores.pop("vocabulary_used") == 0
    assert all(math.isnan(value) for value in scores.values())


def test_the_share_of_novel_captions_needs_those_learned_from() -> None:
    captions, references = ["a dog .", "a cat"], [["a dog"], ["a cat"]]
    assert "novel_captions" not in score_captions(captions, references)
    assert score_captions(captions, references, training=["A dog!"])["novel_captions"] == 0.5


def test_a_caption_of_ten_thousand_words_has_a_score() -> None:
    scores = score_captions(["a dog " * 5_000], [["a dog runs"]])
    assert 0 < scores["rouge_l"] < 1
    assert scores["mean_caption_length"] == 10_000


def test_a_missing_image_is_not_passed_over() -> None:
    with pytest.raises(ValueError, match="2 captions and references for 1 images"):
        score_captions(["a", "b"], [["a"]])
