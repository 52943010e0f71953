"""Drift: named when it is there, and not when chance alone makes the difference."""

import math

import numpy as np
import pytest

from components.drift import compare, statistics


def counted(seed: int, images: int, words: float = 10.0, **more: float) -> statistics.Statistics:
    random = np.random.default_rng(seed)
    return statistics.collect(
        {"caption_words": list(random.normal(words, 2, 5))}
        | {name: [random.normal(mean, mean / 10)] for name, mean in more.items()}
        for _ in range(images)
    )


def test_equal_data_have_not_drifted() -> None:
    assert compare.compare(counted(1, 200), counted(1, 200), 0.1) == []
    (same,) = compare.measure(counted(1, 200), counted(1, 200), 0.1)
    assert same.distance == 0.0
    assert "has not drifted" in same.sentence


def test_what_has_drifted_is_named_with_its_figures() -> None:
    (found,) = compare.compare(counted(1, 200, width=500), counted(2, 200, words=15, width=500), 0.1)
    assert found.feature == "caption_words"
    assert found.distance > found.threshold > 0.1
    assert found.sentence.startswith("words a caption (caption_words) has drifted: ")
    assert f"differs by {found.distance:.2f}" in found.sentence
    assert "its mean was 9.9" in found.sentence or "its mean was 10" in found.sentence


def test_the_farthest_comes_first() -> None:
    before, after = counted(1, 300, width=500), counted(2, 300, words=12, width=5000)
    assert [each.feature for each in compare.compare(before, after, 0.05)] == ["width", "caption_words"]


def test_a_threshold_a_feature_looks_at_no_other() -> None:
    before, after = counted(1, 300, width=500), counted(2, 300, words=15, width=5000)
    assert [each.feature for each in compare.compare(before, after, {"caption_words": 0.1})] == [
        "caption_words"
    ]


def test_what_only_one_side_has_is_not_compared() -> None:
    found = compare.measure(counted(1, 50, unknown_share=0.1), counted(2, 50, brightness=90), 0.1)
    assert [each.feature for each in found] == ["caption_words"]
    assert compare.measure(statistics.collect([]), counted(1, 5), 0.1) == []


def test_the_distance_is_that_of_the_two_distributions() -> None:
    """By hand: (1/2, 1/2) and (1, 0) have the middle (3/4, 1/4)."""
    before = statistics.collect([{"brightness": [1.0]}, {"brightness": [20.0]}])
    after = statistics.collect([{"brightness": [2.0]}])
    (found,) = compare.measure(before, after, 1.0)
    by_hand = 0.5 * (0.5 * math.log2(2 / 3) + 0.5 * math.log2(2)) + 0.5 * math.log2(4 / 3)
    assert found.distance == pytest.approx(by_hand)


@pytest.mark.parametrize("images", [12, 50, 400])
def test_chance_alone_is_hardly_ever_taken_for_drift(images: int) -> None:
    before = counted(0, 500)
    false_alarms = sum(bool(compare.compare(before, counted(seed, images), 0.0)) for seed in range(1, 101))
    assert false_alarms <= 1
