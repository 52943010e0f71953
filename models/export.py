"""The served model: one SavedModel from image bytes to caption strings, TensorFlow ops only.

Options of a signature are inputs with one value an image, so that requests with different options share a
batch. They have defaults (`SignatureDef.defaults`): one value, which stands for every image.

Shapes: B images, K captions an image, R regions, D feature width, V vocabulary, L = decode.max_tokens + 1.
"""

import dataclasses
import os
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from models import features as names
from models import preprocessing
from models.captioner import Captioner, token_losses
from models.config import CorpusConfig, DecodeConfig
from models.generation.sampling import Sampling
from models.word_tables import WordTables
from models.writing import Writer

_STRINGS = tf.TensorSpec([None], tf.string)
# What a request may say of how captions are written: names as in `DecodeConfig`.
_OPTIONS = {
    "min_tokens": tf.int32,
    "max_tokens": tf.int32,
    "length_penalty": tf.float32,
    "temperature": tf.float32,
    "top_k": tf.int32,
    "top_p": tf.float32,
    "seed": tf.int64,
}


class ServedCaptioner(tf.Module):
    """A captioner with its image encoder, vocabulary and ways of writing captions.

    Args:
      model: a built captioner.
      encoder: the loaded SavedModel of `models.image_encoder`, the same that made the training features.
      feature_shape: (R, D).
      vocabulary_path: file of the words, one a line.
      corpus: rules of the corpus (which captions count in the eval signature).
      decode: how captions are written, where a request does not say otherwise.

    Attributes:
      functions: name of each signature -> its function.
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
        self._write = lambda: Writer(model, decode)
        self.variables_to_serve = [variable.value for variable in model.variables]
        self.encoder = encoder
        self.words = WordTables(vocabulary_path)
        self._feature_shape = feature_shape
        self._corpus = corpus
        self._decode = decode
        self.functions = self._functions()

    def _functions(self) -> dict[str, Callable[..., dict[str, tf.Tensor]]]:
        """The signatures. A parameter is an input of that name, its default that of the input."""
        given = dataclasses.asdict(self._decode)
        default = {name: tf.constant([given[name]], dtype) for name, dtype in _OPTIONS.items()}

        def caption_images(
            image_bytes,
            min_tokens=default["min_tokens"],
            max_tokens=default["max_tokens"],
            length_penalty=default["length_penalty"],
        ):
            """Image files [B] -> captions by beam search, best first."""
            features, ok = self.encoder.encode(image_bytes)
            return self._searched(features, ok, min_tokens, max_tokens, length_penalty)

        def caption_features(
            features,
            min_tokens=default["min_tokens"],
            max_tokens=default["max_tokens"],
            length_penalty=default["length_penalty"],
        ):
            """Stored features [B] (float16 bytes) -> as `caption_images`."""
            ok = tf.fill([tf.size(features)], True)
            return self._searched(self._decode_features(features), ok, min_tokens, max_tokens, length_penalty)

        def sample_captions(
            image_bytes,
            min_tokens=default["min_tokens"],
            max_tokens=default["max_tokens"],
            temperature=default["temperature"],
            top_k=default["top_k"],
            top_p=default["top_p"],
            seed=default["seed"],
        ):
            """Image files [B] -> K captions drawn at random, in the order drawn."""
            sampling = Sampling(temperature, top_k, top_p)
            return self._sampled(image_bytes, min_tokens, max_tokens, sampling, seed)

        def signature(function, *options: str, inputs: int = 1):
            specs = [tf.TensorSpec([None], _OPTIONS[name]) for name in options]
            # Loops are written as such: AutoGraph would only make tracing slow.
            return tf.function(function, [_STRINGS] * inputs + specs, autograph=False)

        search = ("min_tokens", "max_tokens", "length_penalty")
        functions = {
            names.SERVING_SIGNATURE: signature(caption_images, *search),
            names.FEATURES_SIGNATURE: signature(caption_features, *search),
            names.SAMPLE_SIGNATURE: signature(
                sample_captions, "min_tokens", "max_tokens", "temperature", "top_k", "top_p", "seed"
            ),
            names.GREEDY_SIGNATURE: signature(self._caption_image_greedily),
            names.GREEDY_FEATURES_SIGNATURE: signature(self._caption_features_greedily),
            names.SCORE_SIGNATURE: signature(self._score, inputs=2),
            names.EVAL_SIGNATURE: signature(self._evaluate_examples),
            names.EVAL_IMAGES_SIGNATURE: signature(self._evaluate_images),
        }
        if self._keras().attention(*_nothing(self._feature_shape)) is not None:
            functions[names.ATTENTION_SIGNATURE] = signature(self._attend)
        return functions

    # --- signatures without options ---

    def _caption_image_greedily(self, image_bytes):
        """Image files [B] -> one caption each, by greedy search."""
        features, ok = self.encoder.encode(image_bytes)
        ids, log_probs = self._write().greedy(features)
        return self._answer(ids, log_probs, _status(ok))

    def _caption_features_greedily(self, features):
        """Stored features [B] (float16 bytes) -> one caption each, by greedy search."""
        ids, log_probs = self._write().greedy(self._decode_features(features))
        return self._answer(ids, log_probs, _status(tf.fill([tf.size(features)], True)))

    def _score(self, image_bytes, caption):
        """Image files [B], a caption [B] of each -> how likely the model finds it, and each of its tokens.

        Returns `log_prob` float32 [B], `tokens` string [B, T] (words as the model reads them and STOP, then
        ""), `token_log_probs` float32 [B, T] (0 where there is no token) and `status`; T is one more than
        `corpus.max_tokens`.
        """
        features, ok = self.encoder.encode(image_bytes)
        ids, longest = self.words.ids(caption), self._corpus.max_tokens
        fits = ids.row_lengths() <= longest
        tokens = tf.cast(preprocessing.pad(ids[:, :longest], longest + 2), tf.int32)
        losses, _ = token_losses(self._keras()(features, tokens[:, :-1], training=False), tokens[:, 1:])
        fine = ok & fits
        log_probs = tf.where(fine[:, None], -losses, 0.0)
        return {
            names.LOG_PROB_OUTPUT: tf.reduce_sum(log_probs, axis=1),
            names.TOKEN_LOG_PROBS_OUTPUT: log_probs,
            names.TOKENS_OUTPUT: tf.where(fine[:, None], self.words.words(tokens[:, 1:]), ""),
            names.STATUS_OUTPUT: _status(ok, fits, f"expected a caption of at most {longest} words"),
        }

    def _attend(self, features):
        """Stored features [B] -> the best caption, and where the model looked for each of its words.

        Returns `tokens` string [B, L] (words and STOP, then "") and `attention` float32 [B, L, R], which is 0
        where there is no token, else adds up to 1 over regions; these are row by row as in the features.
        """
        features = self._decode_features(features)
        ids = self._write().beam(features, 1)[0][:, 0]
        start = tf.fill([tf.shape(ids)[0], 1], names.START_ID)
        attention = self._keras().attention(features, tf.concat([start, ids[:, :-1]], axis=1))
        return {
            names.TOKENS_OUTPUT: self.words.words(ids),
            names.ATTENTION_OUTPUT: tf.where((ids != names.MASK_ID)[..., None], attention, 0.0),
        }

    def _evaluate_examples(self, examples):
        """Serialized featurized Examples [B] -> what the Evaluator's metrics read; see `_evaluated`."""
        parsed = _parse(examples, names.IMAGE_FEATURES)
        features = self._decode_features(parsed[names.IMAGE_FEATURES])
        return self._evaluated(features, tf.fill([tf.size(examples)], True), parsed[names.CAPTIONS])

    def _evaluate_images(self, examples):
        """Serialized raw Examples [B] -> the same; no caption and no token of what is no image."""
        parsed = _parse(examples, names.IMAGE_ENCODED)
        features, ok = self.encoder.encode(parsed[names.IMAGE_ENCODED])
        return self._evaluated(features, ok, parsed[names.CAPTIONS])

    # --- their parts ---

    def _evaluated(self, features, ok, captions):
        """Returns `caption` string [B], the best by beam search, and over all tokens of an image's captions
        `token_nll` (nats), `token_correct` and `token_count`, float32 [B].
        """
        ids, _ = self._write().beam(features, 1)
        sums = self._teacher_forced(features, captions, tf.size(ok))
        nll, correct, tokens = (tf.where(ok, values, 0.0) for values in sums)
        return {
            names.CAPTION_OUTPUT: tf.where(ok, self.words.text(ids)[:, 0], ""),
            names.TOKEN_NLL_OUTPUT: nll,
            names.TOKEN_CORRECT_OUTPUT: correct,
            names.TOKEN_COUNT_OUTPUT: tokens,
        }

    def caption_greedily(self, features):
        """Features [B, R, D] -> strings [B]."""
        return self.words.text(self._write().greedy(features)[0])[:, 0]

    def _searched(self, features, ok, min_tokens, max_tokens, length_penalty):
        captions = self._decode.captions
        ids, log_probs = self._write().beam(features, captions, min_tokens, max_tokens, length_penalty)
        right = self._right_lengths(min_tokens, max_tokens) & _in_bounds(length_penalty, length_penalty >= 0)
        expected = f"expected {self._bounds()} and length_penalty >= 0"
        return self._answer(ids, log_probs, _status(ok, right, expected))

    def _sampled(self, image_bytes, min_tokens, max_tokens, sampling, seed):
        features, ok = self.encoder.encode(image_bytes)
        # With the image's hash two images of one seed have nothing in common.
        each = tf.strings.to_hash_bucket_fast(image_bytes, 2**31)
        seeds = tf.stack([tf.broadcast_to(seed, tf.shape(each)), each], axis=1)
        ids, log_probs = self._write().sample(features, min_tokens, max_tokens, sampling, seeds)
        temperature, top_k, top_p = sampling.temperature, sampling.top_k, sampling.top_p
        right = self._right_lengths(min_tokens, max_tokens) & _in_bounds(temperature, temperature > 0)
        right &= (top_k >= 0) & (top_p > 0) & (top_p <= 1)
        expected = f"expected {self._bounds()}, temperature > 0, top_k >= 0 and 0 < top_p <= 1"
        return self._answer(ids, log_probs, _status(ok, right, expected))

    def _right_lengths(self, min_tokens, max_tokens):
        return (min_tokens >= 1) & (min_tokens <= max_tokens) & (max_tokens <= self._decode.max_tokens)

    def _bounds(self) -> str:
        return f"1 <= min_tokens <= max_tokens <= {self._decode.max_tokens}"

    def _decode_features(self, stored):
        flat = tf.io.decode_raw(stored, tf.float16)
        return tf.cast(tf.reshape(flat, [-1, *self._feature_shape]), tf.float32)

    def _answer(self, ids, log_probs, status):
        ok = (status == names.STATUS_OK)[:, None]
        return {
            names.CAPTION_OUTPUT: tf.where(ok, self.words.text(ids), ""),
            names.LOG_PROB_OUTPUT: tf.where(ok, log_probs, 0.0),
            names.STATUS_OUTPUT: status,
        }

    def _teacher_forced(self, features, captions, count):
        ids = self.words.ids(captions.flat_values)
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


def _parse(examples, image: str):
    """Serialized Examples [B] -> their image, a string [B] under the name `image`, and their captions."""
    return tf.io.parse_example(
        examples,
        {image: tf.io.FixedLenFeature([], tf.string), names.CAPTIONS: tf.io.RaggedFeature(tf.string)},
    )


def _in_bounds(value, bound):
    return bound & tf.math.is_finite(value)


def _status(ok, right=True, expected: str = ""):
    """Whether images could be read [B] and options are right [1 or B] -> status [B]."""
    return tf.where(ok, tf.where(right, names.STATUS_OK, expected), names.STATUS_NOT_AN_IMAGE)


def save(served: ServedCaptioner, path: str) -> None:
    """Writes the SavedModel with all its signatures, and the model's weights for a later warm start."""
    tf.saved_model.save(served, path, signatures=dict(served.functions))
    extra = os.path.join(path, "assets.extra")
    tf.io.gfile.makedirs(extra)
    # Keras 3 cannot read a SavedModel back; a later run starts from this file.
    served._keras().save_weights(os.path.join(extra, "captioner.weights.h5"))


def build(model: Captioner, feature_shape: tuple[int, int]) -> None:
    """Creates the variables of `model`, so that it can be loaded, trained or saved."""
    model(*_nothing(feature_shape))


def _nothing(feature_shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Features and tokens of the right shapes."""
    return np.zeros((1, *feature_shape), np.float32), np.zeros((1, 2), np.int32)
