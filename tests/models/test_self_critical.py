"""Self-critical training: captions are scored as the metric scores them, and better ones are learned."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from models import data
from models.config import DecodeConfig, TrainConfig
from models.device_split import DeviceSplit
from models.features import MASK_ID, START_ID, STOP_ID
from models.metrics.cider_d import caption_scores
from models.self_critical import Reward, SelfCriticalTraining
from models.training import Training
from tests.models.conftest import FEATURE_WIDTH, WORDS, CaptionerMaker, token_rows

# Three images of two captions each.
CAPTIONS = ["a cat", "the cat", "the dog", "a dog", "cat dog cat", "cat dog"]
CONFIG = TrainConfig(
    batch_size=6, self_critical_epochs=12, self_critical_captions=3, self_critical_rate=3e-2, weight_decay=0.0
)
DECODE = DecodeConfig(beam_width=3, captions=1, max_tokens=5)


@pytest.fixture(scope="module")
def split() -> data.Split:
    features = np.random.default_rng(0).normal(size=(4, 1, FEATURE_WIDTH)).astype(np.float16)
    # The second image has no captions.
    return data.Split(list("abcd"), features, token_rows(CAPTIONS), np.array([0, 0, 2, 2, 3, 3], np.int32))


def ids_of(caption: str) -> np.ndarray:
    ids = [*map(WORDS.index, caption.split()), STOP_ID]
    return np.array(ids + [MASK_ID] * (6 - len(ids)), np.int32)


def training(captioner, split, folder, config=CONFIG) -> SelfCriticalTraining:
    on_device = {name: DeviceSplit(split) for name in ("train", "eval")}
    return SelfCriticalTraining(captioner, config, DECODE, split, split, on_device, str(folder))


def weights_of(captioner) -> list[np.ndarray]:
    return [np.array(weight) for weight in captioner.weights]


def test_the_score_is_the_metrics_on_words_and_stop(split):
    reward = Reward(split)
    assert reward.images == [0, 2, 3]
    written = ["a cat", "a dog a", "cat dog"]
    references = [[f"{text} STOP".split() for text in CAPTIONS[i : i + 2]] for i in (0, 2, 4)]
    expected = caption_scores([f"{text} STOP".split() for text in written], references)
    found = [reward.of(image, ids_of(text)) for image, text in zip(reward.images, written, strict=True)]
    assert found == pytest.approx(expected)
    # A caption that does not end as the others do is worth less.
    assert reward.of(0, ids_of("a cat")[:2]) < found[0]


def test_one_image_with_captions_is_too_few(split):
    alone = dataclasses.replace(split, tokens=split.tokens[:2], images=split.images[:2])
    with pytest.raises(ValueError, match=r"two images with captions or more .* got 1: add images, or set"):
        Reward(alone)


@pytest.mark.usefixtures("eagerly")
def test_a_loss_that_is_not_a_number_stops_with_advice(make_captioner: CaptionerMaker, split, tmp_path):
    captioner = make_captioner()
    loop = training(captioner, split, tmp_path)
    loop._learn = lambda *_: tf.constant(float("nan"))
    with pytest.raises(FloatingPointError, match=r"nan at step 1 of epoch 1; lower train.self_critical_rate"):
        loop.fit()


def test_captions_come_to_score_better(make_captioner: CaptionerMaker, split, tmp_path):
    captioner = make_captioner(dropout=0.0, width=16, fresh=True)
    captioner.image_projection.adapt(split.features)
    loop = training(captioner, split, tmp_path)
    before = loop._evaluate()
    epochs: list[dict[str, float]] = []
    progress = loop.fit(lambda _, scalars: epochs.append(scalars))
    assert progress.best > before + 1
    assert epochs[-1]["reward"] > epochs[1]["reward"] + 0.5
    # The weights that were best are in place.
    assert loop._evaluate() == pytest.approx(progress.best)
    assert progress.best == max(epoch["eval_reward"] for epoch in epochs)


@pytest.mark.usefixtures("eagerly")
def test_what_only_gets_worse_is_given_up(make_captioner: CaptionerMaker, split, tmp_path, monkeypatch):
    captioner = make_captioner(dropout=0.0)
    before = weights_of(captioner)
    scores = iter([0.5, 0.4, 0.3])
    monkeypatch.setattr(SelfCriticalTraining, "_evaluate", lambda self: next(scores))
    progress = training(captioner, split, tmp_path, CONFIG.replace(self_critical_epochs=2)).fit()
    assert (progress.best_epoch, progress.best, progress.epoch) == (0, 0.5, 2)
    for one, other in zip(weights_of(captioner), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_loss_is_that_of_reinforce(make_captioner: CaptionerMaker, split, tmp_path):
    """One step of plain gradient descent moves the weights along the mean of advantage x log-probability."""
    captioner = make_captioner(dropout=0.4)  # dropout is off in this training
    loop = training(captioner, split, tmp_path)
    images = tf.constant([0, 3, -1])  # the last one is no image
    ids = [[ids_of("a cat"), ids_of("dog")], [ids_of("cat"), ids_of("a dog a")], [ids_of("a")] * 2]
    advantages = np.array([[1.0, -1.0], [0.5, -0.5], [7.0, 7.0]], np.float32)

    variables = captioner.trainable_variables
    with tf.GradientTape() as tape:
        total, tokens = 0.0, 0
        for image, captions, of_image in zip([0, 3], ids[:2], advantages[:2], strict=True):
            for caption, advantage in zip(captions, of_image, strict=True):
                words = caption[caption != MASK_ID]
                inputs = np.array([[START_ID, *words[:-1]]])
                logits = captioner(split.features[image][None].astype(np.float32), inputs)
                log_probs = tf.nn.log_softmax(logits[0])
                total -= advantage * tf.reduce_sum(tf.gather(log_probs, words, batch_dims=1))
                tokens += len(words)
        loss = total / tokens
    expected = tape.gradient(loss, [v.value for v in variables], unconnected_gradients="zero")

    applied = []
    loop._optimizer.apply = lambda gradients, _: applied.extend(gradients)
    tf.config.run_functions_eagerly(True)
    try:
        loop._learn(images, tf.constant(ids), tf.constant(advantages))
    finally:
        tf.config.run_functions_eagerly(False)
    for one, other in zip(applied, expected, strict=True):
        np.testing.assert_allclose(one, tf.convert_to_tensor(other), atol=1e-5)


@pytest.mark.usefixtures("eagerly")
def test_a_training_that_was_killed_goes_on_to_the_same_weights(
    make_captioner: CaptionerMaker, split, tmp_path
):
    config = CONFIG.replace(self_critical_epochs=3)
    whole, stopped = make_captioner(seed=1), make_captioner(seed=1)
    expected = training(whole, split, tmp_path / "whole", config).fit()

    class Killed(Exception):
        pass

    def kill(epoch: int, *_) -> None:
        if epoch == 2:
            raise Killed

    with pytest.raises(Killed):
        training(stopped, split, tmp_path / "killed", config).fit(on_step=kill)
    again = make_captioner(seed=1)
    progress = training(again, split, tmp_path / "killed", config).fit()
    assert progress.best == pytest.approx(expected.best)
    for one, other in zip(weights_of(again), weights_of(whole), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.usefixtures("eagerly")
def test_it_goes_on_from_teacher_forcing(make_captioner: CaptionerMaker, split, tmp_path):
    captioner = make_captioner(dropout=0.0, fresh=True)
    captioner.image_projection.adapt(split.features)
    config = dataclasses.replace(CONFIG, epochs=2, self_critical_epochs=1, steps_per_call=1)
    first = Training(captioner, config, split, split, str(tmp_path / "first"))
    first.fit()
    loop = SelfCriticalTraining(
        captioner, config, DECODE, split, split, first.on_device, str(tmp_path / "second")
    )
    assert loop.fit().epoch == 1
