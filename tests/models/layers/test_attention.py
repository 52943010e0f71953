"""Our attention is Keras's with the same weights; what we change is only when keys and values are made."""

import keras
import numpy as np

from models.layers.attention import CachePlaces, CausalSelfAttention, ImageAttention

B, T, R, D, H, HEADS, KEY = 2, 5, 4, 6, 8, 2, 3
RNG = np.random.default_rng(0)
WORDS = RNG.normal(size=(B, T, H)).astype(np.float32)
IMAGE = RNG.normal(size=(B, R, D)).astype(np.float32)


def keras_attention(query, key, value, output) -> keras.layers.MultiHeadAttention:
    """Keras's layer with our weights: kernels `[in, HEADS * W]` and biases of four products."""
    layer = keras.layers.MultiHeadAttention(HEADS, KEY, value_dim=H // HEADS, output_shape=H)
    layer.build((B, T, H), (B, T if key[0].shape[0] == H else R, key[0].shape[0]))
    weights = []
    for kernel, bias in (query, key, value):
        weights += [kernel.reshape(len(kernel), HEADS, -1), bias.reshape(HEADS, -1)]
    layer.set_weights([*weights, output[0].reshape(HEADS, -1, H), output[1]])
    return layer


def random_weights(layer: keras.Layer, *shapes) -> None:
    layer.build(*shapes)
    for weight in layer.trainable_weights:
        weight.assign(RNG.normal(size=weight.shape))


def products(*layers: keras.layers.Dense) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(np.array(layer.kernel), np.array(layer.bias)) for layer in layers]


def test_attention_over_regions_is_keras_attention():
    ours = ImageAttention(HEADS, H, KEY)
    random_weights(ours, (B, T, H), (B, R, D))
    theirs = keras_attention(*products(ours.query, ours.key, ours.value, ours.output_projection))
    expected, expected_weights = theirs(WORDS, IMAGE, return_attention_scores=True)

    context, weights = ours(WORDS, IMAGE)
    np.testing.assert_allclose(context, expected, atol=1e-4)
    np.testing.assert_allclose(weights, expected_weights, atol=1e-5)
    # Here the T words are T captions of an image, of which one word each is written.
    step = ours.step(WORDS.reshape(B * T, H), ours.memory(IMAGE))
    np.testing.assert_allclose(np.reshape(step, (B, T, H)), expected, atol=1e-4)


def test_attention_over_words_is_keras_causal_attention():
    ours = CausalSelfAttention(HEADS, H, KEY)
    random_weights(ours, (B, T, H))
    kernel, bias = products(ours.project)[0]
    parts = [HEADS * KEY, 2 * HEADS * KEY]
    split = zip(np.split(kernel, parts, axis=1), np.split(bias, parts), strict=True)
    theirs = keras_attention(*split, *products(ours.output_projection))
    expected = theirs(WORDS, WORDS, use_causal_mask=True)

    np.testing.assert_allclose(ours(WORDS), expected, atol=1e-4)
    cache, outputs = ours.empty(B, T + 2), []
    for index in range(T):
        output, cache = ours.step(WORDS[:, index], CachePlaces(B, index, T + 2), cache)
        outputs.append(output)
    np.testing.assert_allclose(np.stack(outputs, axis=1), expected, atol=1e-4)
