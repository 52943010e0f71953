"""A captioner's ways of writing captions, as `DecodeConfig` says.

Shapes: B images, R regions, D feature width, L = decode.max_tokens + 1 (words and STOP).
"""

import tensorflow as tf

from models.captioner import Captioner
from models.config import DecodeConfig
from models.generation import sampling
from models.generation.beam import beam_search
from models.generation.greedy import greedy_search
from models.generation.rules import Rules


class Writer:
    """Writes captions of features `[B, R, D]`; all ways return ids int32 and log-probabilities float32.

    To be called within a graph: with `decode.xla`, each call outside of one would compile again.

    Options of a request that may differ from the config's are numbers or vectors with one an image.
    """

    def __init__(self, model: Captioner, decode: DecodeConfig):
        self._model = model
        self._decode = decode

    def greedy(self, features):
        """-> `[B, 1, L]` and `[B, 1]`: the likeliest word at every step."""

        def search(features):
            rules = self._rules(self._decode.min_tokens)
            return greedy_search(self._model.step, self._state(features), tf.shape(features)[0], rules)

        return self._compiled(search)(features)

    def beam(self, features, captions: int, min_tokens=None, max_tokens=None, length_penalty=None):
        """-> `[B, captions, L]` and `[B, captions]`, best first."""
        decode = self._decode
        options = [
            tf.convert_to_tensor(default if given is None else given)
            for given, default in (
                (min_tokens, decode.min_tokens),
                (max_tokens, decode.max_tokens),
                (length_penalty, decode.length_penalty),
            )
        ]

        def search(features, min_tokens, max_tokens, length_penalty):
            return beam_search(
                self._model.step,
                self._state(features),
                tf.shape(features)[0],
                decode.beam_width,
                length_penalty,
                self._rules(min_tokens, max_tokens),
                captions,
            )

        return self._compiled(search)(features, *options)

    def sample(self, features, min_tokens, max_tokens, how: sampling.Sampling, seeds):
        """-> `[B, K, L]` and `[B, K]`, K = `decode.captions`, drawn with seeds int64 `[B, 2]`."""
        return sampling.sample(
            self._model.step,
            self._state(features),
            tf.shape(features)[0],
            self._decode.captions,
            self._rules(min_tokens, max_tokens),
            how,
            seeds,
        )

    def _compiled(self, search):
        # Sampling is not: how many words top-p keeps is known only when it runs, and XLA wants fixed shapes.
        return tf.function(search, jit_compile=True, autograph=False) if self._decode.xla else search

    def _state(self, features):
        return self._model.init_state(features, self._decode.max_tokens + 1)

    def _rules(self, min_tokens, at_most=None) -> Rules:
        return Rules(self._decode.max_tokens, min_tokens, self._decode.no_repeat_ngram, at_most)
