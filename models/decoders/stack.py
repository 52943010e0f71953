"""What the GRU and the CNNs share: the image's entry, a stack of blocks, attention after each of them."""

import abc
from typing import Any

import keras
from keras import ops

from models.config import ResolvedModelConfig
from models.decoders.base import Decoder, DecoderState
from models.layers.attention import ImageAttention
from models.layers.entry import Entry
from models.layers.sublayer import Sublayer


class StackedDecoder(Decoder):
    """Blocks over the words, each followed by attention over the image's regions where that is asked for.

    A block is a layer that maps `[B, T, C]` and its state before the first of these words to `[B, T, H]`; a
    subclass says which, and how it goes on by one word. Attention comes after a block and not inside its
    recurrence, so that in training all words of a caption attend at once.

    The image enters besides as `model.image_entry` says, as the mean of its regions: put before the first
    word (`prefix`), or put beside each word (`every_step`).
    """

    def __init__(self, config: ResolvedModelConfig, **kwargs):
        super().__init__(**kwargs)
        self._config = config
        residual, dropout = config.residual, config.dropout
        self.blocks = [self.make_block(config, layer) for layer in range(config.layers)]
        self.around_blocks = [
            Sublayer(self._normalization(layer), residual, dropout) for layer in range(config.layers)
        ]
        attentions = range(config.layers) if config.image_attention else ()
        self.attentions = [ImageAttention(config.heads, config.width, config.key_width) for _ in attentions]
        # Always residual: attention alone would lose the words.
        self.around_attentions = [Sublayer(config.normalization, True, dropout) for _ in attentions]
        self.last = Sublayer("layer" if config.normalization == "layer" else "none", False, 0.0)
        self.prefix: keras.layers.Dense | None = None  # as wide as the words, which `build` is told
        # A residual stack has one width throughout; else the first block takes what comes.
        every_step = config.image_entry == "every_step"
        fits = config.embedding_width == config.width and not every_step
        self.entry = Entry(
            config.width if residual and not fits else None, every_step, self.word_activation(config)
        )

    # --- what subclasses say ---

    @abc.abstractmethod
    def make_block(self, config: ResolvedModelConfig, layer: int) -> keras.layers.Layer:
        """The block of a layer; called as `block(x, start)`."""

    @abc.abstractmethod
    def start(self, block, image) -> Any:
        """State of `block` before the first input, for the image `[B, R, D]`."""

    @abc.abstractmethod
    def step_block(self, block, x, state) -> tuple[Any, Any]:
        """One word `[N, C]` -> (`[N, H]`, next state)."""

    def word_activation(self, config: ResolvedModelConfig) -> str | None:
        """Of the words as they come in."""
        return None

    # --- the contract ---

    def build(self, embedded_shape, image_shape):
        batch, length, width = embedded_shape
        shape = (batch, length, self._config.width)
        if self._config.image_entry == "prefix":
            self.prefix = keras.layers.Dense(width)
            self.prefix.build((batch, image_shape[-1]))
        self.entry.build(embedded_shape, (batch, image_shape[-1]))
        width = self.entry.width
        for block, around in zip(self.blocks, self.around_blocks, strict=True):
            block.build((batch, length, width))
            around.build((batch, length, width), shape)
            width = self._config.width
        for attention, around in zip(self.attentions, self.around_attentions, strict=True):
            attention.build(shape, image_shape)
            around.build(shape, shape)
        self.last.build(shape, shape)

    def init_state(self, image, max_length):
        mean = ops.mean(image, axis=1)
        memories = tuple(attention.memory(image) for attention in self.attentions)
        starts = tuple(self.start(block, image) for block in self.blocks)
        state = DecoderState(starts, (self.entry.memory(mean), memories))
        return self._step(self.prefix(mean), state)[1] if self.prefix else state

    def step(self, embedded, index, state):
        return self._step(embedded, state)

    # --- their parts ---

    def run(self, embedded, image, training, present):
        x, mean = embedded, ops.mean(image, axis=1)
        if self.prefix:
            x = ops.concatenate([self.prefix(mean)[:, None], x], axis=1)
            if present is not None:
                present = ops.concatenate([ops.ones_like(present[:, :1]), present], axis=1)
        x = self.entry(x, mean)
        weights = []
        for layer, (block, around) in enumerate(zip(self.blocks, self.around_blocks, strict=True)):
            x = around.after(x, block(around.before(x), self.start(block, image)), training, present)
            if self.attentions:
                attention, around = self.attentions[layer], self.around_attentions[layer]
                context, looked = attention(around.before(x), image)
                weights.append(looked)
                x = around.after(x, context, training, present)
        x = self.last.before(x)
        if self.prefix:
            return x[:, 1:], [looked[:, :, 1:] for looked in weights]
        return x, weights

    def _step(self, x, state):
        beside, memories = state.image
        x, states = self.entry.step(x, beside), []
        for layer, (block, around) in enumerate(zip(self.blocks, self.around_blocks, strict=True)):
            y, after = self.step_block(block, around.before(x), state.words[layer])
            states.append(after)
            x = around.after(x, y)
            if self.attentions:
                attention, around = self.attentions[layer], self.around_attentions[layer]
                x = around.after(x, attention.step(around.before(x), memories[layer]))
        return self.last.before(x), DecoderState(tuple(states), state.image)

    def _normalization(self, layer: int) -> str:
        """Of a block. Without residual connections, batch norm stands only before dilations start to grow."""
        if self._config.normalization != "batch" or self._config.residual:
            return self._config.normalization
        here, after = (*self._config.dilations, 0)[layer : layer + 2]
        return "batch" if after > here == 1 else "none"
