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
        """The images' vectors `[B, D]` -> what `step` needs of them: one tensor, or none."""
        if not self._beside:
            return ()
        return (self.image(vector) if self.image else vector,)

    def call(self, embedded, vector):
        """Words `[B, T, E]` and the images' vectors `[B, D]` -> `[B, T, width]`."""
        return self._joined(self._projected(embedded), self.memory(vector))

    def step(self, embedded, memory):
        """One word a row `[N, E]` and the `memory` of B images -> `[N, width]`; N = B * K, by image."""
        x = self._projected(embedded)
        if not memory:
            return x
        # An image's captions, of which there is one word each, as the words of one caption.
        x = self._joined(ops.reshape(x, (ops.shape(memory[0])[0], -1, x.shape[-1])), memory)
        return ops.reshape(x, (-1, x.shape[-1]))

    def _projected(self, embedded):
        x = self._activation(embedded)
        return self.word(x) if self.word else x

    def _joined(self, words, memory):
        """Words `[B, T, C]` and the `memory` of B images -> `[B, T, width]`."""
        if not memory:
            return words
        (image,) = memory
        if self.image:
            return words + image[:, None]
        along = (ops.shape(words)[0], ops.shape(words)[1], image.shape[-1])
        return ops.concatenate([words, ops.broadcast_to(image[:, None], along)], axis=-1)
