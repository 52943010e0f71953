"""The training loop: teacher forcing over length buckets, with early stopping and resume."""

import dataclasses
import math
import os
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from models import data
from models.captioner import Captioner, token_losses
from models.config import TrainConfig
from models.features import MASK_ID

# Called after each epoch with (epoch, scalars by name).
EpochEnd = Callable[[int, dict[str, float]], None]
# Called after each batch with (steps done in the epoch, steps an epoch, tokens so far, seconds so far).
StepEnd = Callable[[int, int, int, float], None]


@dataclasses.dataclass
class Progress:
    """Where training stands; kept in every checkpoint.

    Attributes:
      epoch: epochs done.
      best_loss, best_epoch: lowest eval loss so far (nats a token) and its epoch.
    """

    epoch: int = 0
    best_loss: float = math.inf
    best_epoch: int = 0


class Training:
    """Trains a captioner on splits that are held in memory.

    Args:
      model: a built captioner.
      config: how to train.
      train, evaluation: the splits.
      checkpoint_dir: where every epoch is kept; a run that finds one there goes on from it.
    """

    def __init__(
        self,
        model: Captioner,
        config: TrainConfig,
        train: data.Split,
        evaluation: data.Split,
        checkpoint_dir: str,
    ):
        self._model = model
        self._config = config
        self._splits = {"train": train, "eval": evaluation}
        # On the device once, gathered there by every step.
        self._features = {name: tf.constant(split.features) for name, split in self._splits.items()}
        self._steps = data.batch_count(train, config.batch_size)
        self._optimizer = _optimizer(config, self._steps * config.epochs)
        self._optimizer.build(model.trainable_variables)
        self._progress = Progress()
        self._checkpoint_dir = checkpoint_dir
        weights = [variable.value for variable in model.variables]
        self._best = tf.train.Checkpoint(weights=weights)
        # Raw variables, listed: this does not depend on how Keras names or nests its objects.
        self._last = tf.train.Checkpoint(
            weights=weights,
            optimizer=[variable.value for variable in self._optimizer.variables],
            epoch=tf.Variable(0, dtype=tf.int64),
            best_loss=tf.Variable(math.inf, dtype=tf.float64),
            best_epoch=tf.Variable(0, dtype=tf.int64),
        )
        on_gpu = bool(tf.config.list_physical_devices("GPU"))
        # XLA compiles a bucket for half a minute on a CPU and is no faster there.
        self._train_step = tf.function(self._train_on, jit_compile=on_gpu)
        self._eval_step = tf.function(self._evaluate_on, jit_compile=on_gpu)

    def fit(self, on_epoch: EpochEnd, on_step: StepEnd | None = None) -> Progress:
        """Trains to the last epoch or until the eval loss stops falling; leaves the best weights in place.

        Raises:
          FloatingPointError: the training or eval loss is no longer a number.
        """
        self._restore()
        while self._progress.epoch < self._config.epochs and not self._has_stalled():
            epoch = self._progress.epoch + 1
            started = time.monotonic()
            scalars, tokens = self._train_epoch(epoch, on_step)
            seconds = time.monotonic() - started
            scalars |= {"tokens_per_second": tokens / seconds, "seconds": seconds} | self._evaluate()
            self._require_finite("eval", scalars["eval_loss"], f"after epoch {epoch}")
            self._progress.epoch = epoch
            if scalars["eval_loss"] < self._progress.best_loss:
                self._progress.best_loss, self._progress.best_epoch = scalars["eval_loss"], epoch
                self._best.write(os.path.join(self._checkpoint_dir, f"best-{epoch}"))
            self._save()
            on_epoch(epoch, scalars)
        self._best.read(self._best_path()).assert_existing_objects_matched()
        return self._progress

    def _has_stalled(self) -> bool:
        patience = self._config.patience
        return bool(patience) and self._progress.epoch - self._progress.best_epoch >= patience

    def _train_epoch(self, epoch: int, on_step: StepEnd | None) -> tuple[dict[str, float], int]:
        started = time.monotonic()
        split = self._splits["train"]
        # Seeded by the epoch as well, so that a resumed run sees the batches it would have seen.
        rng = np.random.default_rng([self._config.seed, epoch])
        losses = correct = 0.0
        tokens = 0
        for step, rows in enumerate(data.batches(split, self._config.batch_size, rng), start=1):
            loss, right, count = (float(x) for x in self._train_step(*self._batch("train", rows)))
            self._require_finite("training", loss, f"at step {step} of epoch {epoch}")
            losses, correct, tokens = losses + loss, correct + right, tokens + int(count)
            if on_step:
                on_step(step, self._steps, tokens, time.monotonic() - started)
        return {"loss": losses / tokens, "accuracy": correct / tokens}, tokens

    def _evaluate(self) -> dict[str, float]:
        totals = np.zeros(3)
        for rows in data.batches(self._splits["eval"], self._config.batch_size, None):
            totals += [float(x) for x in self._eval_step(*self._batch("eval", rows))]
        losses, correct, count = totals.tolist()
        return {"eval_loss": losses / count, "eval_accuracy": correct / count}

    def _require_finite(self, name: str, loss: float, when: str) -> None:
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"the {name} loss is {loss} {when}; lower train.learning_rate (now "
                f"{self._config.learning_rate}) or train.clip_norm (now {self._config.clip_norm}), and look "
                "for images whose features are not numbers"
            )

    def _batch(self, name: str, rows: np.ndarray) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        split = self._splits[name]
        length = data.bucket_length(split, rows)
        # Filled up to the full batch with padding: another batch size would be another trace.
        tokens = np.full((self._config.batch_size, length), MASK_ID, np.int32)
        images = np.zeros(self._config.batch_size, np.int32)
        tokens[: len(rows)] = split.tokens[rows, :length]
        images[: len(rows)] = split.images[rows]
        return self._features[name], tf.constant(images), tf.constant(tokens)

    def _train_on(self, features, images, tokens):
        with tf.GradientTape() as tape:
            logits = self._model(tf.gather(features, images), tokens[:, :-1], training=True)
            losses, present = token_losses(logits, tokens[:, 1:], self._config.label_smoothing)
            total, count = tf.reduce_sum(losses), tf.reduce_sum(present)
            loss = self._optimizer.scale_loss(total / count)
        variables = self._model.trainable_variables
        self._optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)
        return total, _correct(logits, tokens, present), count

    def _evaluate_on(self, features, images, tokens):
        logits = self._model(tf.gather(features, images), tokens[:, :-1], training=False)
        losses, present = token_losses(logits, tokens[:, 1:])
        return tf.reduce_sum(losses), _correct(logits, tokens, present), tf.reduce_sum(present)

    def _best_path(self) -> str:
        return os.path.join(self._checkpoint_dir, f"best-{self._progress.best_epoch}")

    def _save(self) -> None:
        self._last.epoch.assign(self._progress.epoch)
        self._last.best_loss.assign(self._progress.best_loss)
        self._last.best_epoch.assign(self._progress.best_epoch)
        manager = tf.train.CheckpointManager(self._last, self._checkpoint_dir, max_to_keep=1)
        manager.save(self._progress.epoch)
        for path in tf.io.gfile.glob(os.path.join(self._checkpoint_dir, "best-*")):
            if not path.startswith(self._best_path() + "."):
                tf.io.gfile.remove(path)

    def _restore(self) -> None:
        tf.io.gfile.makedirs(self._checkpoint_dir)
        # A whole checkpoint is the one that the `checkpoint` file names; it is written last, in one piece.
        path = tf.train.latest_checkpoint(self._checkpoint_dir)
        if path is None:
            return
        self._last.restore(path).assert_existing_objects_matched()
        self._progress = Progress(
            int(self._last.epoch), float(self._last.best_loss), int(self._last.best_epoch)
        )
        logging.info("going on after epoch %d from %s", self._progress.epoch, path)


def _correct(logits, tokens, present):
    right = tf.cast(tf.argmax(logits, axis=-1, output_type=tf.int32) == tokens[:, 1:], tf.float32)
    return tf.reduce_sum(right * present)


def _optimizer(config: TrainConfig, steps: int) -> keras.optimizers.Optimizer:
    warmup = max(1, round(config.warmup_share * steps))
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        decay_steps=max(1, steps - warmup),
        warmup_target=config.learning_rate,
        warmup_steps=warmup,
    )
    optimizer = keras.optimizers.AdamW(
        schedule, weight_decay=config.weight_decay, global_clipnorm=config.clip_norm, beta_2=0.99
    )
    # Loss scaling keeps float16 gradients from vanishing; it is only needed there.
    if keras.mixed_precision.global_policy().compute_dtype == "float16":
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer
