"""What all signatures of the served model are made of.

Shapes: B images, K captions an image, R regions, D feature width, L = decode.max_tokens + 1.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from models import features as names
from models import image_header
from models.captioner import Captioner
from models.config import CorpusConfig, DecodeConfig
from models.word_tables import WordTables
from models.writing import Writer

Signature = Callable[..., dict[str, tf.Tensor]]
STRINGS = tf.TensorSpec([None], tf.string)


@dataclasses.dataclass(frozen=True)
class Parts:
    """A captioner and what turns images into its features and its ids into words.

    Attributes:
      model: a built captioner.
      encoder: see `models.image_encoder`.
      feature_shape: (R, D).
      words: the vocabulary.
      corpus, decode: settings.
    """

    model: Captioner
    encoder: Any
    feature_shape: tuple[int, int]
    words: WordTables
    corpus: CorpusConfig
    decode: DecodeConfig

    @functools.cached_property
    def writer(self) -> Writer:
        """Writes captions as `decode` says."""
        return Writer(self.model, self.decode)

    def encode(self, image_bytes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Image files [B] -> features float32 [B, R, D], status [B]."""
        features, ok = self.encoder.encode(image_bytes)

        def reasons() -> tf.Tensor:
            large = image_header.still(image_bytes)[1] > image_header.MAX_PIXELS
            bad = tf.where(large, names.STATUS_TOO_LARGE, names.STATUS_NOT_AN_IMAGE)
            return tf.where(ok, names.STATUS_OK, bad)

        fine = tf.fill(tf.shape(ok), names.STATUS_OK)
        return features, tf.cond(tf.reduce_all(ok), lambda: fine, reasons)

    def stored(self, features: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Stored features [B] (float16 bytes) -> features float32 [B, R, D], status [B]."""
        flat = tf.io.decode_raw(features, tf.float16)
        decoded = tf.cast(tf.reshape(flat, [-1, *self.feature_shape]), tf.float32)
        return decoded, tf.fill([tf.size(features)], names.STATUS_OK)

    def answer(
        self, ids: tf.Tensor, log_probs: tf.Tensor, status: tf.Tensor, count: tf.Tensor | None = None
    ) -> dict[str, tf.Tensor]:
        """Outputs of a signature that writes captions.

        Args:
          ids: int32 [B, K, L]; MASK alone where fewer than K were found.
          log_probs: float32 [B, K].
          status: [B]; an image whose status is not ok gets none.
          count: int32 [B], captions that the image asks for; None for K.
        """
        given = (status == names.STATUS_OK)[:, None] & (ids[..., 0] != names.MASK_ID)
        if count is not None:
            given &= tf.range(tf.shape(ids)[1]) < count[:, None]
        return {
            names.CAPTION_OUTPUT: tf.where(given, self.words.text(ids), ""),
            names.LOG_PROB_OUTPUT: tf.where(given, log_probs, 0.0),
            names.STATUS_OUTPUT: status,
        }


def refused(status: tf.Tensor, right: tf.Tensor, expected: str) -> tf.Tensor:
    """Status [B] -> the same, but `expected` for a good image with something else that is not right [B]."""
    return tf.where((status == names.STATUS_OK) & ~right, expected, status)


def signature(function: Signature, *inputs: tf.TensorSpec) -> Signature:
    """A function whose parameters are the inputs; as many as are not given are strings [B]."""
    # Loops are written as such: AutoGraph would only make tracing slow.
    return tf.function(function, inputs or [STRINGS], autograph=False)
