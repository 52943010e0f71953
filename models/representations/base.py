"""What a word representation is: ids -> vectors on the way in, vectors -> logits of words on the way out."""

import dataclasses
from typing import NamedTuple

import keras
import numpy as np


@dataclasses.dataclass(frozen=True)
class WordTable:
    """What representations know of the words.

    Attributes:
      size: vocabulary size V.
      base_size: leading ids that are action or stop words.
      vectors: pretrained float32 `[V, W]`, or None to learn vectors.
      train_vectors: learn the pretrained vectors further.
    """

    size: int
    base_size: int
    vectors: np.ndarray | None = None
    train_vectors: bool = False

    LEARNED_WIDTH = 64

    def add_vectors(self, layer: keras.layers.Layer) -> keras.Variable:
        """Adds the table `[V, W]` to `layer`: pretrained (frozen or not), or learned from noise."""
        if self.vectors is None:
            return layer.add_weight(
                name="vectors", shape=(self.size, self.LEARNED_WIDTH), initializer="normal"
            )
        return layer.add_weight(
            name="vectors",
            shape=self.vectors.shape,
            initializer=lambda shape, dtype=None: keras.ops.convert_to_tensor(self.vectors, dtype),
            trainable=self.train_vectors,
        )


class Representation(NamedTuple):
    """The two layers of a representation; input and output can be chosen apart.

    Attributes:
      input: called as `input(words, width)`; the layer maps ids `[...]` to float `[..., width]`.
      output: called as `output(words, dtype=...)`; the layer maps float `[..., H]` to logits `[..., V]` of
        that dtype, whose softmax is the distribution over words.
    """

    input: type[keras.layers.Layer]
    output: type[keras.layers.Layer]
