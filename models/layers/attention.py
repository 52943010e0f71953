"""Attention over image regions."""

import keras
from keras import ops


class ImageAttention(keras.layers.Layer):
    """Multi-head scaled dot-product attention (Vaswani et al. 2017) of words over image regions.

    Unlike `keras.layers.MultiHeadAttention` the image's keys and values are computed apart, so that step
    decoding does so once an image instead of once a word.

    Args:
      heads: number of heads; must divide `width`.
      width: of keys, values and output.
    """

    def __init__(self, heads: int, width: int, **kwargs):
        super().__init__(**kwargs)
        if width % heads:
            raise ValueError(f"the width must divide by the number of heads; got {width} and {heads} heads")
        self._heads = heads
        self._width = width
        self.query = keras.layers.Dense(width)
        self.key = keras.layers.Dense(width)
        self.value = keras.layers.Dense(width)
        self.output_projection = keras.layers.Dense(width)

    def build(self, query_shape, image_shape):
        self.query.build(query_shape)
        self.key.build(image_shape)
        self.value.build(image_shape)
        self.output_projection.build((*query_shape[:-1], self._width))

    def _split(self, x):
        """`[B, N, width]` -> `[B, heads, N, width / heads]`."""
        shape = (-1, ops.shape(x)[1], self._heads, self._width // self._heads)
        return ops.transpose(ops.reshape(x, shape), (0, 2, 1, 3))

    def keys_values(self, image):
        """`[B, R, D]` -> keys and values, each `[B, heads, R, width / heads]`."""
        return self._split(self.key(image)), self._split(self.value(image))

    def attend(self, query, keys, values):
        """`[B, T, H]` and the image's keys and values -> context `[B, T, width]`."""
        heads = self._split(self.query(query))
        scale = (self._width // self._heads) ** -0.5
        weights = ops.softmax(ops.matmul(heads * scale, ops.transpose(keys, (0, 1, 3, 2))), axis=-1)
        context = ops.transpose(ops.matmul(weights, values), (0, 2, 1, 3))
        return self.output_projection(ops.reshape(context, (-1, ops.shape(query)[1], self._width)))

    def call(self, query, image):
        return self.attend(query, *self.keys_values(image))
