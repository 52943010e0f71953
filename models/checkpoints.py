"""Where a training stands, kept after every epoch: a killed one goes on, the best weights come back."""

import dataclasses
import json
import math
import os
from collections.abc import Callable

import tensorflow as tf
from absl import logging

from models import distribution

# Called after each epoch with (epoch, scalars by name), while the model has the weights that were judged.
EpochEnd = Callable[[int, dict[str, float]], None]
# Called after each step or some with (epoch, steps done in it, steps an epoch, tokens or captions, seconds).
StepEnd = Callable[[int, int, int, int, float], None]


@dataclasses.dataclass
class Progress:
    """Where training stands; kept in every checkpoint.

    Attributes:
      epoch: epochs done.
      best, best_epoch: best score so far (higher is better) and its epoch.
      history: scalars of each epoch, first to last; with those before the first one where they count.
    """

    epoch: int = 0
    best: float = -math.inf
    best_epoch: int = 0
    history: list[dict[str, float]] = dataclasses.field(default_factory=list)


class Checkpoints:
    """The last and the best epoch of a training, in a folder that all workers must see; the chief writes.

    Args:
      directory: the folder.
      strategy: of the training.
      weights: the model's variables, raw: this does not depend on how Keras names or nests its objects.
      others: what else it takes to go on, by name: the optimizer's variables, averages.

    Attributes:
      progress: where the training stands.
    """

    def __init__(
        self,
        directory: str,
        strategy: tf.distribute.Strategy,
        weights: list[tf.Variable],
        **others: list[tf.Variable],
    ):
        self.progress = Progress()
        self._directory = directory
        self._strategy = strategy
        self._is_chief = distribution.is_chief(strategy)
        # Outside the scope of the strategy, which cannot share strings.
        self._saved_progress = tf.Variable("", dtype=tf.string)
        self._best = tf.train.Checkpoint(weights=weights)
        self._last = tf.train.Checkpoint(weights=weights, progress=self._saved_progress, **others)

    def restore(self) -> None:
        """Goes back to the last epoch kept, if there is one.

        Raises:
          RuntimeError: workers see different ones.
        """
        tf.io.gfile.makedirs(self._directory)
        # A whole checkpoint is the one that the `checkpoint` file names; it is written last, in one piece.
        path = tf.train.latest_checkpoint(self._directory)
        if path is not None:
            self._last.restore(path).assert_existing_objects_matched()
            self.progress = Progress(**json.loads(self._saved_progress.numpy()))
            logging.info("going on after epoch %d from %s", self.progress.epoch, path)
        self._require_same_epoch()

    def begin(self, scalars: dict[str, float], score: float) -> None:
        """Says what score the weights to begin with have: they are the best until an epoch is better."""
        self.progress.best, self.progress.history = score, [{"epoch": 0, **scalars}]
        self._write_best()

    def add(self, scalars: dict[str, float], score: float) -> None:
        """Counts one more epoch; the model must have the weights that got `score`."""
        progress = self.progress
        progress.epoch += 1
        progress.history.append({"epoch": progress.epoch, **scalars})
        if score > progress.best:
            progress.best, progress.best_epoch = score, progress.epoch
            self._write_best()

    def save(self) -> None:
        """Keeps the last epoch; the model must have the weights to go on from."""
        if not self._is_chief:
            return
        self._saved_progress.assign(json.dumps(dataclasses.asdict(self.progress)))
        manager = tf.train.CheckpointManager(self._last, self._directory, max_to_keep=1)
        manager.save(self.progress.epoch)
        for path in tf.io.gfile.glob(os.path.join(self._directory, "best-*")):
            if tf.io.gfile.isdir(path):  # of a write that was cut off
                tf.io.gfile.rmtree(path)
            elif not path.startswith(self._best_path() + "."):
                tf.io.gfile.remove(path)

    def read_best(self) -> None:
        """Gives the model the best epoch's weights. (On the chief: the others go on with what they have.)"""
        if self._is_chief:
            self._best.read(self._best_path()).assert_existing_objects_matched()

    def _write_best(self) -> None:
        if self._is_chief:
            self._best.write(self._best_path())

    def _best_path(self) -> str:
        return os.path.join(self._directory, f"best-{self.progress.best_epoch}")

    def _require_same_epoch(self) -> None:
        """Else the workers would wait for each other for ever."""

        def total_on(epoch):
            return self._strategy.run(distribution.summed, args=(epoch,))

        total = tf.function(total_on, autograph=False)
        sums = self._strategy.experimental_local_results(total(tf.constant(float(self.progress.epoch))))
        if float(sums[0]) != self.progress.epoch * self._strategy.num_replicas_in_sync:
            raise RuntimeError(
                f"this worker finds {self.progress.epoch} epochs done in {self._directory}, not so "
                "another: all must see the same folder"
            )
