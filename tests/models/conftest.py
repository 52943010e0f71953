"""Tiny vocabularies and captioners for the tests of this folder."""

from collections.abc import Callable, Iterable, Iterator

import keras
import numpy as np
import pytest
import tensorflow as tf

from models import export
from models.captioner import Captioner
from models.config import ModelConfig
from models.features import ACTION_WORDS, MASK_ID, START_ID, STOP_ID
from models.representations.base import WordTable

# Two stop words and two others: few enough to write out every caption of three words.
WORDS = (*ACTION_WORDS, "a", "the", "cat", "dog")
BASE_SIZE = len(ACTION_WORDS) + 2
FEATURE_WIDTH = 5

CaptionerMaker = Callable[..., Captioner]


def token_rows(captions: Iterable[str], length: int = 8) -> np.ndarray:
    """Tokens int32 [M, length] of captions in WORDS: START words STOP MASK..."""
    rows = [[START_ID, *map(WORDS.index, caption.split()), STOP_ID] for caption in captions]
    return np.array([row + [MASK_ID] * (length - len(row)) for row in rows], np.int32)


@pytest.fixture
def eagerly() -> Iterator[None]:
    """Runs graphs op by op: for a few steps this is much faster than tracing them first."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def randomise(captioner: Captioner, seed: int) -> None:
    """Gives every weight a random value.

    Fresh weights hide mistakes: biases are zero, statistics do nothing, and captions hardly depend on the
    image.
    """
    rng = np.random.default_rng(seed)
    for weight in captioner.trainable_weights:
        if weight.shape:  # scalars are temperatures
            weight.assign(rng.normal(scale=0.6, size=weight.shape))
    projection = captioner.image_projection
    projection.mean.assign(rng.normal(scale=0.2, size=projection.mean.shape))
    projection.scale.assign(rng.uniform(0.5, 2.0, size=projection.scale.shape))


@pytest.fixture(scope="session")
def make_captioner() -> CaptionerMaker:
    """Returns a function that makes a tiny captioner with random weights, or with Keras's own (`fresh`)."""

    def make(
        words: int = len(WORDS),
        base_size: int = BASE_SIZE,
        regions: int = 1,
        feature_width: int = FEATURE_WIDTH,
        seed: int = 0,
        fresh: bool = False,
        **options,
    ) -> Captioner:
        keras.utils.set_random_seed(seed)
        vectors = np.random.default_rng(seed).normal(size=(words, 6)).astype(np.float32)
        tiny = {"width": 8, "embedding_width": 6, "image_width": 7, "feed_forward": 9, "dropout": 0.4}
        config = ModelConfig(**tiny | options)
        captioner = Captioner(config, WordTable(words, base_size, vectors))
        export.build(captioner, (regions, feature_width))
        if not fresh:
            randomise(captioner, seed)
        return captioner

    return make
