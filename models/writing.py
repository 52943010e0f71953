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

    Each way is a graph of its own, made once and called by all that write so: a served model has a dozen
    signatures and hardly more than a handful of searches.
    """

    def __init__(self, model: Captioner, decode: DecodeConfig):
        self._model = model
        self._decode = decode
        self._greedy = self._graph(self._write_greedily)
        self._beam = self._graph(self._search)
        self._beam_with = self._graph(self._search_with)

    def greedy(self, features):
        """-> `[B, 1, L]` and `[B, 1]`: the likeliest word at every step."""
        return self._greedy(features)

    def beam(self, features, captions: int):
        """-> `[B, captions, L]` and `[B, captions]`, best first."""
        return self._beam(features, captions)

    def beam_with(self, features, beam_width, min_tokens, max_tokens, length_penalty):
        """As `beam`, K = `decode.captions` captions, with options `[B]`.

        A beam is at most `decode.beam_width` wide. Where it finds fewer than K captions, ids are MASK.
        """
        return self._beam_with(features, beam_width, min_tokens, max_tokens, length_penalty)

    def sample(self, features, min_tokens, max_tokens, how: sampling.Sampling, seeds):
        """-> `[B, K, L]` and `[B, K]`, K = `decode.captions`, drawn; options `[B]`, seeds int64 `[B, 2]`."""
        return sampling.sample(
            self._model.step,
            self._state(features),
            tf.shape(features)[0],
            self._decode.captions,
            self._rules(min_tokens, max_tokens),
            how,
            seeds,
        )

    def _write_greedily(self, features):
        rules = self._rules(self._decode.min_tokens)
        return greedy_search(self._model.step, self._state(features), tf.shape(features)[0], rules)

    def _search(self, features, captions):
        rules = self._rules(self._decode.min_tokens)
        return self._search_by(features, captions, None, self._decode.length_penalty, rules)

    def _search_with(self, features, beam_width, min_tokens, max_tokens, length_penalty):
        rules = self._rules(min_tokens, max_tokens)
        return self._search_by(features, self._decode.captions, beam_width, length_penalty, rules)

    def _search_by(self, features, captions, widths, length_penalty, rules):
        state, batch = self._state(features), tf.shape(features)[0]
        width = self._decode.beam_width
        return beam_search(self._model.step, state, batch, width, length_penalty, rules, captions, widths)

    def _graph(self, search):
        # Sampling is not compiled: how many words top-p keeps is known only when it runs, and XLA wants fixed
        # shapes. It has one signature.
        return tf.function(search, jit_compile=True if self._decode.xla else None, autograph=False)

    def _state(self, features):
        return self._model.init_state(features, self._decode.max_tokens + 1)

    def _rules(self, min_tokens, at_most=None) -> Rules:
        return Rules(self._decode.max_tokens, min_tokens, self._decode.no_repeat_ngram, at_most)
