"""The GRU decoder: the image comes in twice, as the first state and by attention at every word."""

import numpy as np
import pytest

from tests.models.conftest import CaptionerMaker


def zero(layer) -> None:
    for weight in layer.weights:
        weight.assign(np.zeros(weight.shape))


@pytest.mark.parametrize("left", ["the first state", "attention"])
@pytest.mark.parametrize("layers", [1, 2])
def test_either_way_of_the_image_alone_makes_a_difference(make_captioner: CaptionerMaker, left, layers):
    decoder = make_captioner(regions=4, layers=layers).decoder
    if left == "attention":
        for first_state in decoder.first_states:
            zero(first_state)
    else:
        zero(decoder.attention.output_projection)
    rng = np.random.default_rng(0)
    words = rng.normal(size=(2, 3, 6)).astype(np.float32)
    image, other = rng.normal(size=(2, 2, 4, 8)).astype(np.float32)
    difference = np.abs(decoder(words, image) - decoder(words, other)).max(axis=-1)
    assert difference.min() > 1e-3


def test_every_layer_starts_from_the_image(make_captioner: CaptionerMaker):
    decoder = make_captioner(regions=4, layers=3).decoder
    image, other = np.random.default_rng(0).normal(size=(2, 1, 4, 8)).astype(np.float32)
    *hidden, _, _ = decoder.init_state(image, 5)
    *hidden_of_other, _, _ = decoder.init_state(other, 5)
    assert len(hidden) == 3
    for state, state_of_other in zip(hidden, hidden_of_other, strict=True):
        assert np.abs(state - state_of_other).max() > 0.1
