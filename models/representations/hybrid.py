"""The hybrid of the 2017 original: action and stop words one-hot, every word with its vector besides."""

import keras
from keras import ops

from models.features import EXTRA_ID
from models.representations.base import WordTable
from models.representations.base_words import BesideBaseWords
from models.representations.binary_code import BinaryCodeOutput
from models.representations.vector import VectorInput, VectorOutput

_REST: dict[str, type[keras.layers.Layer]] = {"vector": VectorOutput, "binary_code": BinaryCodeOutput}


class HybridInput(BesideBaseWords):
    """ids `[...]` -> `[..., width]`: one-hot of the action or stop word (else EXTRA) beside the vector."""

    def __init__(self, words: WordTable, width: int, **kwargs):
        super().__init__(words, width, VectorInput(words, width), **kwargs)


class HybridOutput(keras.layers.Layer):
    """`[..., H]` -> log-probabilities `[..., V]`: softmax over base words, EXTRA's share given to the rest.

    log p(w) is the base log-softmax for an action or stop word, and log p(EXTRA) + log p(w | rest) for any
    other, with p(w | rest) the softmax of the others' logits: cosines to their vectors or, as `hybrid_rest`
    says, decoded bits. EXTRA itself is never a word.
    """

    def __init__(self, words: WordTable, **kwargs):
        super().__init__(**kwargs)
        self._base_size = words.base_size
        self.base = keras.layers.Dense(words.base_size, dtype=self.dtype_policy)
        self.rest = _REST[words.hybrid_rest](words, dtype=self.dtype_policy)

    def build(self, input_shape):
        """Nothing, as in `Captioner`."""

    def call(self, hidden):
        # float32: log-probabilities of thousands of words do not survive the sum in half precision.
        base = ops.log_softmax(ops.cast(self.base(hidden), "float32"), axis=-1)
        rest = ops.cast(self.rest(hidden), "float32")[..., self._base_size :]
        extra = base[..., EXTRA_ID : EXTRA_ID + 1]
        rest = extra + ops.log_softmax(rest, axis=-1)
        never = ops.full_like(extra, -1e7)
        return ops.concatenate([base[..., :EXTRA_ID], never, base[..., EXTRA_ID + 1 :], rest], axis=-1)
