"""Which captions a model has learned from, so that those it repeats can be told from those it makes.

64-bit hashes, 8 bytes a caption, in `assets.extra` of the SavedModel, which servers ignore.
"""

import hashlib
import io
import os
from collections.abc import Iterable, Sequence
from typing import Self

import numpy as np
import tensorflow as tf

from models.metrics.tokenizer import tokenize

_FILE = os.path.join("assets.extra", "training_captions.npy")


class SeenCaptions:
    """A set of tokenised captions. One in 2**64 / captions of the others is taken for one of them."""

    def __init__(self, hashes: np.ndarray):
        self._hashes = hashes  # sorted uint64

    def __contains__(self, words: Sequence[str]) -> bool:
        value = _hash(words)
        place = np.searchsorted(self._hashes, value)
        return bool(place < len(self._hashes) and self._hashes[place] == value)

    @classmethod
    def of(cls, captions: Iterable[str]) -> Self:
        """Returns the set of `captions`, tokenised as the metrics do."""
        return cls(np.unique(np.fromiter((_hash(tokenize(text)) for text in captions), np.uint64)))

    def write(self, model_path: str) -> None:
        """Puts the set beside the SavedModel in folder `model_path`."""
        path = os.path.join(model_path, _FILE)
        tf.io.gfile.makedirs(os.path.dirname(path))
        content = io.BytesIO()
        np.save(content, self._hashes)
        with tf.io.gfile.GFile(path, "wb") as file:
            file.write(content.getvalue())

    @classmethod
    def read(cls, model_path: str) -> Self | None:
        """Returns the set of the SavedModel in folder `model_path`; None where it has none."""
        path = os.path.join(model_path, _FILE)
        if not tf.io.gfile.exists(path):
            return None
        with tf.io.gfile.GFile(path, "rb") as file:
            return cls(np.load(io.BytesIO(file.read())))


def _hash(words: Sequence[str]) -> np.uint64:
    digest = hashlib.blake2b(" ".join(words).encode(), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "big"))
