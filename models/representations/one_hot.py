"""One-hot words: a learned row a word on the way in, a softmax over all words on the way out."""

import keras

from models.representations.base import WordTable, first_rows


class OneHotInput(keras.layers.Layer):
    """ids `[...]` -> `[..., width]`. A one-hot vector times a matrix is a row of it, so a lookup is done."""

    def __init__(self, words: WordTable, width: int, **kwargs):
        super().__init__(**kwargs)
        self.embedding = keras.layers.Embedding(words.size, width, first_rows())

    def build(self, input_shape):
        """Nothing, as in `Captioner`."""

    def call(self, ids):
        return self.embedding(ids)


class OneHotOutput(keras.layers.Layer):
    """`[..., H]` -> logits `[..., V]`."""

    def __init__(self, words: WordTable, **kwargs):
        super().__init__(**kwargs)
        self.project = keras.layers.Dense(words.size, dtype=self.dtype_policy)

    def build(self, input_shape):
        """Nothing, as in `Captioner`."""

    def call(self, hidden):
        return self.project(hidden)
