"""TensorFlow Transform: captions -> token ids over the vocabulary of the training split."""

from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from models import vocabulary
from models.config import CorpusConfig
from models.features import (
    CAPTIONS,
    IMAGE_FEATURES,
    IMAGE_ID,
    MASK,
    MASK_ID,
    START_ID,
    STOP_ID,
    TOKEN_IDS,
    UNK_ID,
)

VOCABULARY_NAME = "vocabulary"

# What Python's str.split() splits at; tf.strings.split knows only ASCII's part of it.
_WHITE_SPACE = (
    r"[\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]"
)


def words_of(captions: tf.Tensor) -> tf.RaggedTensor:
    """string [N] -> ragged string [N, words]: lower case, split at white space."""
    spaced = tf.strings.regex_replace(captions, _WHITE_SPACE, " ")
    return tf.strings.split(tf.strings.lower(spaced, encoding="utf-8"))


def pad(ids: tf.RaggedTensor, length: int) -> tf.Tensor:
    """Ragged ids [N, words] of at most `length - 2` words -> int64 [N, length]: START words STOP MASK..."""
    rows = ids.nrows()
    edge = tf.ones([rows, 1], tf.int64)
    framed = tf.concat([START_ID * edge, ids, STOP_ID * edge], axis=1)
    return framed.to_tensor(default_value=MASK_ID, shape=[None, length])


def kept(ids: tf.RaggedTensor, corpus: CorpusConfig) -> tf.Tensor:
    """Which captions are learned from, bool [N]; `models.vocabulary.is_kept` in TensorFlow."""
    lengths = ids.row_lengths()
    fits = (lengths > 0) & (lengths <= corpus.max_tokens)
    if corpus.drop_captions_with_rare_words:
        fits &= ~tf.reduce_any(ids == UNK_ID, axis=1)
    return fits


def preprocessing_fn(inputs: dict[str, Any], custom_config: dict[str, Any]) -> dict[str, Any]:
    """Called by the Transform component.

    `custom_config` has `corpus`, a CorpusConfig as JSON, and `vocabulary`, the path of the vocabulary file of
    the model in service, empty where there is none.
    """
    corpus = CorpusConfig.from_json(custom_config["corpus"])
    known = vocabulary.known_words(custom_config.get("vocabulary", ""), corpus)
    captions = tf.RaggedTensor.from_sparse(inputs[CAPTIONS])
    image_id = tf.reshape(inputs[IMAGE_ID], [-1])
    words = words_of(captions.flat_values)
    # The vocabulary counts the very words that are looked up in it, whatever a caption holds.
    lines = captions.with_flat_values(tf.strings.reduce_join(words, axis=1, separator=" "))

    (path,) = tft.experimental.ptransform_analyzer(
        [image_id, tf.strings.reduce_join(lines, axis=1, separator="\n")],
        vocabulary.BuildVocabulary(corpus, known),
        output_dtypes=[tf.string],
        output_shapes=[[]],
        # What the file holds while the graph is traced; a lookup table refuses an empty one.
        output_asset_default_values=[MASK.encode()],
        name=VOCABULARY_NAME,
    )
    ids = words.with_values(tft.apply_vocabulary(words.values, path, default_value=UNK_ID))
    keep = kept(ids, corpus)
    tokens = tf.RaggedTensor.from_value_rowids(
        tf.boolean_mask(pad(ids[:, : corpus.max_tokens], corpus.caption_length), keep),
        tf.boolean_mask(captions.value_rowids(), keep),
        nrows=captions.nrows(),
    )
    return {
        IMAGE_ID: inputs[IMAGE_ID],
        IMAGE_FEATURES: inputs[IMAGE_FEATURES],
        TOKEN_IDS: tokens.merge_dims(1, 2).to_sparse(),
    }
