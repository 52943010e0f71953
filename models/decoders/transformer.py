"""Transformer decoder."""

import keras
from keras import ops

from models.decoders.base import Decoder, DecoderState
from models.layers.attention import CachePlaces, CausalSelfAttention, ImageAttention
from models.layers.entry import Entry
from models.layers.positions import sinusoids
from models.layers.sublayer import Sublayer


class TransformerDecoder(Decoder):
    """Attention is all you need (Vaswani et al. 2017, arXiv 1706.03762), without an encoder of its own.

    Each layer attends to the image's regions, then to the words so far, then goes through a feed-forward
    block: the order of the 2017 original. State of a layer: keys and values of the words so far.
    """

    def __init__(self, config, **kwargs):
        super().__init__(**kwargs)
        self._config = config
        width, layers = config.width, range(config.layers)
        every_step = config.image_entry == "every_step"
        fits = config.embedding_width == width and not every_step
        self.entry = Entry(None if fits else width, every_step)
        self.image_attentions = [ImageAttention(config.heads, width, config.key_width) for _ in layers]
        self.self_attentions = [CausalSelfAttention(config.heads, width, config.key_width) for _ in layers]
        self.expand = [keras.layers.Dense(config.feed_forward, activation="relu") for _ in layers]
        self.contract = [keras.layers.Dense(width) for _ in layers]
        self.around = [
            [Sublayer(config.normalization, config.residual, config.dropout) for _ in range(3)]
            for _ in layers
        ]
        self.last = Sublayer("layer" if config.normalization == "layer" else "none", False, 0.0)

    def build(self, embedded_shape, image_shape):
        batch, length, _ = embedded_shape
        shape = (batch, length, self._config.width)
        self.entry.build(embedded_shape, (batch, image_shape[-1]))
        for layer in range(self._config.layers):
            self.image_attentions[layer].build(shape, image_shape)
            self.self_attentions[layer].build(shape)
            self.expand[layer].build(shape)
            self.contract[layer].build((batch, length, self._config.feed_forward))
            for around in self.around[layer]:
                around.build(shape, shape)
        self.last.build(shape, shape)

    def run(self, embedded, image, training, present):
        x = self.entry(embedded, ops.mean(image, axis=1))
        x = self._placed(x, ops.arange(ops.shape(x)[1]))
        weights = []
        for layer in range(self._config.layers):
            look, remember, think = self.around[layer]
            context, looked = self.image_attentions[layer](look.before(x), image)
            weights.append(looked)
            x = look.after(x, context, training, present)
            x = remember.after(x, self.self_attentions[layer](remember.before(x)), training, present)
            x = think.after(x, self._feed_forward(layer, think.before(x)), training, present)
        return self.last.before(x), weights

    def init_state(self, image, max_length):
        rows = ops.shape(image)[0]
        memories = tuple(attention.memory(image) for attention in self.image_attentions)
        caches = tuple(attention.empty(rows, max_length) for attention in self.self_attentions)
        return DecoderState(caches, (self.entry.memory(ops.mean(image, axis=1)), memories))

    def step(self, embedded, index, state):
        beside, memories = state.image
        x, caches = self._placed(self.entry.step(embedded, beside), index), []
        places = CachePlaces(ops.shape(x)[0], index, state.words[0][0].shape[1])
        for layer in range(self._config.layers):
            look, remember, think = self.around[layer]
            y = self.image_attentions[layer].step(look.before(x), memories[layer])
            x = look.after(x, y)
            y, cache = self.self_attentions[layer].step(remember.before(x), places, state.words[layer])
            caches.append(cache)
            x = remember.after(x, y)
            x = think.after(x, self._feed_forward(layer, think.before(x)))
        return self.last.before(x), DecoderState(tuple(caches), state.image)

    def _placed(self, x, positions):
        return x + ops.cast(sinusoids(positions, self._config.width), x.dtype)

    def _feed_forward(self, layer, x):
        return self.contract[layer](self.expand[layer](x))
