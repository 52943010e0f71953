"""Beam search with length normalisation.

Shapes: B images, K beams an image, V vocabulary, L = max_tokens + 1 (words and STOP).
"""

from typing import Any, NamedTuple

import tensorflow as tf

from models.features import MASK_ID, START_ID, STOP_ID
from models.generation.greedy import Step
from models.generation.rules import IMPOSSIBLE, Rules


class _Loop(NamedTuple):
    """The state of the loop.

    Attributes:
      index: int32 [], words written so far.
      alive: int32 [B, K, L], unfinished captions.
      alive_scores: float32 [B, K], their log-probabilities; below IMPOSSIBLE for a place that is empty.
      finished: int32 [B, K, L], captions that ended with STOP.
      finished_scores: float32 [B, K], length-normalised, falling; IMPOSSIBLE where there is none yet.
      finished_log_probs: float32 [B, K].
      state: the model's, leaves [B * K, ...].
    """

    index: tf.Tensor
    alive: tf.Tensor
    alive_scores: tf.Tensor
    finished: tf.Tensor
    finished_scores: tf.Tensor
    finished_log_probs: tf.Tensor
    state: Any


def beam_search(
    step: Step, state: Any, batch: tf.Tensor, width: int, length_penalty: float, rules: Rules
) -> tuple[tf.Tensor, tf.Tensor]:
    """Writes the `width` best captions an image.

    STOP competes with the words: a caption that ends is one of the K and leaves its place empty, so a beam
    of one is greedy search. It is kept by log-probability / length ** length_penalty, STOP counted. The
    search ends when no unfinished caption can still become better than the finished ones.

    Args:
      step: the model, on N = B * K rows.
      state: its first state for B rows, every leaf batch-major.
      batch: int32 scalar B.
      width: K.
      length_penalty: exponent; 0 compares log-probabilities.
      rules: which words may follow.

    Returns:
      ids int32 [B, K, L] (words, STOP, MASK...), best first, and log-probabilities float32 [B, K].
    """
    length = rules.max_tokens + 1

    def normalised(log_probs: tf.Tensor, words: tf.Tensor) -> tf.Tensor:
        return log_probs / tf.cast(words, tf.float32) ** length_penalty

    def rows(indices: tf.Tensor) -> tf.Tensor:
        """Beam numbers [B, K] -> rows of the model's batch [B * K]."""
        return tf.reshape(indices + tf.range(batch)[:, None] * width, [-1])

    def going_on(loop: _Loop) -> tf.Tensor:
        # Log-probabilities only fall, so the longest length bounds what an unfinished caption can reach.
        best_possible = normalised(tf.reduce_max(loop.alive_scores, axis=1), tf.constant(length))
        worst_finished = loop.finished_scores[:, -1]
        return (loop.index < length) & tf.reduce_any(best_possible > worst_finished)

    def body(loop: _Loop) -> tuple[_Loop]:
        index = loop.index
        previous = tf.cond(
            index > 0,
            lambda: tf.gather(loop.alive, index - 1, axis=2),
            lambda: tf.fill([batch, width], START_ID),
        )
        previous = tf.reshape(previous, [-1])
        log_probs, state = step(previous, index, loop.state)
        log_probs = rules.apply(log_probs, previous, index)
        vocabulary = tf.shape(log_probs)[-1]
        scores = loop.alive_scores[..., None] + tf.reshape(log_probs, [batch, width, vocabulary])

        scores, best = tf.math.top_k(tf.reshape(scores, [batch, width * vocabulary]), width)
        beams, ids = best // vocabulary, best % vocabulary
        captions = tf.gather(loop.alive, beams, batch_dims=1)
        captions = tf.transpose(
            tf.tensor_scatter_nd_update(tf.transpose(captions, [2, 0, 1]), [[index]], ids[None]), [1, 2, 0]
        )

        # Those that end move to the finished ones, if they are among their best, and their place stays empty.
        ended = ids == STOP_ID
        ended_scores = tf.where(ended & (scores > IMPOSSIBLE / 2), normalised(scores, index + 1), IMPOSSIBLE)
        finished_scores, best = tf.math.top_k(tf.concat([loop.finished_scores, ended_scores], 1), width)
        finished = tf.gather(tf.concat([loop.finished, captions], 1), best, batch_dims=1)
        log_probs = tf.gather(tf.concat([loop.finished_log_probs, scores], 1), best, batch_dims=1)

        alive_scores = tf.where(ended, 2 * IMPOSSIBLE, scores)
        order = rows(beams)
        state = tf.nest.map_structure(lambda leaf: tf.gather(leaf, order), state)
        return (_Loop(index + 1, captions, alive_scores, finished, finished_scores, log_probs, state),)

    blank = tf.fill([batch, width, length], MASK_ID)
    # All beams start alike: only the first may go on, or the beam would hold K copies of one caption.
    first_scores = tf.where(tf.range(width) > 0, IMPOSSIBLE, 0.0) + tf.zeros([batch, 1])
    none = tf.fill([batch, width], IMPOSSIBLE)
    loop = _Loop(
        index=tf.constant(0),
        alive=blank,
        alive_scores=first_scores,
        finished=blank,
        finished_scores=none,
        finished_log_probs=none,
        state=tf.nest.map_structure(lambda leaf: tf.repeat(leaf, width, axis=0), state),
    )
    (loop,) = tf.while_loop(going_on, body, (loop,))
    return loop.finished, loop.finished_log_probs
