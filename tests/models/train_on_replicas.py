"""Trains a small captioner on several devices or workers; test_distribution.py runs it as processes.

    python -m tests.models.train_on_replicas mirrored|workers CHECKPOINTS

`mirrored` makes two devices of this machine's processor, `workers` is one of those that TF_CONFIG names. The
last line of the output is JSON.
"""

import json
import sys

import keras
import numpy as np
import tensorflow as tf

from models import data, distribution
from models.captioner import Captioner
from models.config import DecodeConfig, ModelConfig, TrainConfig
from models.features import MASK_ID, START_ID, STOP_ID
from models.representations.base import WordTable
from models.self_critical import SelfCriticalTraining
from models.training import Training

GLOBAL_BATCH = 4


def split() -> data.Split:
    """Eleven captions in two length buckets: in each, one batch is not full."""
    rng = np.random.default_rng(0)
    tokens = np.full((11, 12), MASK_ID, np.int32)
    for row, words in enumerate([1, 2, 8, 3, 4, 2, 9, 1, 2, 9, 5]):
        tokens[row, : words + 2] = [START_ID, *rng.integers(5, 9, words), STOP_ID]
    features = rng.normal(size=(11, 2, 5)).astype(np.float16)
    return data.Split([str(image) for image in range(11)], features, tokens, np.arange(11, dtype=np.int32))


def train(strategy: tf.distribute.Strategy, checkpoints: str) -> dict[str, list[float]]:
    """Returns the losses and scores of each epoch, and the weights that were kept, flat.

    However many replicas there are, the global batch and the learning rate are the same. No dropout: each
    replica draws its own. The norm of gradients is bound so low that the bound always acts.
    """
    keras.utils.set_random_seed(1)
    replicas = strategy.num_replicas_in_sync
    config = TrainConfig(
        epochs=2,
        patience=0,
        batch_size=GLOBAL_BATCH // replicas,
        learning_rate=0.04 / replicas,
        clip_norm=0.1,
        weight_average=0.5,
        steps_per_call=3,
        self_critical_epochs=2,
        self_critical_captions=2,
        self_critical_rate=0.02 / replicas,
    )
    with strategy.scope():
        model_config = ModelConfig(width=8, embedding_width=6, image_width=6, dropout=0.0)
        captioner = Captioner(model_config, WordTable(9, 7))
        captioner(np.zeros((1, 2, 5), np.float32), np.zeros((1, 2), np.int32))
    training = Training(captioner, config, split(), split(), checkpoints, strategy)
    progress = training.fit()
    criticised = SelfCriticalTraining(
        captioner,
        config,
        DecodeConfig(beam_width=2, captions=1, max_tokens=5),
        split(),
        split(),
        training.on_device,
        f"{checkpoints}/self_critical",
        strategy,
    ).fit()
    return {
        "losses": [epoch[name] for epoch in progress.history for name in ("loss", "eval_loss", "accuracy")],
        "scores": [epoch[name] for epoch in criticised.history for name in ("eval_reward",)],
        "weights": np.concatenate([weight.numpy().ravel() for weight in captioner.weights]).tolist(),
    }


def main(kind: str, checkpoints: str) -> None:
    if kind == "mirrored":
        two = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], two)
        strategy: tf.distribute.Strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    else:
        strategy = distribution.make_strategy()
    result = train(strategy, checkpoints)
    result |= {"replicas": strategy.num_replicas_in_sync, "is_chief": distribution.is_chief(strategy)}
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
