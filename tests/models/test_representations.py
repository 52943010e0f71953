"""Words as vectors and back: each fast way is the slow one, written out."""

import keras
import numpy as np
import pytest

from models.features import EXTRA_ID, MASK_ID, START_ID
from models.representations import REPRESENTATIONS
from models.representations.base import WordTable

V, BASE, WIDTH, HIDDEN = 12, 7, 6, 5
VECTORS = np.random.default_rng(0).normal(size=(V, 4)).astype(np.float32)
IDS = np.array([[START_ID, 5, 11], [MASK_ID, 7, 6]])


@pytest.fixture
def words() -> WordTable:
    return WordTable(V, BASE, VECTORS)


def with_random_weights(layer: keras.Layer, shape: tuple[int, ...], dtype: str = "float32") -> keras.Layer:
    layer(np.zeros(shape, dtype))
    rng = np.random.default_rng(1)
    for weight in layer.trainable_weights:
        weight.assign(rng.normal(size=weight.shape))
    return layer


def input_of(name: str, words: WordTable) -> keras.Layer:
    return with_random_weights(REPRESENTATIONS[name].input(words, WIDTH), (1,), "int32")


def output_of(name: str, words: WordTable) -> keras.Layer:
    return with_random_weights(REPRESENTATIONS[name].output(words, dtype="float32"), (1, HIDDEN))


def softmax(x: np.ndarray) -> np.ndarray:
    exponentials = np.exp(x - x.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_shapes_are_kept_whatever_comes_before(name, words):
    layer = input_of(name, words)
    for ids in (np.array([3, 5]), IDS):
        assert layer(ids).shape == (*ids.shape, WIDTH)
    output = output_of(name, words)
    for shape in ((2,), (2, 3)):
        assert output(np.zeros((*shape, HIDDEN), np.float32)).shape == (*shape, V)


# --- in ---


def test_one_hot_in_is_a_one_hot_vector_times_the_weights(words):
    layer = input_of("one_hot", words)
    np.testing.assert_allclose(layer(IDS), np.eye(V)[IDS] @ np.array(layer.embedding.embeddings), rtol=1e-5)


def test_vector_in_is_the_vector_times_the_weights(words):
    layer = input_of("vector", words)
    expected = VECTORS[IDS] @ np.array(layer.project.kernel) + np.array(layer.project.bias)
    np.testing.assert_allclose(layer(IDS), expected, rtol=1e-4, atol=1e-5)


def test_hybrid_in_is_one_hot_beside_vector_times_the_weights(words):
    """The original's input: action or stop word, or EXTRA for any other, and every word's vector."""
    layer = input_of("hybrid", words)
    one_hot = np.eye(BASE)[np.where(IDS < BASE, IDS, EXTRA_ID)]
    dense = np.concatenate([one_hot, VECTORS[IDS]], axis=-1)
    weights = np.concatenate([np.array(layer.base.embeddings), np.array(layer.vector.project.kernel)])
    expected = dense @ weights + np.array(layer.vector.project.bias)
    np.testing.assert_allclose(layer(IDS), expected, rtol=1e-4, atol=1e-5)


# --- out ---


@pytest.fixture
def hidden() -> np.ndarray:
    return np.random.default_rng(2).normal(size=(2, 3, HIDDEN)).astype(np.float32)


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_the_softmax_of_the_logits_is_a_distribution_over_the_words(name, words, hidden):
    probabilities = softmax(np.array(output_of(name, words)(hidden)))
    np.testing.assert_allclose(probabilities.sum(-1), 1, rtol=1e-5)
    likely = np.delete(probabilities, EXTRA_ID, axis=-1)  # EXTRA is no word in the hybrid
    assert likely.min() > 0


def test_one_hot_out_is_a_dense_layer(words, hidden):
    layer = output_of("one_hot", words)
    expected = hidden @ np.array(layer.project.kernel) + np.array(layer.project.bias)
    np.testing.assert_allclose(layer(hidden), expected, rtol=1e-4, atol=1e-5)


def test_vector_out_is_the_scaled_cosine_to_each_vector(words, hidden):
    layer = output_of("vector", words)
    query = unit(hidden @ np.array(layer.project.kernel) + np.array(layer.project.bias))
    expected = float(np.array(layer.scale)) * query @ unit(VECTORS).T + np.array(layer.bias)
    np.testing.assert_allclose(layer(hidden), expected, rtol=1e-4, atol=1e-4)


def test_a_word_without_a_vector_has_cosine_zero_and_not_nan(hidden):
    vectors = VECTORS.copy()
    vectors[9] = 0
    layer = output_of("vector", WordTable(V, BASE, vectors))
    logits = np.array(layer(hidden))
    np.testing.assert_allclose(logits[..., 9], np.array(layer.bias)[9], rtol=1e-5)
    assert np.all(np.isfinite(logits))


def test_hybrid_out_shares_the_probability_of_extra_among_the_other_words(words, hidden):
    layer = output_of("hybrid", words)
    base = softmax(hidden @ np.array(layer.base.kernel) + np.array(layer.base.bias))
    rest = softmax(np.array(layer.vector(hidden))[..., BASE:])
    expected = np.concatenate([base, base[..., EXTRA_ID, None] * rest], axis=-1)
    expected[..., EXTRA_ID] = 0
    probabilities = softmax(np.array(layer(hidden)))
    np.testing.assert_allclose(probabilities, expected, rtol=1e-4, atol=1e-7)
    assert np.all(probabilities[..., EXTRA_ID] == 0), "EXTRA is never a word"


# --- the vectors ---


@pytest.mark.parametrize("name", ["vector", "hybrid"])
@pytest.mark.parametrize("side", ["input", "output"])
def test_pretrained_vectors_are_frozen_unless_asked_and_learned_without_any(name, side):
    def trainable(table: WordTable) -> list[tuple[int, ...]]:
        layer = input_of(name, table) if side == "input" else output_of(name, table)
        return [weight.shape for weight in layer.trainable_weights if weight.name == "vectors"]

    assert trainable(WordTable(V, BASE, VECTORS)) == []
    assert trainable(WordTable(V, BASE, VECTORS, train_vectors=True)) == [VECTORS.shape]
    assert trainable(WordTable(V, BASE)) == [(V, WordTable.LEARNED_WIDTH)]
