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
    assert all(math.isnan(value) for value in score_captions([], []).values())


def test_a_missing_image_is_not_passed_over() -> None:
    with pytest.raises(ValueError, match="2 captions and references for 1 images"):
        score_captions(["a", "b"], [["a"]])
