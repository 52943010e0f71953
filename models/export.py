"""The served model: one SavedModel from image bytes to caption strings, TensorFlow ops only.

Shapes: B images, K captions an image, R regions, D feature width, V vocabulary.
"""

import os

import numpy as np
import tensorflow as tf

from models import features as names
from models import preprocessing
from models.captioner import Captioner, token_losses
from models.config import CorpusConfig, DecodeConfig
from models.generation.beam import beam_search
from models.generation.greedy import greedy_search
from models.generation.rules import Rules


class ServedCaptioner(tf.Module):
    """A captioner with its image encoder, vocabulary and caption search.

    Args:
      model: a built captioner.
      encoder: the loaded SavedModel of `models.image_encoder`, the same that made the training features.
      feature_shape: (R, D).
      vocabulary_path: file of the words, one a line.
      corpus: rules of the corpus (which captions count in the eval signature).
      decode: how captions are searched.
    """

    def __init__(
        self,
        model: Captioner,
        encoder: tf.Module,
        feature_shape: tuple[int, int],
        vocabulary_path: str,
        corpus: CorpusConfig,
        decode: DecodeConfig,
    ):
        super().__init__(name="captioner")
        # The raw variables are held and the Keras model is hidden in a closure: saved through Keras's
        # objects, the variables are written twice and TensorFlow's C++ loader does not find them.
        self._keras = lambda: model
        self.variables_to_serve = [variable.value for variable in model.variables]
        self.encoder = encoder
        self._feature_shape = feature_shape
        self._corpus = corpus
        self._decode = decode
        self._rules = Rules(decode.max_tokens)
        self.vocabulary_file = tf.saved_model.Asset(vocabulary_path)
        text, number = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
        path = self.vocabulary_file.asset_path
        self.ids = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(path, tf.string, text, tf.int64, number), names.UNK_ID
        )
        self.words = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(path, tf.int64, number, tf.string, text), names.UNK
        )

    # --- signatures ---

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, names.IMAGE_BYTES_INPUT)])
    def caption_images(self, image_bytes):
        """Image files [B] -> captions by beam search, best first."""
        features, ok = self.encoder.encode(image_bytes)
        ids, log_probs = self._beam(features)
        return self._answer(ids, log_probs, ok)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, names.IMAGE_BYTES_INPUT)])
    def caption_images_greedily(self, image_bytes):
        """Image files [B] -> one caption each, by greedy search."""
        features, ok = self.encoder.encode(image_bytes)
        ids, log_probs = self._greedy(features)
        return self._answer(ids, log_probs, ok)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "features")])
    def caption_features(self, features):
        """Stored features [B] (float16 bytes) -> captions by beam search, best first."""
        ids, log_probs = self._beam(self._decode_features(features))
        return self._answer(ids, log_probs, tf.fill([tf.size(features)], True))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
    def evaluate_examples(self, examples):
        """Serialized featurized Examples [B] -> what the Evaluator's metrics read.

        Returns `caption` string [B], the best by beam search, and over all tokens of an image's captions
        `token_nll` (nats), `token_correct` and `token_count`, float32 [B].
        """
        parsed = tf.io.parse_example(
            examples,
            {
                names.IMAGE_FEATURES: tf.io.FixedLenFeature([], tf.string),
                names.CAPTIONS: tf.io.RaggedFeature(tf.string),
            },
        )
        features = self._decode_features(parsed[names.IMAGE_FEATURES])
        ids, _ = self._beam(features)
        count = tf.size(examples)
        nll, correct, tokens = self._teacher_forced(features, parsed[names.CAPTIONS], count)
        return {
            names.CAPTION_OUTPUT: self._to_text(ids)[:, 0],
            "token_nll": nll,
            "token_correct": correct,
            "token_count": tokens,
        }

    # --- their parts ---

    def caption_greedily(self, features):
        """Features [B, R, D] -> strings [B]."""
        return self._to_text(self._greedy(features)[0])[:, 0]

    def _greedy(self, features):
        state = self._keras().init_state(features, self._rules.max_tokens + 1)
        return greedy_search(self._keras().step, state, tf.shape(features)[0], self._rules)

    def _beam(self, features):
        state = self._keras().init_state(features, self._decode.max_tokens + 1)
        ids, log_probs = beam_search(
            self._keras().step,
            state,
            tf.shape(features)[0],
            self._decode.beam_width,
            self._decode.length_penalty,
            self._rules,
        )
        kept = self._decode.captions
        return ids[:, :kept], log_probs[:, :kept]

    def _decode_features(self, stored):
        flat = tf.io.decode_raw(stored, tf.float16)
        return tf.cast(tf.reshape(flat, [-1, *self._feature_shape]), tf.float32)

    def _to_text(self, ids):
        """ids [..., L] -> strings [...]."""
        is_word = (ids != names.MASK_ID) & (ids != names.STOP_ID)
        words = tf.where(is_word, self.words.lookup(tf.cast(ids, tf.int64)), "")
        return tf.strings.strip(tf.strings.reduce_join(words, axis=-1, separator=" "))

    def _answer(self, ids, log_probs, ok):
        return {
            names.CAPTION_OUTPUT: tf.where(ok[:, None], self._to_text(ids), ""),
            names.LOG_PROB_OUTPUT: tf.where(ok[:, None], log_probs, 0.0),
            names.STATUS_OUTPUT: tf.where(ok, names.STATUS_OK, names.STATUS_NOT_AN_IMAGE),
        }

    def _teacher_forced(self, features, captions, count):
        words = preprocessing.words_of(captions.flat_values)
        ids = words.with_values(self.ids.lookup(words.values))
        keep = preprocessing.kept(ids, self._corpus)
        tokens = preprocessing.pad(ids[:, : self._corpus.max_tokens], self._corpus.caption_length)
        tokens = tf.cast(tf.boolean_mask(tokens, keep), tf.int32)
        rows = tf.boolean_mask(captions.value_rowids(), keep)
        logits = self._keras()(tf.gather(features, rows), tokens[:, :-1], training=False)
        targets = tokens[:, 1:]
        losses, present = token_losses(logits, targets)
        right = tf.cast(tf.argmax(logits, axis=-1, output_type=tf.int32) == targets, tf.float32)

        def per_image(values):
            return tf.math.unsorted_segment_sum(tf.reduce_sum(values, axis=1), rows, count)

        return per_image(losses), per_image(right * present), per_image(present)


def save(served: ServedCaptioner, path: str) -> None:
    """Writes the SavedModel with all its signatures, and the model's weights for a later warm start."""
    signatures = {
        names.SERVING_SIGNATURE: served.caption_images,
        names.GREEDY_SIGNATURE: served.caption_images_greedily,
        names.FEATURES_SIGNATURE: served.caption_features,
        names.EVAL_SIGNATURE: served.evaluate_examples,
    }
    tf.saved_model.save(served, path, signatures=signatures)
    extra = os.path.join(path, "assets.extra")
    tf.io.gfile.makedirs(extra)
    # Keras 3 cannot read a SavedModel back; a later run starts from this file.
    served._keras().save_weights(os.path.join(extra, "captioner.weights.h5"))


def build(model: Captioner, feature_shape: tuple[int, int]) -> None:
    """Creates the variables of `model`, so that it can be loaded, trained or saved."""
    model(np.zeros((1, *feature_shape), np.float32), np.zeros((1, 2), np.int32))
