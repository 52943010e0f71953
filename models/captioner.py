"""The captioner: image projection + word representations + decoder, and its loss.

Shapes: B batch, T tokens, R image regions, D feature width, V vocabulary, H decoder width.
"""

import math

import keras
import numpy as np
from keras import ops

from models.config import ModelConfig
from models.decoders import DECODERS
from models.decoders.base import DecoderState
from models.features import MASK_ID
from models.representations import REPRESENTATIONS
from models.representations.base import WordTable


class ImageProjection(keras.layers.Layer):
    """Features `[B, R, D]` -> `[B, R, width]`: standardized, projected, with a learned place a region.

    With a width of 0 they are only standardized. With `mirror`, half of the images are seen mirrored in
    training: their grid of regions from right to left.

    The statistics come from the training images by `adapt`. They matter most for an encoder with random
    weights, whose channels differ little between images compared with their means; in half precision these
    differences would be rounded away, so features come in as they are and are standardized in float32.
    """

    def __init__(self, width: int, dropout: float, mirror: bool = False, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self._mirror = keras.random.SeedGenerator() if mirror else None
        self.project = keras.layers.Dense(width, activation="relu") if width else None
        self.dropout = keras.layers.Dropout(dropout)

    def build(self, input_shape):
        _, regions, width = input_shape
        side = math.isqrt(regions)
        if self._mirror and (side < 2 or side**2 != regions):
            raise ValueError(
                f"model.mirror_regions needs a square grid of regions, got {regions}; set "
                "encoder.pooling=grid, or model.mirror_regions=false"
            )
        self._mirrored = np.arange(side**2).reshape(side, side)[:, ::-1].reshape(-1)
        # `autocast=False` of the layer is for its input, that of a weight for the weight.
        fixed = {"shape": (width,), "trainable": False, "autocast": False}
        self.mean = self.add_weight(name="mean", initializer="zeros", **fixed)
        self.scale = self.add_weight(name="scale", initializer="ones", **fixed)
        if not self.project:
            return
        self.project.build(input_shape)
        if regions > 1:
            self.places = self.add_weight(
                name="places",
                shape=(regions, self.project.units),
                initializer=keras.initializers.RandomNormal(stddev=0.5),
            )

    def adapt(self, features: np.ndarray) -> None:
        """Sets the statistics from training features `[N, R, D]`."""
        width = features.shape[-1]
        total, squares, count = np.zeros(width), np.zeros(width), 0
        for start in range(0, len(features), 1024):  # in parts: a float64 copy of everything is large
            part = features[start : start + 1024].reshape(-1, width).astype(np.float64)
            total += part.sum(0)
            squares += (part**2).sum(0)
            count += len(part)
        mean = total / count
        deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
        self.mean.assign(mean)
        # A channel that never changes says nothing; scaled up it would only be rounding noise.
        self.scale.assign(np.where(deviation > 1e-4, 1 / np.maximum(deviation, 1e-4), 0))

    def call(self, features, training=False):
        features = ops.cast(features, "float32")
        if self._mirror and training:
            chance = keras.random.uniform((ops.shape(features)[0], 1, 1), seed=self._mirror)
            features = ops.where(chance < 0.5, ops.take(features, self._mirrored, axis=1), features)
        standard = ops.cast((features - self.mean) * self.scale, self.compute_dtype)
        standard = self.dropout(standard, training=training)
        if not self.project:
            return standard
        projected = self.project(standard)
        return projected + ops.cast(self.places, projected.dtype) if features.shape[1] > 1 else projected


class Captioner(keras.Model):
    """Logits of the next word, for all positions at once or step by step."""

    def __init__(self, config: ModelConfig, words: WordTable, **kwargs):
        super().__init__(autocast=False, **kwargs)  # features stay whole: see ImageProjection
        shape = config.resolve()
        self.words = words
        self.image_projection = ImageProjection(shape.image_width, shape.dropout, shape.mirror_regions)
        self.embed = REPRESENTATIONS[shape.input_representation].input(words, shape.embedding_width)
        self.dropout = keras.layers.Dropout(shape.dropout)
        self.decoder = DECODERS[shape.decoder](shape)
        # Logits in float32: the softmax over thousands of words is where half precision hurts.
        self.to_logits = REPRESENTATIONS[shape.output_representation].output(words, dtype="float32")

    def build(self, input_shape):
        """Nothing: each part is built as it is first called. Keras would trace the whole call before it."""

    def call(self, features, tokens, training=False):
        """Features `[B, R, D]`, tokens `[B, T]` -> logits `[B, T, V]`; logits at t predict token t + 1."""
        image = self.image_projection(features, training=training)
        embedded = self.dropout(self.embed(tokens), training=training)
        hidden = self.decoder(embedded, image, training=training, present=ops.not_equal(tokens, MASK_ID))
        return self.to_logits(self.dropout(hidden, training=training))

    def attention(self, features, tokens):
        """How much each of tokens `[B, T]` looks at each region, `[B, T, R]`; None without attention."""
        return self.decoder.attention(self.embed(tokens), self.image_projection(features))

    def init_state(self, features, max_length: int) -> DecoderState:
        """Features `[B, R, D]` -> the decoder's state before the start token."""
        return self.decoder.init_state(self.image_projection(features), max_length)

    def step(self, tokens, index, state: DecoderState):
        """Tokens `[N]` at position `index` -> (log-probabilities `[N, V]`, next state)."""
        hidden, state = self.decoder.step(self.embed(tokens), index, state)
        return ops.log_softmax(self.to_logits(hidden), axis=-1), state


def token_losses(logits, targets, label_smoothing: float = 0.0):
    """Cross-entropy in nats of each token and where tokens are, `[B, T]` each (0 where MASK).

    Smoothing gives `label_smoothing` of the probability to all words alike (Szegedy et al. 2016).
    """
    log_probs = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
    present = ops.cast(ops.not_equal(targets, MASK_ID), "float32")
    losses = -ops.take_along_axis(log_probs, targets[..., None], axis=-1)[..., 0]
    if label_smoothing:
        # Words that cannot be written have log-probability -1e7: they would swamp the mean.
        uniform = -ops.mean(ops.maximum(log_probs, -50.0), axis=-1)
        losses = (1 - label_smoothing) * losses + label_smoothing * uniform
    return losses * present, present
