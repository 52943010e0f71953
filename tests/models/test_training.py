"""The training loop: it learns, stops in time, and goes on after a kill as if nothing had happened."""

import dataclasses
import itertools
import math
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from models import data, trainer
from models.captioner import Captioner, token_losses
from models.config import CorpusConfig, ModelConfig, TrainConfig
from models.decoders import DECODERS
from models.features import ACTION_WORDS, MASK_ID, START_ID, STOP_ID
from models.generation.greedy import greedy_search
from models.generation.rules import Rules
from models.representations.base import WordTable
from models.training import Training
from models.vocabulary import Vocabulary
from tests.models.conftest import FEATURE_WIDTH, WORDS, CaptionerMaker, token_rows

# Six images, a caption each, in one length bucket.
CAPTIONS = ["a cat", "the dog", "cat dog cat", "dog", "the cat the dog", "a dog a"]
QUIET = TrainConfig(
    epochs=4, batch_size=4, patience=0, learning_rate=1e-2, label_smoothing=0.1, steps_per_call=1
)


@pytest.fixture(scope="module")
def split() -> data.Split:
    features = np.random.default_rng(0).normal(size=(len(CAPTIONS), 1, FEATURE_WIDTH)).astype(np.float16)
    images = np.arange(len(CAPTIONS), dtype=np.int32)
    return data.Split([str(image) for image in images], features, token_rows(CAPTIONS), images)


def contradicting(split: data.Split) -> data.Split:
    """Other images with these captions: the better one is learned, the worse the other."""
    return split.shuffled(seed=1)


def fit(captioner: Captioner, config: TrainConfig, train, evaluation, folder: pathlib.Path, **callbacks):
    """Trains; returns the progress and the scalars of each epoch."""
    scalars: dict[int, dict[str, float]] = {}
    callbacks.setdefault("on_epoch", lambda epoch, values: scalars.update({epoch: values}))
    progress = Training(captioner, config, train, evaluation, str(folder)).fit(**callbacks)
    return progress, scalars


def weights_of(captioner: Captioner) -> list[np.ndarray]:
    return [np.array(weight) for weight in captioner.weights]


def eval_loss(captioner: Captioner, split: data.Split) -> float:
    """Nats a token, counted one caption and one word at a time."""
    total, count = 0.0, 0
    for row, ids in enumerate(split.tokens):
        ids = ids[ids != MASK_ID]
        logits = np.array(captioner(split.features[split.images[row]][None], ids[None, :-1]), np.float64)[0]
        for place, word in enumerate(ids[1:]):
            total += math.log(np.exp(logits[place]).sum()) - logits[place, word]
            count += 1
    return total / count


# --- the loss ---


def test_the_loss_of_each_token_and_nothing_for_padding():
    logits = np.random.default_rng(0).normal(size=(2, 3, 5)).astype(np.float32)
    targets = np.array([[4, 2, MASK_ID], [1, MASK_ID, MASK_ID]])
    losses, present = token_losses(logits, targets)
    np.testing.assert_array_equal(present, [[1, 1, 0], [1, 0, 0]])
    expected = np.log(np.exp(logits).sum(-1)) - np.take_along_axis(logits, targets[..., None], -1)[..., 0]
    np.testing.assert_allclose(losses, expected * (targets != MASK_ID), atol=1e-5)


def test_label_smoothing_is_the_cross_entropy_to_a_smoothed_target():
    logits = np.random.default_rng(0).normal(size=(1, 2, 5)).astype(np.float32)
    targets = np.array([[3, 4]])
    smoothed = 0.8 * np.eye(5)[targets] + 0.2 / 5
    log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    losses, _ = token_losses(logits, targets, label_smoothing=0.2)
    np.testing.assert_allclose(losses, -(smoothed * log_probs).sum(-1), atol=1e-5)


def test_smoothing_is_not_swamped_by_words_that_are_never_written():
    logits = np.array([[[0.0, 0.0, -1e7]]], np.float32)
    losses, _ = token_losses(logits, np.array([[1]]), label_smoothing=0.1)
    assert float(losses[0, 0]) < 5


# --- the loop ---


def test_a_tiny_corpus_is_learned_by_heart(make_captioner: CaptionerMaker, split, tmp_path):
    captioner = make_captioner(dropout=0.0, width=16, fresh=True)
    captioner.image_projection.adapt(split.features)
    many = dataclasses.replace(split, tokens=np.tile(split.tokens, (20, 1)), images=np.tile(split.images, 20))
    config = QUIET.replace(epochs=8, learning_rate=3e-2, label_smoothing=0.0, batch_size=12)
    _, scalars = fit(captioner, config, many, split, tmp_path)
    assert scalars[8]["eval_loss"] < 0.05 < scalars[1]["eval_loss"]
    assert scalars[8]["eval_accuracy"] == 1.0
    state = captioner.init_state(split.features, 7)
    ids, _ = greedy_search(captioner.step, state, tf.constant(len(split)), Rules(6))
    rows = ids[:, 0].numpy()
    assert [" ".join(WORDS[word] for word in row if word >= len(ACTION_WORDS)) for row in rows] == CAPTIONS


@pytest.mark.parametrize(("decoder", "preset"), itertools.product(DECODERS, ("default", "talk2017")))
def test_a_graph_for_captions_of_any_length_gives_the_logits_of_each(make_captioner, decoder, preset, split):
    captioner = make_captioner(decoder=decoder, preset=preset, fresh=True)
    signature = [
        tf.TensorSpec([None, *split.features.shape[1:]], tf.float32),
        tf.TensorSpec([None, None], tf.int32),
    ]
    graph = tf.function(captioner, signature)
    for length in (2, 5, split.tokens.shape[1]):
        tokens = split.tokens[:, :length]
        features = split.features[split.images].astype(np.float32)
        np.testing.assert_allclose(graph(features, tokens), captioner(features, tokens), rtol=1e-4, atol=1e-4)


def test_captions_of_all_lengths_share_a_graph(
    make_captioner: CaptionerMaker, split, tmp_path, monkeypatch: pytest.MonkeyPatch
):
    captions = ["a cat", "the dog " * 6, "dog " * 20]
    images = np.arange(len(captions), dtype=np.int32)
    several = data.Split(split.image_ids, split.features, token_rows(captions, length=32), images)
    assert len(data.lengths(several)) == 3
    traced = []
    call = Captioner.__call__

    def spy(captioner, *args, **kwargs):
        traced.append(kwargs["training"])
        return call(captioner, *args, **kwargs)

    captioner = make_captioner(fresh=True)
    monkeypatch.setattr(Captioner, "__call__", spy)
    fit(captioner, QUIET.replace(epochs=1), several, several, tmp_path)
    assert traced == [True, False]


@pytest.mark.usefixtures("eagerly")
def test_the_eval_loss_is_that_of_a_count_word_by_word(make_captioner: CaptionerMaker, split, tmp_path):
    """Batches are filled up with padding captions: they must not count."""
    captioner = make_captioner()
    _, scalars = fit(captioner, QUIET.replace(epochs=1), split, split, tmp_path)
    assert scalars[1]["eval_loss"] == pytest.approx(eval_loss(captioner, split), abs=1e-5)
    assert scalars[1]["loss"] > 0
    assert 0 <= scalars[1]["accuracy"] <= 1


def test_several_steps_in_one_graph_equal_those_one_by_one(make_captioner: CaptionerMaker, split, tmp_path):
    """Dropout and batches that are not full included."""
    results = []
    for run, steps in (("one", 1), ("all", 5)):
        captioner = make_captioner(seed=1)
        tf.config.run_functions_eagerly(steps == 1)
        try:
            config = QUIET.replace(epochs=2, batch_size=2, steps_per_call=steps, weight_average=0.5)
            _, scalars = fit(captioner, config, split, split, tmp_path / run)
        finally:
            tf.config.run_functions_eagerly(False)
        results.append((weights_of(captioner), [scalars[2][name] for name in ("loss", "eval_loss")]))
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-5)
    for one, other in zip(results[0][0], results[1][0], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_moving_statistics_follow_inside_the_graph(make_captioner: CaptionerMaker, split, tmp_path):
    """Batch norm of the talk's CNNs: statistics that no gradient moves."""
    moved = []
    for run, steps in (("one", 1), ("all", 5)):
        captioner = make_captioner(seed=1, decoder="gated_cnn", preset="talk2017", dilations=(1,))
        moving = [weight for weight in captioner.non_trainable_weights if "moving" in weight.path]
        before = [weight.numpy() for weight in moving]
        tf.config.run_functions_eagerly(steps == 1)
        try:
            config = QUIET.replace(epochs=1, batch_size=2, steps_per_call=steps)
            fit(captioner, config, split, split, tmp_path / run)
        finally:
            tf.config.run_functions_eagerly(False)
        moved.append([weight.numpy() - first for weight, first in zip(moving, before, strict=True)])
    assert moved[0]
    for one, other in zip(*moved, strict=True):
        assert np.abs(one).max() > 5e-3
        np.testing.assert_allclose(one, other, atol=1e-3)


@pytest.mark.usefixtures("eagerly")
def test_the_average_of_the_weights_is_judged_and_kept(make_captioner: CaptionerMaker, split, tmp_path):
    captioner = make_captioner(seed=1)
    first, steps, judged = weights_of(captioner), [], {}

    def on_epoch(epoch: int, scalars: dict[str, float]) -> None:
        judged[epoch] = (weights_of(captioner), len(steps))
        assert scalars["eval_loss"] == pytest.approx(eval_loss(captioner, split), abs=1e-5)

    progress, _ = fit(
        captioner,
        QUIET.replace(weight_average=0.4),
        split,
        split,
        tmp_path,
        on_epoch=on_epoch,
        on_step=lambda *_: steps.append(weights_of(captioner)),
    )
    for weights, done in judged.values():
        for place, weight in enumerate(weights):
            average = first[place].astype(np.float64)
            for step in range(done):
                momentum = min(0.4, (1 + step) / (10 + step))
                average = momentum * average + (1 - momentum) * steps[step][place]
            np.testing.assert_allclose(weight, average, atol=1e-5)
    for one, other in zip(weights_of(captioner), judged[progress.best_epoch][0], strict=True):
        np.testing.assert_array_equal(one, other)
    # Training itself goes on from the weights of the last step.
    plain = make_captioner(seed=1)
    plain_steps: list[list[np.ndarray]] = []
    fit(
        plain,
        QUIET,
        split,
        split,
        tmp_path / "plain",
        on_step=lambda *_: plain_steps.append(weights_of(plain)),
    )
    for one, other in zip(steps[-1], plain_steps[-1], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.usefixtures("eagerly")
def test_a_training_that_was_killed_goes_on_to_the_same_weights(
    make_captioner: CaptionerMaker, split, tmp_path
):
    """Killed within epoch 3; the run that goes on has other first weights and must not use them."""
    config = QUIET.replace(weight_average=0.9)
    whole = make_captioner(seed=1)
    expected, scalars = fit(whole, config, split, split, tmp_path / "whole")

    class Killed(Exception):
        pass

    def kill(epoch: int, step: int, steps: int, tokens: int, seconds: float) -> None:
        if (epoch, step) == (3, 1):
            assert step < steps
            raise Killed

    with pytest.raises(Killed):
        fit(make_captioner(seed=1), config, split, split, tmp_path / "killed", on_step=kill)
    resumed = make_captioner(seed=2)
    progress, after = fit(resumed, config, split, split, tmp_path / "killed")

    assert progress.epoch == 4
    assert list(after) == [3, 4], "only what was missing is trained"
    assert [epoch["epoch"] for epoch in progress.history] == [1, 2, 3, 4]
    assert progress.best == pytest.approx(expected.best, abs=1e-6)
    for name in ("loss", "eval_loss", "accuracy", "eval_accuracy"):
        assert after[4][name] == pytest.approx(scalars[4][name], abs=1e-6)
    for one, other in zip(weights_of(whole), weights_of(resumed), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_gru_of_full_size_trains_in_several_steps_a_call(tmp_path):
    """Of this size TensorFlow's memory optimizer broke some when all steps were one graph ("tmp_var")."""
    words, rng = 2232, np.random.default_rng(0)
    tokens = np.full((640, 14), MASK_ID, np.int32)
    for row, count in enumerate(rng.integers(3, 13, len(tokens))):
        tokens[row, : count + 2] = [START_ID, *rng.integers(5, words, count), STOP_ID]
    features = rng.normal(size=(len(tokens), 1, 64)).astype(np.float16)
    large = data.Split(list(map(str, range(640))), features, tokens, np.arange(640, dtype=np.int32))
    options = {"input_representation": "one_hot", "embedding_width": 200, "preset": "talk2017"}
    captioner = Captioner(ModelConfig(decoder="gru", **options), WordTable(words, 5))
    captioner(features[:1], tokens[:1])
    _, scalars = fit(captioner, TrainConfig(epochs=1), large, large, tmp_path)
    assert scalars[1]["loss"] < math.log(words)


@pytest.mark.usefixtures("eagerly")
def test_what_a_killed_write_left_is_cleared_away(make_captioner: CaptionerMaker, split, tmp_path):
    left = tmp_path / "best-1_temp"
    left.mkdir()
    (left / "part-00000-of-00001").write_text("half")
    fit(make_captioner(), QUIET.replace(epochs=2), split, split, tmp_path)
    assert not left.exists()


@pytest.mark.usefixtures("eagerly")
def test_a_training_that_ended_is_not_trained_again(make_captioner: CaptionerMaker, split, tmp_path):
    captioner = make_captioner(seed=1)
    fit(captioner, QUIET.replace(epochs=1), split, split, tmp_path)
    again = make_captioner(seed=2)
    progress, scalars = fit(again, QUIET.replace(epochs=1), split, split, tmp_path)
    assert (progress.epoch, scalars) == (1, {})
    for one, other in zip(weights_of(captioner), weights_of(again), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.usefixtures("eagerly")
def test_it_stops_when_the_eval_loss_rises_and_keeps_the_best_weights(
    make_captioner: CaptionerMaker, split, tmp_path
):
    captioner = make_captioner(dropout=0.0, fresh=True)
    config = QUIET.replace(epochs=30, patience=2, learning_rate=1e-1)
    evaluation = contradicting(split)
    progress, scalars = fit(captioner, config, split, evaluation, tmp_path)
    losses = [scalars[epoch]["eval_loss"] for epoch in sorted(scalars)]
    best = int(np.argmin(losses)) + 1
    assert len(losses) == best + 2 < 30
    assert (progress.best_epoch, -progress.best) == (best, pytest.approx(min(losses)))
    assert eval_loss(captioner, evaluation) == pytest.approx(min(losses), abs=1e-5)
    assert losses[-1] > min(losses) + 1e-3, "the last weights are not the best: else nothing is shown"
    assert {path.name.split(".")[0] for path in tmp_path.glob("best-*")} == {f"best-{best}"}


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("bad", ["train", "eval"])
def test_a_loss_that_is_not_a_number_stops_the_training_with_advice(
    make_captioner: CaptionerMaker, split, tmp_path, bad
):
    broken = data.Split(split.image_ids, split.features.copy(), split.tokens, split.images)
    broken.features[2] = np.nan
    splits = (broken, split) if bad == "train" else (split, broken)
    name = "training" if bad == "train" else "eval"
    with pytest.raises(FloatingPointError, match=rf"the {name} loss is nan .* lower train\.learning_rate"):
        fit(make_captioner(), QUIET.replace(epochs=1), *splits, tmp_path)


@pytest.mark.usefixtures("eagerly")
def test_one_seed_gives_one_model_and_another_seed_another(make_captioner: CaptionerMaker, split, tmp_path):
    def trained(run: str, seed: int) -> list[np.ndarray]:
        captioner = make_captioner(seed=1)
        fit(captioner, QUIET.replace(epochs=2, seed=seed), split, split, tmp_path / run)
        return weights_of(captioner)

    first, second, third = trained("first", 1), trained("second", 1), trained("third", 2)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
    assert any(not np.allclose(one, other) for one, other in zip(first, third, strict=True))


# --- the image statistics and the word table ---


def test_features_are_standardized_by_the_training_images(make_captioner: CaptionerMaker):
    captioner = make_captioner(dropout=0.0)
    features = np.random.default_rng(0).normal(5, [1, 2, 3, 4, 0], size=(3000, 1, 5)).astype(np.float16)
    projection = captioner.image_projection
    projection.adapt(features)
    np.testing.assert_allclose(projection.mean, features.astype(float).mean((0, 1)), rtol=1e-5)
    expected = 1 / features[..., :4].astype(float).std((0, 1))
    np.testing.assert_allclose(projection.scale[:4], expected, rtol=1e-4)
    assert projection.scale[4] == 0, "a channel that never changes says nothing"


@pytest.fixture
def half_precision():
    policy = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    yield
    keras.mixed_precision.set_global_policy(policy)


@pytest.mark.parametrize("output", ["one_hot", "vector", "hybrid"])
def test_half_precision_keeps_what_little_the_images_differ_by(
    half_precision, make_captioner: CaptionerMaker, output
):
    """As trained on GPUs. The features of random encoders differ in their third digit, which bfloat16 lacks;
    searching needs log-probabilities in float32.
    """
    features = np.random.default_rng(0).normal(100, 0.1, size=(4, 1, FEATURE_WIDTH)).astype(np.float32)
    tokens = np.full((4, 2), START_ID)
    captioner = make_captioner(output_representation=output)
    captioner.image_projection.adapt(features)
    keras.mixed_precision.set_global_policy("float32")
    exact = make_captioner(output_representation=output)
    for weight, value in zip(exact.weights, captioner.weights, strict=True):
        weight.assign(value)
    expected = np.array(keras.ops.log_softmax(exact(features, tokens)))

    logits = captioner(features, tokens)
    assert logits.dtype == "float32"
    np.testing.assert_allclose(keras.ops.log_softmax(logits), expected, rtol=0.05, atol=0.15)
    step, _ = captioner.step(tokens[:, 0], tf.constant(0), captioner.init_state(features, 2))
    assert step.dtype == "float32"
    np.testing.assert_allclose(step, expected[:, 0], rtol=0.05, atol=0.15)


def test_the_word_table_holds_the_vectors_of_the_vocabulary(tmp_path: pathlib.Path):
    path = tmp_path / "vectors.txt"
    path.write_text("dog 1 2\ncat 3 4\na 5 6\n", encoding="utf-8")
    words = Vocabulary((*ACTION_WORDS, "a", "cat", "zebra"), 6)
    corpus = CorpusConfig(word_vectors=str(path))
    table = trainer._word_table(words, corpus, ModelConfig(train_vectors=True))
    assert (table.size, table.base_size, table.train_vectors) == (8, 6, True)
    np.testing.assert_array_equal(table.vectors[5:], [[5, 6], [3, 4], [0, 0]])
    assert trainer._word_table(words, corpus.replace(word_vectors="none"), ModelConfig()).vectors is None


def test_max_steps_ends_training_within_an_epoch(make_captioner: CaptionerMaker, split, tmp_path):
    """Two steps an epoch; in calls of two, of which the last does one."""
    config = QUIET.replace(epochs=5, max_steps=3, steps_per_call=2)
    steps: list[tuple[int, int]] = []
    training = Training(make_captioner(), config, split, split, str(tmp_path))
    progress = training.fit(on_step=lambda epoch, step, *_: steps.append((epoch, step)))
    assert steps == [(1, 2), (2, 1)]
    assert progress.epoch == 2
    assert int(training._optimizer.iterations.numpy()) == 3


def test_max_steps_beyond_the_epochs_changes_nothing(make_captioner: CaptionerMaker, split, tmp_path):
    progress, _ = fit(make_captioner(), QUIET.replace(epochs=2, max_steps=100), split, split, tmp_path)
    assert progress.epoch == 2
