"""Captions that fit are told from shuffled ones, by figures that a model gave."""

import math

import numpy as np
import pytest

from components.span_example_gen import caption_fit
from components.span_example_gen.caption_fit import Scores
from components.span_example_gen.checks import captions
from components.span_example_gen.config import SpansConfig


def scores(
    seed: int, gap: float, images: int = 100, accepted: float | None = None, noise: float = 1.0
) -> Scores:
    """Of images with 10 tokens each, `gap` nats a token likelier than with another image."""
    random = np.random.default_rng(seed)
    own = random.normal(30, 5, images)

    def given(gap: float) -> tuple[float, ...]:
        return tuple(own + 10 * random.normal(gap, noise, images))

    return Scores(tuple(own), given(gap), () if accepted is None else given(accepted), (10.0,) * images)


def judge(span: Scores, reference: Scores):
    class Findings:
        scores = {"span": span, "reference": reference}  # noqa: RUF012
        images = len(span.own)

    return captions.check(Findings, SpansConfig())


def test_the_gap_is_given_as_a_share_of_that_in_accepted_data() -> None:
    fit = caption_fit.compare(scores(1, 0.5, 2000, accepted=0.1), scores(2, 1.0, 2000))
    assert fit.gap == pytest.approx(0.5, abs=0.1)
    assert fit.share == pytest.approx(0.5, abs=0.1)
    assert fit.share < fit.at_most < 0.7
    assert 0.9 < fit.reference_low < 1.0


def test_captions_that_fit_are_accepted() -> None:
    found = judge(scores(1, 0.9, accepted=1.1), scores(2, 1.0))
    assert (found.reasons, found.warnings) == ((), ())


def test_shuffled_captions_are_refused() -> None:
    (reason,) = judge(scores(1, 0.0, accepted=0.0), scores(2, 1.0)).reasons
    assert reason.startswith("Its captions do not fit its images")


@pytest.mark.parametrize(("gap", "accepted"), [(0.0, 1.0), (0.9, -1.0)])
def test_a_span_of_much_the_same_or_of_strange_pictures_is_not_taken_for_mislabelled(gap, accepted) -> None:
    assert judge(scores(1, gap, accepted=accepted), scores(2, 1.0)).reasons == ()


def test_a_small_span_that_may_be_either_is_not_refused() -> None:
    found = judge(scores(1, 0.2, images=9, accepted=0.2, noise=4.0), scores(2, 1.0, images=400))
    assert found.reasons == ()


def test_a_model_that_cannot_tell_refuses_nothing() -> None:
    found = judge(scores(1, 0.0, accepted=0.0), scores(2, 0.0))
    assert found.reasons == ()
    assert "was not checked" in found.warnings[0]
    assert caption_fit.compare(scores(1, 0.0), scores(3, -1.0)).at_most == math.inf


def test_images_without_a_word_that_the_model_knows_do_not_count() -> None:
    known = scores(1, 1.0)
    unknown = Scores(
        *(values + (0.0,) * 50 for values in (known.own, known.other)), (), known.tokens + (0.0,) * 50
    )
    assert unknown.scored == 100
    assert caption_fit.compare(unknown, scores(2, 1.0)).gap == caption_fit.compare(known, scores(2, 1.0)).gap
