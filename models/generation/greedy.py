"""Greedy search: the likeliest word at every step."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from models.features import MASK_ID, START_ID, STOP_ID
from models.generation.rules import Rules

# (ids int32 [N], index int32 [], state) -> (log-probabilities float32 [N, V], state)
Step = Callable[[tf.Tensor, tf.Tensor, Any], tuple[tf.Tensor, Any]]


def greedy_search(step: Step, state: Any, batch: tf.Tensor, rules: Rules) -> tuple[tf.Tensor, tf.Tensor]:
    """Writes one caption an image.

    Args:
      step: the model.
      state: its first state, every leaf batch-major.
      batch: int32 scalar B.
      rules: which words may follow.

    Returns:
      ids int32 [B, 1, max_tokens + 1] (words, STOP, MASK...) and log-probabilities float32 [B, 1].
    """
    length = rules.max_tokens + 1
    words = tf.TensorArray(tf.int32, length, element_shape=[None]).unstack(tf.fill([length, batch], MASK_ID))

    def going_on(index, ids, done, score, words, state):
        return (index < length) & ~tf.reduce_all(done)

    def body(index, ids, done, score, words, state):
        log_probs, state = step(ids, index, state)
        log_probs = rules.apply(log_probs, ids, index)
        best = tf.argmax(log_probs, axis=-1, output_type=tf.int32)
        gain = tf.gather(log_probs, best, batch_dims=1)
        score += tf.where(done, 0.0, gain)
        best = tf.where(done, MASK_ID, best)
        done |= best == STOP_ID
        return index + 1, best, done, score, words.write(index, best), state

    start = tf.fill([batch], START_ID)
    first = (tf.constant(0), start, tf.fill([batch], False), tf.zeros([batch]), words, state)
    _, _, _, score, words, _ = tf.while_loop(going_on, body, first)
    return tf.transpose(words.stack())[:, None], score[:, None]
