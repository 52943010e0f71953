"""The training loop: teacher forcing over length buckets, with early stopping and resume.

One loop serves one device, several GPUs and several workers. Python hands over the rows of some batches; all
else runs in graphs: with XLA one of several steps, else one a step, none of which waits for another's result.
"""

import contextlib
import functools
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from models import data, device_split
from models.captioner import Captioner, token_losses
from models.checkpoints import Checkpoints, EpochEnd, Progress, StepEnd
from models.config import TrainConfig
from models.distribution import descend, summed
from models.features import MASK_ID
from models.optimizer import adamw
from models.weight_average import WeightAverage


class Training:
    """Trains a captioner on splits that are held in memory.

    A global batch has `config.batch_size` captions for each replica, and the learning rate grows with it. Its
    loss is the mean over all its tokens, however they fall to the replicas. (Batch normalization alone sees
    each replica's part by itself.)

    Args:
      model: a built captioner, made within the scope of `strategy`.
      config: how to train.
      train, evaluation: the splits; every worker has all of both.
      checkpoint_dir: where every epoch is kept; a run that finds one there goes on from it. All workers must
        see it; the chief writes.
      strategy: of `models.distribution`; by default, the one device.

    Attributes:
      on_device: the splits by name (`train`, `eval`) where the steps reach them.
    """

    def __init__(
        self,
        model: Captioner,
        config: TrainConfig,
        train: data.Split,
        evaluation: data.Split,
        checkpoint_dir: str,
        strategy: tf.distribute.Strategy | None = None,
    ):
        self._model = model
        self._config = config
        self._strategy = strategy or tf.distribute.get_strategy()
        self._replicas = self._strategy.num_replicas_in_sync
        self._batch_size = config.batch_size * self._replicas
        self._splits = {"train": train, "eval": evaluation}
        self._steps = data.batch_count(train, self._batch_size)
        all_steps = self._steps * config.epochs
        self._all_steps = min(all_steps, config.max_steps) if config.max_steps else all_steps
        on_device = device_split.fits([train, evaluation])
        with self._strategy.scope():
            self.on_device = {
                name: device_split.DeviceSplit(split, on_device) for name, split in self._splits.items()
            }
            self._optimizer = adamw(config, self._all_steps, self._replicas, model.compute_dtype)
            self._optimizer.build(model.trainable_variables)
            self._average = WeightAverage(model, config.weight_average) if config.weight_average else None
        self._checkpoints = Checkpoints(
            checkpoint_dir,
            self._strategy,
            [variable.value for variable in model.variables],
            optimizer=[variable.value for variable in self._optimizer.variables],
            average=self._average.variables if self._average else [],
        )
        # XLA compiles for minutes on a CPU and is no faster there. It knows neither several devices nor
        # features on the host.
        compiled = bool(tf.config.list_physical_devices("GPU")) and self._replicas == 1 and on_device
        self._train_call = self._make_call("train", self._train_on, compiled)
        self._eval_call = self._make_call("eval", self._evaluate_on, compiled)

    def fit(self, on_epoch: EpochEnd | None = None, on_step: StepEnd | None = None) -> Progress:
        """Trains to the last epoch or step, or until the eval loss stops falling.

        Leaves the best weights in place. (On the chief: other workers' models end with the last weights.)

        Raises:
          FloatingPointError: the training or eval loss is no longer a number.
          RuntimeError: workers see different checkpoints.
        """
        self._checkpoints.restore()
        while self._steps_left() and not self._has_stalled():
            epoch = self._checkpoints.progress.epoch + 1
            scalars = self._train_epoch(epoch, on_step)
            with self._average.in_model() if self._average else contextlib.nullcontext():
                scalars |= self._evaluate()
                self._require_finite("eval", scalars["eval_loss"], f"after epoch {epoch}")
                self._checkpoints.add(scalars, -scalars["eval_loss"])
                if on_epoch:
                    on_epoch(epoch, scalars)
            self._checkpoints.save()
        self._checkpoints.read_best()
        return self._checkpoints.progress

    def _steps_left(self) -> int:
        return max(0, self._all_steps - self._checkpoints.progress.epoch * self._steps)

    def _has_stalled(self) -> bool:
        patience, progress = self._config.patience, self._checkpoints.progress
        return bool(patience) and progress.epoch - progress.best_epoch >= patience

    def _train_epoch(self, epoch: int, on_step: StepEnd | None) -> dict[str, float]:
        started = time.monotonic()
        # Seeded by the epoch as well, so that a resumed run sees the batches it would have seen.
        rng = np.random.default_rng([self._config.seed, epoch])
        totals, step, left = np.zeros(3), 0, self._steps_left()
        for block in self._blocks("train", rng):
            if step == left:
                break
            block = block._replace(steps=min(block.steps, left - step))
            of_block = self._train_call(*block).numpy()
            step += block.steps
            self._require_finite("training", of_block[0], f"by step {step} of epoch {epoch}")
            totals += of_block
            if on_step:
                on_step(epoch, step, self._steps, int(totals[2]), time.monotonic() - started)
        losses, correct, tokens = totals.tolist()
        seconds = time.monotonic() - started
        return {
            "loss": losses / tokens,
            "accuracy": correct / tokens,
            "tokens_per_second": tokens / seconds,
            "seconds": seconds,
        }

    def _evaluate(self) -> dict[str, float]:
        totals = np.zeros(3)
        for block in self._blocks("eval", None):
            totals += self._eval_call(*block).numpy()
        losses, correct, tokens = totals.tolist()
        return {"eval_loss": losses / tokens, "eval_accuracy": correct / tokens}

    def _blocks(self, name: str, rng: np.random.Generator | None):
        return data.blocks(self._splits[name], self._batch_size, self._config.steps_per_call, rng)

    def _require_finite(self, name: str, loss: float, when: str) -> None:
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"the {name} loss is {loss} {when}; lower train.learning_rate (now "
                f"{self._config.learning_rate}) or train.clip_norm (now {self._config.clip_norm}), and look "
                "for images whose features are not numbers"
            )

    # --- in the graph ---

    def _make_call(self, name: str, step_on: Callable[..., Any], compiled: bool):
        """Returns a function of a `Block` that gives the sums of loss, correct and count over its batches.

        `step_on` is called with features and tokens in each replica and returns these sums of its batch.
        """
        split = self.on_device[name]

        def on_replica(rows, length):
            context = tf.distribute.get_replica_context()
            # Every n-th caption, so that a batch which is not full is spread over all replicas.
            rows = tf.reshape(rows, [-1, self._replicas])[:, context.replica_id_in_sync_group]
            return step_on(*split.batch(rows, length))

        def on_all(rows, length):
            sums = self._strategy.run(on_replica, args=(rows, length))
            return self._strategy.experimental_local_results(sums)[0]

        lengths = data.lengths(self._splits[name])
        if not compiled:
            # Steps follow one another from Python, without waiting for their results. In a loop of the graph
            # TensorFlow's memory optimizer can break the loop inside a GRU's step ("tmp_var" already exists).
            # The length is a tensor: one graph, which takes seconds to make, does for all of them.
            step = tf.function(on_all, autograph=False)

            def call_by_steps(rows, buckets, steps):
                sums = tf.zeros(3)
                for row, bucket in zip(rows[:steps], buckets[:steps], strict=True):
                    sums += step(tf.constant(row), tf.constant(lengths[bucket]))
                return sums

            return call_by_steps

        def call(rows, buckets, steps):
            def body(step, sums):
                branches = [functools.partial(on_all, rows[step], length) for length in lengths]
                return step + 1, sums + tf.switch_case(buckets[step], branches)

            return tf.while_loop(lambda step, _: step < steps, body, (0, tf.zeros(3)))[1]

        shape = [self._config.steps_per_call, self._batch_size]
        signature = [tf.TensorSpec(shape, tf.int32), tf.TensorSpec(shape[:1], tf.int32)]
        signature.append(tf.TensorSpec([], tf.int32))
        return tf.function(call, signature, autograph=False, jit_compile=True)

    def _train_on(self, features, tokens):
        targets = tokens[:, 1:]
        # Of the whole batch: the mean over all tokens is not the mean of the replicas' means.
        count = summed(tf.math.count_nonzero(targets != MASK_ID, dtype=tf.float32))
        variables = self._model.trainable_variables
        with tf.GradientTape() as tape:
            logits = self._model(features, tokens[:, :-1], training=True)
            losses, present = token_losses(logits, targets, self._config.label_smoothing)
            loss = self._optimizer.scale_loss(tf.reduce_sum(losses) / count)
        sums = tf.stack([tf.reduce_sum(losses), _correct(logits, targets, present)])
        sums = descend(self._optimizer, tape, loss, variables, sums)
        if self._average:
            self._average.update()
        return tf.concat([sums, [count]], axis=0)

    def _evaluate_on(self, features, tokens):
        targets = tokens[:, 1:]
        logits = self._model(features, tokens[:, :-1], training=False)
        losses, present = token_losses(logits, targets)
        sums = [tf.reduce_sum(losses), _correct(logits, targets, present), tf.reduce_sum(present)]
        return summed(tf.stack(sums))


def _correct(logits, targets, present):
    right = tf.cast(tf.argmax(logits, axis=-1, output_type=tf.int32) == targets, tf.float32)
    return tf.reduce_sum(right * present)
