"""The part that hybrid and binary code share on the way in: action and stop words one-hot."""

import keras
from keras import ops

from models.features import EXTRA_ID
from models.representations.base import WordTable, first_rows


class BesideBaseWords(keras.layers.Layer):
    """ids `[...]` -> `[..., width]`: one-hot of action or stop word (else EXTRA) beside `rest`, projected.

    The projection of the two parts side by side is the sum of theirs, and that of a one-hot is a lookup.

    Args:
      width: of the projection; 0 puts the parts side by side as they are, `[..., base_size + rest's width]`.
      rest: layer of every word, projected to the same width.
    """

    def __init__(self, words: WordTable, width: int, rest: keras.layers.Layer, **kwargs):
        super().__init__(**kwargs)
        self._base_size = words.base_size
        self.base = keras.layers.Embedding(words.base_size, width, first_rows()) if width else None
        self.rest = rest

    def build(self, input_shape):
        """Nothing, as in `Captioner`."""

    def call(self, ids):
        base_ids = ops.where(ids < self._base_size, ids, EXTRA_ID)
        rest = self.rest(ids)
        if self.base is None:
            return ops.concatenate([ops.one_hot(base_ids, self._base_size, dtype=rest.dtype), rest], axis=-1)
        return self.base(base_ids) + rest
