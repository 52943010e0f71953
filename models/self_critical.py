"""Self-critical sequence training: after teacher forcing, captions are learned for the score they get.

For each image a beam search writes some captions. Those with a CIDEr-D above the mean of all of them become
likelier, the others less likely: REINFORCE with that mean as its baseline (Rennie et al. 2017, arXiv
1612.00563; beams and their mean: Cornia et al. 2020, arXiv 1912.08226). The score is counted by Python
between two graphs, one that writes and one that learns.

Shapes: B images of a replica's part of a batch, K captions an image, L tokens a caption, R x D features.
"""

import math
import time

import numpy as np
import tensorflow as tf

from models.captioner import Captioner, token_losses
from models.checkpoints import Checkpoints, EpochEnd, Progress, StepEnd
from models.config import DecodeConfig, TrainConfig
from models.data import Split
from models.device_split import DeviceSplit
from models.distribution import descend, summed
from models.features import MASK_ID, START_ID, STOP_ID
from models.generation.beam import beam_search
from models.generation.rules import Rules
from models.metrics.cider_d import caption_score, document_frequencies, inverse_frequencies
from models.optimizer import adamw
from models.writing import Writer


class Reward:
    """CIDEr-D of captions in ids against the captions of their image that a split has.

    Not the number of the Evaluator: STOP is a word here, else captions would learn to end anywhere, and what
    the corpus leaves out is no reference. An image without captions has no reward.

    Raises:
      ValueError: fewer than two images have captions: CIDEr-D weighs words by how few images have them.
    """

    def __init__(self, split: Split):
        self._references: dict[int, list[list[str]]] = {}
        for image, tokens in zip(split.images.tolist(), split.tokens, strict=True):
            self._references.setdefault(image, []).append(_words(tokens[1:]))
        if len(self._references) < 2:
            raise ValueError(
                "self-critical training needs two images with captions or more in each split; got "
                f"{len(self._references)}: add images, or set train.self_critical_epochs=0"
            )
        self._idf = inverse_frequencies(document_frequencies(self._references.values()), len(self.images))

    @property
    def images(self) -> list[int]:
        """Those that have captions, in order."""
        return sorted(self._references)

    def of(self, image: int, ids: np.ndarray) -> float:
        """CIDEr-D in [0, 10] of one caption, words, STOP, MASK..."""
        return caption_score(_words(ids), self._references[image], self._idf, len(self._references))


class SelfCriticalTraining:
    """Goes on with a captioner that teacher forcing has trained.

    A batch has about `config.batch_size` captions on each device. Dropout and mirroring are off. Captions to
    learn from come from a plain beam search, ranked by log-probability: what the rules of `decode` forbid,
    such as repeated n-grams, should lose by its reward. After each epoch, the eval images' captions as
    `decode` says are rewarded, and the best weights are kept, which may be those at the beginning.

    Args:
      model: a trained captioner, made within the scope of `strategy`. The chief's weights count.
      config: how to train.
      decode: longest caption, and how those of the eval images are written.
      train, evaluation: the splits; every worker has all of both.
      on_device: the same by name, as `Training.on_device`.
      checkpoint_dir: as of `Training`, a folder of its own.
      strategy: of `models.distribution`; by default, the one device.
    """

    def __init__(
        self,
        model: Captioner,
        config: TrainConfig,
        decode: DecodeConfig,
        train: Split,
        evaluation: Split,
        on_device: dict[str, DeviceSplit],
        checkpoint_dir: str,
        strategy: tf.distribute.Strategy | None = None,
    ):
        self._model = model
        self._config = config
        self._strategy = strategy or tf.distribute.get_strategy()
        self._replicas = self._strategy.num_replicas_in_sync
        # Of these replicas' parts this process counts the scores.
        self._local = [int(replica) for replica in self._results(self._distributed(np.int32))]
        self._rewards = {"train": Reward(train), "eval": Reward(evaluation)}
        self._on_device = on_device
        self._images = max(1, config.batch_size // config.self_critical_captions)
        steps = -(-len(self._rewards["train"].images) // (self._images * self._replicas))
        with self._strategy.scope():
            self._optimizer = adamw(
                config.replace(learning_rate=config.self_critical_rate),
                steps * config.self_critical_epochs,
                self._replicas,
                model.compute_dtype,
            )
            self._optimizer.build(model.trainable_variables)
        self._weights = [variable.value for variable in model.variables]
        self._checkpoints = Checkpoints(
            checkpoint_dir,
            self._strategy,
            self._weights,
            optimizer=[variable.value for variable in self._optimizer.variables],
        )
        rules = Rules(decode.max_tokens)

        def write(images):
            features = on_device["train"].features(images)
            state = model.init_state(features, rules.length)
            width = config.self_critical_captions
            captions, _ = beam_search(model.step, state, tf.size(images), width, 0.0, rules)
            return captions

        def write_best(images):
            return Writer(model, decode).beam(on_device["eval"].features(images), 1)[0]

        self._write = self._on_replicas(write)
        self._write_best = self._on_replicas(write_best)
        self._learn = self._on_replicas(self._learn_on)
        self._sum = self._on_replicas(summed)

    def fit(self, on_epoch: EpochEnd | None = None, on_step: StepEnd | None = None) -> Progress:
        """Trains to the last epoch; leaves the best weights in place (on the chief).

        `best` of the progress is the eval images' mean reward, and `best_epoch` 0 if no epoch was better than
        the beginning. `on_epoch` is called for the beginning, too, as epoch 0.

        Raises:
          FloatingPointError: the loss is no longer a number.
          RuntimeError: workers see different checkpoints.
        """
        self._take_the_chiefs_weights()
        self._checkpoints.restore()
        progress = self._checkpoints.progress
        if not progress.epoch:
            scalars = {"eval_reward": self._evaluate()}
            self._checkpoints.begin(scalars, scalars["eval_reward"])
            if on_epoch:
                on_epoch(0, scalars)
        while progress.epoch < self._config.self_critical_epochs:
            epoch = progress.epoch + 1
            scalars = self._train_epoch(epoch, on_step)
            scalars["eval_reward"] = self._evaluate()
            self._checkpoints.add(scalars, scalars["eval_reward"])
            if on_epoch:
                on_epoch(epoch, scalars)
            self._checkpoints.save()
        self._checkpoints.read_best()
        return progress

    def _train_epoch(self, epoch: int, on_step: StepEnd | None) -> dict[str, float]:
        started, total, captions = time.monotonic(), 0.0, 0
        images = np.array(self._rewards["train"].images, np.int32)
        batches = self._batches(np.random.default_rng([self._config.seed, 1, epoch]).permutation(images))
        for step, batch in enumerate(batches, start=1):
            mine = self._distributed(lambda replica, batch=batch: batch[replica])
            written = self._write(mine)
            rewards, advantages = self._judged(batch, written)
            loss = self._learn(mine, written, self._distributed(lambda replica, by=advantages: by[replica]))
            (loss, *_) = self._results(loss)
            if not math.isfinite(loss):
                raise FloatingPointError(
                    f"the self-critical loss is {loss} at step {step} of epoch {epoch}; lower "
                    f"train.self_critical_rate (now {self._config.self_critical_rate})"
                )
            total += rewards
            captions += self._config.self_critical_captions * int((batch >= 0).sum())
            if on_step:
                on_step(epoch, step, len(batches), captions, time.monotonic() - started)
        seconds = time.monotonic() - started
        return {
            "reward": total / len(images),
            "captions_per_second": captions / seconds,
            "seconds": seconds,
        }

    def _judged(self, batch: np.ndarray, written) -> tuple[float, dict[int, np.ndarray]]:
        """Images `[replicas, B]`, their captions -> sum of their mean rewards, each replica's advantages."""
        total, advantages = np.zeros(self._replicas, np.float32), {}
        for replica, ids in zip(self._local, self._results(written), strict=True):
            rewards = np.zeros(ids.shape[:2], np.float32)
            there = (batch[replica] >= 0)[:, None] & (ids[:, :, 0] != MASK_ID)
            for place in zip(*np.nonzero(there), strict=True):
                rewards[place] = self._rewards["train"].of(int(batch[replica][place[0]]), ids[place])
            means = rewards.sum(1, keepdims=True) / np.maximum(there.sum(1, keepdims=True), 1)
            total[replica] = means.sum()
            advantages[replica] = np.where(there, rewards - means, 0).astype(np.float32)
        return self._total(total), advantages

    def _evaluate(self) -> float:
        """Mean reward of the eval images' best captions."""
        images, total = np.array(self._rewards["eval"].images, np.int32), 0.0
        for batch in self._batches(images):
            written = self._write_best(self._distributed(lambda replica, batch=batch: batch[replica]))
            sums = np.zeros(self._replicas, np.float32)
            for replica, ids in zip(self._local, self._results(written), strict=True):
                for image, caption in zip(batch[replica].tolist(), ids[:, 0], strict=True):
                    sums[replica] += self._rewards["eval"].of(image, caption) if image >= 0 else 0.0
            total += self._total(sums)
        return total / len(images)

    def _batches(self, images: np.ndarray) -> np.ndarray:
        """Images `[N]` -> `[steps, replicas, B]`, -1 where the last batch has fewer."""
        size = self._images * self._replicas
        padded = np.full(-(-len(images) // size) * size, -1, np.int32)
        padded[: len(images)] = images
        # Every n-th image, so that a batch which is not full is spread over all replicas.
        return padded.reshape(-1, self._images, self._replicas).transpose(0, 2, 1)

    # --- in the graph ---

    def _learn_on(self, images, ids, advantages):
        captions, length = ids.shape[1:]
        targets = tf.reshape(tf.where(images[:, None, None] >= 0, ids, MASK_ID), [-1, length])
        inputs = tf.concat([tf.fill([tf.shape(targets)[0], 1], START_ID), targets[:, :-1]], axis=1)
        features = tf.repeat(self._on_device["train"].features(images), captions, axis=0)
        variables = self._model.trainable_variables
        count = tf.maximum(summed(tf.math.count_nonzero(targets != MASK_ID, dtype=tf.float32)), 1.0)
        with tf.GradientTape() as tape:
            losses, _ = token_losses(self._model(features, inputs, training=False), targets)
            loss = tf.reduce_sum(tf.reduce_sum(losses, axis=1) * tf.reshape(advantages, [-1])) / count
            scaled = self._optimizer.scale_loss(loss)
        return descend(self._optimizer, tape, scaled, variables, loss)

    # --- replicas ---

    def _on_replicas(self, function):
        """A graph of `function` in each replica."""
        return tf.function(lambda *parts: self._strategy.run(function, args=parts), autograph=False)

    def _distributed(self, part):
        """What `part(replica)` gives to each replica of this process."""
        return self._strategy.experimental_distribute_values_from_function(
            lambda context: tf.convert_to_tensor(part(context.replica_id_in_sync_group))
        )

    def _results(self, values) -> list[np.ndarray]:
        return [value.numpy() for value in self._strategy.experimental_local_results(values)]

    def _total(self, by_replica: np.ndarray) -> float:
        """The sum over the replicas of all processes; each knows its own."""
        return float(self._results(self._sum(self._distributed(lambda replica: by_replica[replica])))[0])

    def _take_the_chiefs_weights(self) -> None:
        """Teacher forcing leaves its best weights on the chief alone."""
        if self._replicas == 1:
            return

        def take():
            is_first = tf.distribute.get_replica_context().replica_id_in_sync_group == 0
            for weight in self._weights:
                own = tf.where(is_first, weight, tf.zeros_like(weight))
                weight.assign(summed(own))

        self._on_replicas(take)()


def _words(ids: np.ndarray) -> list[str]:
    """Ids with STOP and without what follows, as the metric takes words."""
    words = []
    for word in ids.tolist():
        if word == MASK_ID:
            break
        words.append(str(word))
        if word == STOP_ID:
            break
    return words
