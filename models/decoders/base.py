"""The decoder contract. Decoders know words only as vectors, and nothing of search."""

import abc
from typing import Any

import keras


class Decoder(keras.layers.Layer, abc.ABC):
    """Turns the words so far and the image into one vector a next word.

    Shapes: B batch, T tokens, R image regions (1 = pooled), D image width, E embedding width, H output
    width. `call` sees all words at once (teacher forcing); `init_state` and `step` write one by one, and
    must give the same vectors. Every leaf of the state is batch-major, so that search reorders it with one
    gather, and keeps shape and dtype. No tensor is kept on `self`.
    """

    @abc.abstractmethod
    def call(self, embedded, image, training: bool = False):
        """Words `[B, T, E]` and image `[B, R, D]` -> `[B, T, H]`; position t sees words 0..t only."""

    @abc.abstractmethod
    def init_state(self, image, max_length: int) -> Any:
        """Image `[B, R, D]` -> state before the first word, for captions of at most `max_length` tokens."""

    @abc.abstractmethod
    def step(self, embedded, index, state: Any) -> tuple[Any, Any]:
        """One word `[B, E]` at position `index` (scalar) -> (`[B, H]`, next state)."""
