"""How words enter a decoder: the image beside them where that is asked for, and the decoder's width."""

import keras
from keras import ops


class Entry(keras.layers.Layer):
    """Words `[..., E]` -> `[..., width]`, or as they are; with one vector an image beside each of its words.

    Projecting the two side by side is the sum of their projections, so that of the image is made once.

    Args:
      width: of the projection; None projects nothing, and side by side is what comes out.
      beside: whether the image's vector stands beside the words.
      activation: of the words, before all else.
    """

    def __init__(self, width: int | None, beside: bool, activation: str | None = None, **kwargs):
        super().__init__(**kwargs)
        self._activation = keras.activations.get(activation)
        self._beside = beside
        self.word = keras.layers.Dense(width) if width else None
        self.image = keras.layers.Dense(width, use_bias=False) if width and beside else None

    def build(self, embedded_shape, vector_shape):
        self.width = embedded_shape[-1] + (vector_shape[-1] if self._beside else 0)
        if self.word:
            self.word.build(embedded_shape)
            self.width = self.word.units
        if self.image:
            self.image.build(vector_shape)

    def memory(self, vector):
        """The images' vectors `[B, D]` -> what `step` needs of them."""
        if not self._beside:
            return ()
        return (self.image(vector) if self.image else vector,)

    def call(self, embedded, vector):
        """Words `[B, T, E]` and the images' vectors `[B, D]` -> `[B, T, width]`."""
        x = self._projected(embedded)
        for image in self.memory(vector):
            x = self._join(x, image[:, None], (ops.shape(x)[0], ops.shape(x)[1], image.shape[-1]))
        return x

    def step(self, embedded, memory):
        """One word a row `[N, E]` and the `memory` of B images -> `[N, width]`; N = B * K, by image."""
        x = self._projected(embedded)
        for image in memory:
            shape = (ops.shape(image)[0], -1, x.shape[-1])
            x = ops.reshape(x, shape)
            joined = self._join(x, image[:, None], (shape[0], ops.shape(x)[1], image.shape[-1]))
            x = ops.reshape(joined, (-1, joined.shape[-1]))
        return x

    def _projected(self, embedded):
        x = self._activation(embedded)
        return self.word(x) if self.word else x

    def _join(self, words, image, shape):
        if self.image:
            return words + image
        return ops.concatenate([words, ops.broadcast_to(image, shape)], axis=-1)
