"""Which word may come next: rules on log-probabilities that greedy and beam search share."""

import dataclasses

import tensorflow as tf

from models.features import ACTION_WORDS, STOP_ID

# Finite, so that sums stay numbers; far below any log-probability of a caption.
IMPOSSIBLE = -1e7


@dataclasses.dataclass(frozen=True)
class Rules:
    """Args:
    max_tokens: longest caption, in words; then it must stop.
    """

    max_tokens: int

    def apply(self, log_probs: tf.Tensor, previous: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
        """Makes words that may not follow impossible; the others keep their log-probability.

        Never an action word but STOP, never an empty caption, never the same word twice in a row, and
        nothing but STOP after `max_tokens` words.

        Args:
          log_probs: float32 [N, V].
          previous: int32 [N], the word before (START at first).
          index: int32 scalar, how many words there are already.
        """
        vocabulary = tf.shape(log_probs)[-1]
        ids = tf.range(vocabulary)
        is_stop = ids == STOP_ID
        never = (ids < len(ACTION_WORDS)) & ~is_stop
        never |= tf.where(index >= self.max_tokens, ~is_stop, (index == 0) & is_stop)
        banned = never[None, :] | (ids[None, :] == previous[:, None])
        return tf.where(banned, IMPOSSIBLE, log_probs)
