"""Warm start: what a new captioner takes over from the one in service, and when it takes nothing."""

import pathlib

import keras
import numpy as np
import pytest

from models import encoder_identity, warm_start
from models.captioner import Captioner
from models.config import ModelConfig
from models.features import ACTION_WORDS, VOCABULARY_FILE
from models.representations.base import WordTable
from tests.models.conftest import BASE_SIZE, FEATURE_WIDTH, WORDS, randomise

GROWN = (*WORDS, "bird", "wolf")
REBUILT = (*ACTION_WORDS, "the", "a", "wolf", "dog", "bird")  # two ids moved, cat forgotten
VECTORS = {word: row for word, row in zip(GROWN, np.random.default_rng(3).normal(size=(20, 6)), strict=False)}
TINY = ModelConfig(width=9, embedding_width=6, image_width=7, feed_forward=11, heads=3)


def make(config: ModelConfig, words: tuple[str, ...], seed: int, vectors: bool = True):
    """A captioner with random weights, and its shapes."""
    keras.utils.set_random_seed(seed)
    rows = np.array([VECTORS[word] for word in words], np.float32) if vectors else None
    table = WordTable(
        len(words), BASE_SIZE, rows, config.train_vectors, config.error_correction, config.hybrid_rest
    )
    shapes = warm_start.Shapes.of(config, (1, FEATURE_WIDTH), table)
    model = Captioner(config, table)
    model(np.zeros((1, 1, FEATURE_WIDTH), np.float32), np.zeros((1, 2), np.int32))
    randomise(model, seed)
    return model, shapes


def put_in_service(model: Captioner, shapes: warm_start.Shapes, words: tuple[str, ...], folder: pathlib.Path):
    """What there is of a SavedModel's folder for a warm start."""
    vocabulary = folder / VOCABULARY_FILE
    vocabulary.parent.mkdir(parents=True)
    vocabulary.write_text("".join(f"{word}\n" for word in words), encoding="utf-8")
    warm_start.write(model, shapes, str(folder))
    encoder_identity.write(str(folder), "the encoder")


def logits(model: Captioner) -> np.ndarray:
    """For two images and a caption of words that all of the vocabularies have."""
    features = np.random.default_rng(0).normal(size=(2, 1, FEATURE_WIDTH)).astype(np.float32)
    return np.array(model(features, np.array([[2, 3], [2, 4]])))


REPRESENTATIONS = ("one_hot", "vector", "binary_code", "hybrid")
# Each way in and each way out twice: what one of them keeps does not depend on the other.
WAYS = [
    (enters, REPRESENTATIONS[(place + step) % len(REPRESENTATIONS)])
    for place, enters in enumerate(REPRESENTATIONS)
    for step in (0, 1)
]
PAIRS = [("gru", *ways) for ways in WAYS]
PAIRS += [(decoder, "hybrid", "one_hot") for decoder in ("dilated_cnn", "gated_cnn", "transformer")]


@pytest.mark.parametrize(("decoder", "enters", "leaves"), PAIRS)
def test_with_the_same_words_it_is_the_same_captioner(decoder, enters, leaves, tmp_path):
    config = TINY.replace(decoder=decoder, input_representation=enters, output_representation=leaves)
    old, shapes = make(config, WORDS, seed=1)
    put_in_service(old, shapes, WORDS, tmp_path)
    new, _ = make(config, WORDS, seed=2)
    assert not np.allclose(logits(new), logits(old))
    sentence = warm_start.begin(new, shapes, WORDS, str(tmp_path), "the encoder")
    assert f"{len(WORDS)} of {len(WORDS)} words are known" in sentence
    np.testing.assert_allclose(logits(new), logits(old), rtol=1e-5)


@pytest.mark.parametrize(("enters", "leaves"), WAYS)
def test_a_grown_vocabulary_keeps_what_was_learned_of_each_word(enters, leaves, tmp_path):
    """Between two old words, the new model decides as the old one: their logits differ by as much."""
    config = TINY.replace(input_representation=enters, output_representation=leaves)
    old, shapes = make(config, WORDS, seed=1)
    put_in_service(old, shapes, WORDS, tmp_path)
    new, new_shapes = make(config, GROWN, seed=2)
    sentence = warm_start.begin(new, new_shapes, GROWN, str(tmp_path), "the encoder")
    assert "9 of 11 words are known" in sentence
    assert "learned anew" not in sentence
    before, after = logits(old), logits(new)[..., : len(WORDS)]
    others = [WORDS.index(word) for word in ("cat", "dog")]
    difference = [found[..., others[0]] - found[..., others[1]] for found in (before, after)]
    np.testing.assert_allclose(difference[1], difference[0], rtol=1e-4, atol=1e-5)


def test_words_are_found_again_under_other_ids(tmp_path):
    config = TINY.replace(input_representation="one_hot", output_representation="one_hot")
    old, shapes = make(config, WORDS, seed=1)
    put_in_service(old, shapes, WORDS, tmp_path)
    new, new_shapes = make(config, REBUILT, seed=2)
    fresh = np.array(new.embed(np.array([REBUILT.index("wolf")])))
    sentence = warm_start.begin(new, new_shapes, REBUILT, str(tmp_path), "the encoder")
    assert "8 of 10 words are known" in sentence
    for word in ("a", "the", "dog"):
        learned = [np.array(m.embed(np.array([w.index(word)]))) for m, w in ((old, WORDS), (new, REBUILT))]
        np.testing.assert_array_equal(*learned)
    np.testing.assert_array_equal(np.array(new.embed(np.array([REBUILT.index("wolf")]))), fresh)
    kernels = [m.to_logits.project.kernel.numpy() for m in (old, new)]
    np.testing.assert_array_equal(kernels[1][:, REBUILT.index("the")], kernels[0][:, WORDS.index("the")])


def test_a_width_that_happens_to_be_the_number_of_words_is_no_row_of_words(tmp_path):
    config = TINY.replace(
        width=len(WORDS), heads=1, embedding_width=len(WORDS), input_representation="one_hot"
    )
    old, shapes = make(config, WORDS, seed=1)
    put_in_service(old, shapes, WORDS, tmp_path)
    swapped = (*WORDS[:-2], WORDS[-1], WORDS[-2])
    new, _ = make(config, swapped, seed=2)
    warm_start.begin(new, shapes, swapped, str(tmp_path), "the encoder")
    places = [swapped.index(word) for word in WORDS]
    kernels = [m.to_logits.project.kernel.numpy() for m in (old, new)]
    np.testing.assert_array_equal(kernels[1][:, places], kernels[0], "columns move, rows do not")
    tables = [m.embed.embedding.embeddings.numpy() for m in (old, new)]
    np.testing.assert_array_equal(tables[1][places], tables[0])


def test_bits_of_a_code_that_has_grown_are_learned_anew(tmp_path):
    many = tuple(f"word{number}" for number in range(40))
    config = TINY.replace(output_representation="binary_code", error_correction="copies")
    old, shapes = make(config, WORDS, seed=1, vectors=False)
    put_in_service(old, shapes, WORDS, tmp_path)
    new, new_shapes = make(config, WORDS + many, seed=2, vectors=False)
    before = new.to_logits.bits.kernel.numpy()
    sentence = warm_start.begin(new, new_shapes, WORDS + many, str(tmp_path), "the encoder")
    assert "another shape, so learned anew: " in sentence
    np.testing.assert_array_equal(new.to_logits.bits.kernel.numpy(), before)
    np.testing.assert_array_equal(
        new.image_projection.mean.numpy(), old.image_projection.mean.numpy(), "the statistics it learned with"
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"width": 12}, r"the model has changed: model\.width 9 -> 12"),
        ({"decoder": "transformer"}, r"model\.decoder gru -> transformer"),
        ({"output_representation": "vector"}, r"model\.output_representation one_hot -> vector"),
    ],
)
def test_another_model_starts_cold_and_says_what_has_changed(change, reason, tmp_path):
    old, shapes = make(TINY, WORDS, seed=1)
    put_in_service(old, shapes, WORDS, tmp_path)
    new, new_shapes = make(TINY.replace(**change), WORDS, seed=2)
    before = logits(new)
    with pytest.raises(warm_start.ColdStart, match=reason):
        warm_start.begin(new, new_shapes, WORDS, str(tmp_path), "the encoder")
    np.testing.assert_array_equal(logits(new), before)


def test_dropout_is_no_other_model(tmp_path):
    old, shapes = make(TINY, WORDS, seed=1)
    put_in_service(old, shapes, WORDS, tmp_path)
    new, new_shapes = make(TINY.replace(dropout=0.0), WORDS, seed=2)
    warm_start.begin(new, new_shapes, WORDS, str(tmp_path), "the encoder")
    np.testing.assert_allclose(logits(new), logits(old), rtol=1e-5)


def test_another_encoder_starts_cold(tmp_path):
    old, shapes = make(TINY, WORDS, seed=1)
    put_in_service(old, shapes, WORDS, tmp_path)
    with pytest.raises(warm_start.ColdStart, match="another image encoder"):
        warm_start.begin(old, shapes, WORDS, str(tmp_path), "another")


def test_codes_that_have_moved_start_cold(tmp_path):
    config = TINY.replace(input_representation="binary_code")
    old, shapes = make(config, WORDS, seed=1, vectors=False)
    put_in_service(old, shapes, WORDS, tmp_path)
    with pytest.raises(warm_start.ColdStart, match=r"corpus\.vocabulary=grow"):
        warm_start.begin(old, shapes, REBUILT[: len(WORDS)], str(tmp_path), "the encoder")


def test_a_model_of_an_older_version_starts_cold(tmp_path):
    model, shapes = make(TINY, WORDS, seed=1)
    with pytest.raises(warm_start.ColdStart, match="older version"):
        warm_start.begin(model, shapes, WORDS, str(tmp_path), "the encoder")


def test_weights_that_cannot_be_read_start_cold(tmp_path):
    model, shapes = make(TINY, WORDS, seed=1)
    put_in_service(model, shapes, WORDS, tmp_path)
    (tmp_path / "assets.extra" / "captioner.weights.h5").write_bytes(b"torn")
    with pytest.raises(warm_start.ColdStart, match="its weights cannot be read"):
        warm_start.begin(model, shapes, WORDS, str(tmp_path), "the encoder")
