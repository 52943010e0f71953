"""GRU decoder: the image is the first state, and is attended to at every word."""

import keras
from keras import ops

from models.config import ModelConfig
from models.decoders.base import Decoder
from models.layers.attention import ImageAttention

_HEADS = 4


class GRUDecoder(Decoder):
    """Stacked GRUs (Cho et al. 2014) with attention on their output (Luong et al. 2015).

    Attention after the recurrence, not inside it, lets all words of a caption be attended at once in
    training. State: hidden vectors `[B, H]` a layer, then the image's keys and values.
    """

    def __init__(self, config: ModelConfig, **kwargs):
        super().__init__(**kwargs)
        width = config.width
        self.first_states = [keras.layers.Dense(width, activation="tanh") for _ in range(config.layers)]
        self.recurrent = [keras.layers.GRU(width, return_sequences=True) for _ in range(config.layers)]
        self.dropout = keras.layers.Dropout(config.dropout)
        self.attention = ImageAttention(_HEADS, width)
        self.combine = keras.layers.Dense(width, activation="tanh")

    def build(self, embedded_shape, image_shape):
        batch, length, _ = embedded_shape
        hidden_shape = (batch, length, self.combine.units)
        for layer, first_state in enumerate(zip(self.recurrent, self.first_states, strict=True)):
            gru, dense = first_state
            gru.build(embedded_shape if layer == 0 else hidden_shape)
            dense.build((batch, image_shape[1] * image_shape[2]))
        self.attention.build(hidden_shape, image_shape)
        self.combine.build((batch, length, 2 * self.combine.units))

    def _hidden(self, image):
        flat = ops.reshape(image, (-1, image.shape[1] * image.shape[2]))
        return [dense(flat) for dense in self.first_states]

    def call(self, embedded, image, training=False):
        outputs = embedded
        for gru, hidden in zip(self.recurrent, self._hidden(image), strict=True):
            outputs = gru(outputs, initial_state=hidden, training=training)
            outputs = self.dropout(outputs, training=training)
        context = self.attention(outputs, image)
        return self.combine(ops.concatenate([outputs, context], axis=-1))

    def init_state(self, image, max_length):
        return (*self._hidden(image), *self.attention.keys_values(image))

    def step(self, embedded, index, state):
        *hidden, keys, values = state
        output, next_hidden = embedded, []
        for gru, previous in zip(self.recurrent, hidden, strict=True):
            output, _ = gru.cell(output, [previous])
            next_hidden.append(output)
        context = self.attention.attend(output[:, None], keys, values)[:, 0]
        return self.combine(ops.concatenate([output, context], axis=-1)), (*next_hidden, keys, values)
