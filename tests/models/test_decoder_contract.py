"""What every decoder with every representation must keep to (see `models.decoders.base`).

The classes are taken from DECODERS and REPRESENTATIONS: a new one needs no new test.

B images, T tokens, R regions, D feature width, V vocabulary.
"""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.captioner import Captioner
from models.decoders import DECODERS
from models.features import EXTRA_ID, MASK_ID, START_ID, STOP_ID
from models.generation.beam import beam_search
from models.generation.greedy import greedy_search
from models.generation.rules import IMPOSSIBLE, Rules
from models.representations import REPRESENTATIONS
from tests.models.conftest import FEATURE_WIDTH, WORDS, CaptionerMaker

B, T, V = 3, 5, len(WORDS)
REAL_WORDS = range(EXTRA_ID + 1, V)
OUTPUTS = tuple(REPRESENTATIONS)
# Every two of decoder, input and output representation meet, a Latin square, and each of them both a grid of
# regions and a pooled image. With hybrid input and one-hot output also the shapes of the talk, and other ways
# in which the image may enter.
COMBINATIONS = [
    *(
        (
            decoder,
            "default",
            None,
            input_,
            OUTPUTS[(row + column) % len(OUTPUTS)],
            (4, 1)[(column + row // 2) % 2],
        )
        for row, decoder in enumerate(DECODERS)
        for column, input_ in enumerate(REPRESENTATIONS)
    ),
    *((decoder, "talk2017", None, "hybrid", "one_hot", 1) for decoder in DECODERS),
    ("gated_cnn", "talk2017", None, "hybrid", "one_hot", 4),
    ("gru", "default", "prefix", "hybrid", "one_hot", 4),
    ("gru", "default", "every_step", "hybrid", "one_hot", 4),
    ("dilated_cnn", "default", "prefix", "hybrid", "one_hot", 4),
    ("gated_cnn", "default", "none", "hybrid", "one_hot", 4),
    ("transformer", "default", "every_step", "hybrid", "one_hot", 4),
]


@pytest.fixture(scope="module", params=COMBINATIONS, ids=lambda c: "-".join(map(str, c)))
def captioner(request: pytest.FixtureRequest, make_captioner: CaptionerMaker) -> Captioner:
    decoder, preset, entry, input_, output, regions = request.param
    # The talk's CNNs see far: their layers and dilations are kept.
    options = {} if preset == "talk2017" else {"layers": 2}
    return make_captioner(
        decoder=decoder,
        preset=preset,
        image_entry=entry,
        input_representation=input_,
        output_representation=output,
        regions=regions,
        **options,
    )


@pytest.fixture
def features(captioner: Captioner, request: pytest.FixtureRequest) -> np.ndarray:
    regions = request.node.callspec.params["captioner"][-1]
    return np.random.default_rng(1).normal(size=(B, regions, FEATURE_WIDTH)).astype(np.float32)


@pytest.fixture
def tokens() -> np.ndarray:
    drawn = np.random.default_rng(2).choice(list(REAL_WORDS), size=(B, T))
    return np.concatenate([np.full((B, 1), START_ID), drawn[:, 1:]], axis=1).astype(np.int32)


def log_probs(captioner: Captioner, features: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """Teacher-forced log-probabilities [B, T, V]."""
    return keras.ops.convert_to_numpy(keras.ops.log_softmax(captioner(features, tokens), axis=-1))


def beams(captioner, features, width, max_tokens, length_penalty=1.0):
    """Captions [B, K, L] and log-probabilities [B, K] of beam search."""
    state = captioner.init_state(features, max_tokens + 1)
    ids, scores = beam_search(
        captioner.step, state, tf.constant(len(features)), width, length_penalty, Rules(max_tokens)
    )
    return ids.numpy(), scores.numpy()


def words_of(ids: np.ndarray) -> tuple[int, ...]:
    """The words of ids that end with STOP and then hold MASK."""
    stop = ids.tolist().index(STOP_ID)
    assert all(ids[stop + 1 :] == MASK_ID), "something follows STOP"
    return tuple(ids[:stop].tolist())


def rescore(captioner: Captioner, image: np.ndarray, captions: list[tuple[int, ...]]) -> list[float]:
    """Log-probability of whole captions of one image [R, D], all words at once and without a state."""
    length = max(map(len, captions)) + 2
    tokens = np.full((len(captions), length), MASK_ID, np.int32)
    for row, words in enumerate(captions):
        tokens[row, : len(words) + 2] = [START_ID, *words, STOP_ID]
    every = log_probs(captioner, np.repeat(image[None], len(captions), axis=0), tokens[:, :-1])
    return [
        sum(every[row, place, word] for place, word in enumerate((*words, STOP_ID)))
        for row, words in enumerate(captions)
    ]


def every_caption(max_tokens: int) -> list[tuple[int, ...]]:
    """All captions that the rules allow: 1 to `max_tokens` words, none twice in a row."""
    return [
        words
        for length in range(1, max_tokens + 1)
        for words in itertools.product(REAL_WORDS, repeat=length)
        if all(word != after for word, after in itertools.pairwise(words))
    ]


def test_step_by_step_is_the_same_as_all_at_once(captioner, features, tokens):
    state = captioner.init_state(features, T)
    steps = []
    for index in range(T):
        step, state = captioner.step(tokens[:, index], tf.constant(index), state)
        steps.append(step.numpy())
    np.testing.assert_allclose(
        np.stack(steps, 1), log_probs(captioner, features, tokens), rtol=3e-6, atol=2e-5
    )


def test_the_probabilities_of_all_words_sum_to_one(captioner, features, tokens):
    probabilities = np.exp(log_probs(captioner, features, tokens))
    assert probabilities.shape == (B, T, V)
    np.testing.assert_allclose(probabilities.sum(-1), 1, atol=1e-5)


def test_a_word_does_not_change_what_comes_before_it(captioner, features, tokens):
    before = log_probs(captioner, features, tokens)
    for changed in range(1, T):
        other = tokens.copy()
        other[:, changed] = np.where(other[:, changed] == V - 1, V - 2, V - 1)
        after = log_probs(captioner, features, other)
        np.testing.assert_allclose(after[:, :changed], before[:, :changed], atol=1e-6)
        assert np.abs(after[:, changed:] - before[:, changed:]).max() > 1e-3, "the word changes nothing"


def test_every_region_of_the_image_counts_at_every_word(captioner, features, tokens):
    before = log_probs(captioner, features, tokens)
    for region in range(features.shape[1]):
        other = features.copy()
        other[:, region] += 1
        difference = np.abs(log_probs(captioner, other, tokens) - before).max(axis=-1)
        assert difference.min() > 1e-6


def test_the_first_words_depend_on_the_image_step_by_step_too(captioner, features, tokens):
    one, _ = captioner.step(tokens[:, 0], tf.constant(0), captioner.init_state(features, T))
    other, _ = captioner.step(tokens[:, 0], tf.constant(0), captioner.init_state(features + 1, T))
    assert np.abs(one - other).max(axis=-1).min() > 1e-4


def test_the_state_is_batch_major_and_keeps_shapes_and_dtypes(captioner, features, tokens):
    state = captioner.init_state(features, T)
    first = [(leaf.shape, leaf.dtype) for leaf in tf.nest.flatten(state)]
    assert first
    assert all(shape[0] == B for shape, _ in first)
    for index in range(T):
        _, state = captioner.step(tokens[:, index], tf.constant(index), state)
        assert [(leaf.shape, leaf.dtype) for leaf in tf.nest.flatten(state)] == first


def test_reordering_the_state_reorders_the_captions(captioner, features, tokens):
    order = np.array([2, 0, 1])
    _, state = captioner.step(tokens[:, 0], tf.constant(0), captioner.init_state(features, T))
    straight, _ = captioner.step(tokens[:, 1], tf.constant(1), state)
    gathered = tf.nest.map_structure(lambda leaf: tf.gather(leaf, order), state)
    reordered, _ = captioner.step(tokens[order, 1], tf.constant(1), gathered)
    np.testing.assert_allclose(reordered, straight.numpy()[order], atol=1e-5)


def test_an_image_alone_is_captioned_as_among_others(captioner, features):
    ids, scores = beams(captioner, features, width=3, max_tokens=4)
    for row in range(B):
        alone_ids, alone_scores = beams(captioner, features[row : row + 1], width=3, max_tokens=4)
        np.testing.assert_array_equal(alone_ids[0], ids[row])
        np.testing.assert_allclose(alone_scores[0], scores[row], atol=1e-4)


def test_beam_search_of_one_beam_is_greedy_search(captioner, features):
    state = captioner.init_state(features, 5)
    greedy_ids, greedy_scores = greedy_search(captioner.step, state, tf.constant(B), Rules(4))
    for length_penalty in (0.0, 1.0):
        ids, scores = beams(captioner, features, 1, 4, length_penalty)
        np.testing.assert_array_equal(ids, greedy_ids)
        np.testing.assert_allclose(scores, greedy_scores, atol=1e-4)


def test_an_image_with_a_narrower_beam_than_others_gets_what_that_beam_finds(captioner, features):
    widths = [2, 1, 3]
    state = captioner.init_state(features, 5)
    ids, scores = beam_search(
        captioner.step, state, tf.constant(B), 3, 1.0, Rules(4), widths=tf.constant(widths)
    )
    for width in set(widths):
        alone_ids, alone_scores = beams(captioner, features, width, 4)
        row = widths.index(width)
        np.testing.assert_array_equal(ids[row, :width], alone_ids[row])
        np.testing.assert_allclose(scores[row, :width], alone_scores[row], atol=1e-4)


@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
def test_a_wide_beam_finds_what_writing_out_every_caption_finds(captioner, features, length_penalty):
    captions = every_caption(max_tokens=3)
    ids, scores = beams(captioner, features[:1], len(captions), 3, length_penalty)
    expected = sorted(
        zip(captions, rescore(captioner, features[0], captions), strict=True),
        key=lambda pair: -pair[1] / (len(pair[0]) + 1) ** length_penalty,
    )
    assert {words_of(beam) for beam in ids[0]} == set(captions)
    np.testing.assert_allclose(scores[0], [score for _, score in expected], atol=1e-4)
    assert words_of(ids[0, 0]) == expected[0][0]


def test_the_score_of_every_beam_is_its_teacher_forced_score(captioner, features):
    ids, scores = beams(captioner, features, width=4, max_tokens=5)
    for row in range(B):
        captions = [words_of(beam) for beam in ids[row]]
        assert len(set(captions)) == 4, "the same caption twice"
        np.testing.assert_allclose(scores[row], rescore(captioner, features[row], captions), atol=1e-4)


def test_captions_keep_the_rules(captioner, features):
    ids, scores = beams(captioner, features, width=4, max_tokens=3)
    assert ids.shape == (B, 4, 4)
    assert np.all(scores > IMPOSSIBLE / 2)
    allowed = set(every_caption(max_tokens=3))
    assert {words_of(beam) for beam in ids.reshape(-1, 4)} <= allowed


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("representation", REPRESENTATIONS)
def test_it_is_built_without_tracing_its_call(monkeypatch, make_captioner, decoder, representation):
    """Keras traces the call of a layer that does not say how it is built: of nested ones again and again."""
    traced = []
    monkeypatch.setattr("keras.src.backend.compute_output_spec", lambda call, *_, **__: traced.append(call))
    make_captioner(decoder=decoder, input_representation=representation, output_representation=representation)
    assert not traced
