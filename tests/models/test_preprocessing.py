"""Captions to token ids: TensorFlow's rules are Python's, and Transform end to end."""

import pathlib

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from hypothesis import strategies as st

from models import preprocessing, vocabulary
from models.config import CorpusConfig
from models.features import CAPTIONS, IMAGE_FEATURES, IMAGE_ID, MASK_ID, START_ID, STOP_ID, TOKEN_IDS, UNK_ID

# Text as people write it, white space of every kind, and letters whose lower case is longer or depends on
# their place. Scripts younger than the Unicode tables of both libraries are left out, and so is NUL.
LETTERS = st.characters(max_codepoint=0x2FFF, exclude_categories=["Cs", "Cn"], exclude_characters="\0")
SPACES = st.sampled_from(
    " \t\n\v\f\r\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000\u200a\u2028\u2029\u202f\u205f\u3000"
)
CAPTIONS_OF_ANY_KIND = st.text(
    st.one_of(LETTERS, SPACES, st.sampled_from("abcABC\u03a3\u0130ß{}'.,-")), max_size=40
)


@hypothesis.settings(max_examples=300, deadline=None, derandomize=True)
@hypothesis.given(st.lists(CAPTIONS_OF_ANY_KIND, min_size=1, max_size=4))
def test_words_are_those_of_python(captions):
    words = preprocessing.words_of(tf.constant([caption.encode() for caption in captions]))
    found = [[word.decode() for word in row] for row in words.to_list()]
    assert found == [vocabulary.split_words(caption) for caption in captions]


@hypothesis.settings(max_examples=60, deadline=None, derandomize=True)
@hypothesis.given(
    st.lists(st.lists(st.sampled_from(["a", "dog", "rare"]), max_size=6), min_size=1, max_size=5),
    st.booleans(),
    st.integers(1, 5),
)
def test_captions_are_kept_as_in_python(captions, drop, max_tokens):
    corpus = CorpusConfig(max_tokens=max_tokens, drop_captions_with_rare_words=drop)
    eligible = frozenset(["a", "dog"])
    ids = tf.ragged.constant(
        [[5 if word in eligible else UNK_ID for word in words] for words in captions],
        dtype=tf.int64,
        ragged_rank=1,
    )
    expected = [vocabulary.is_kept(words, eligible, corpus) for words in captions]
    assert preprocessing.kept(ids, corpus).numpy().tolist() == expected


def test_padding_frames_a_caption_with_start_and_stop():
    ids = tf.ragged.constant([[5, 6, 7], [8], []], dtype=tf.int64)
    np.testing.assert_array_equal(
        preprocessing.pad(ids, 5),
        [
            [START_ID, 5, 6, 7, STOP_ID],
            [START_ID, 8, STOP_ID, MASK_ID, MASK_ID],
            [START_ID, STOP_ID, MASK_ID, MASK_ID, MASK_ID],
        ],
    )


SPEC = {
    IMAGE_ID: tf.io.FixedLenFeature([], tf.string),
    IMAGE_FEATURES: tf.io.FixedLenFeature([], tf.string),
    CAPTIONS: tf.io.VarLenFeature(tf.string),
}
TRAIN = {
    "1": ["A dog runs", "the dog\nruns .", "a zebra runs"],
    "2": ["A\u00a0dog .", "one two three four five six"],
    "3": ["zebra"],
    "4": ["runs runs"],
}


def transform(rows: dict[str, list[str]], corpus: CorpusConfig, folder: pathlib.Path):
    """Transform over `rows`: its output folder, and image id -> token ids."""
    raw = [
        {IMAGE_ID: image.encode(), IMAGE_FEATURES: b"features", CAPTIONS: [c.encode() for c in captions]}
        for image, captions in rows.items()
    ]
    metadata = tft.DatasetMetadata.from_feature_spec(SPEC)
    with tft_beam.Context(temp_dir=str(folder / "temp")):
        (data, _), function = (raw, metadata) | tft_beam.AnalyzeAndTransformDataset(
            lambda inputs: preprocessing.preprocessing_fn(inputs, {"corpus": corpus.to_json()})
        )
        _ = function | tft_beam.WriteTransformFn(str(folder / "output"))
    output = tft.TFTransformOutput(str(folder / "output"))
    tokens = {row[IMAGE_ID].decode(): np.reshape(row[TOKEN_IDS], (-1, corpus.caption_length)) for row in data}
    return output, tokens


@pytest.fixture(scope="module")
def transformed(tmp_path_factory):
    corpus = CorpusConfig(min_images=2, word_vectors="none", max_tokens=5)
    return transform(TRAIN, corpus, tmp_path_factory.mktemp("transform"))


def test_transform_writes_the_vocabulary_of_the_rules(transformed):
    output, _ = transformed
    path = output.vocabulary_file_by_name(preprocessing.VOCABULARY_NAME)
    corpus = CorpusConfig(min_images=2, word_vectors="none", max_tokens=5)
    images = [(image, [c.lower().split() for c in captions]) for image, captions in TRAIN.items()]
    # "the" is in one image, "zebra" in two; a line break and a no-break space are white space.
    words = pathlib.Path(path).read_text(encoding="utf-8").splitlines()
    assert words == vocabulary.build(images, corpus)
    assert words[5:] == ["a", ".", "runs", "dog", "zebra"]


def test_transform_writes_the_ids_of_the_captions_kept(transformed):
    _, tokens = transformed
    a, dot, runs, dog, zebra = range(5, 10)
    assert tokens["1"].tolist() == [
        [START_ID, a, dog, runs, STOP_ID, MASK_ID, MASK_ID],
        # "the dog runs ." has a rare word
        [START_ID, a, zebra, runs, STOP_ID, MASK_ID, MASK_ID],
    ]
    assert tokens["2"].tolist() == [
        [START_ID, a, dog, dot, STOP_ID, MASK_ID, MASK_ID]
    ]  # the other is too long
    assert tokens["3"].tolist() == [[START_ID, zebra, STOP_ID, *[MASK_ID] * 4]]
    assert tokens["4"].tolist() == [[START_ID, runs, runs, STOP_ID, *[MASK_ID] * 3]]


def test_the_saved_transform_drops_what_the_training_split_did_not_have(transformed):
    output, _ = transformed
    layer = output.transform_features_layer()
    row = {
        IMAGE_ID: tf.constant(["9"]),
        IMAGE_FEATURES: tf.constant([b"other"]),
        CAPTIONS: tf.sparse.from_dense([["a cow runs", "Dog runs", ""]]),
    }
    result = layer(row)
    assert tf.sparse.to_dense(result[TOKEN_IDS]).numpy().tolist() == [[START_ID, 8, 7, STOP_ID, 0, 0, 0]]
    assert result[IMAGE_FEATURES].numpy().tolist() == [b"other"]
