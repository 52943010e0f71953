"""What training tells while it runs: a progress bar, a line an epoch, TensorBoard scalars and captions."""

import json
import os
from typing import Any, Self

import rich.console
import rich.progress
import tensorflow as tf

from models.checkpoints import Progress
from models.config import TrainConfig
from models.data import Split
from models.export import ServedCaptioner

# Of the Trainer's model run: parameters and the scalars of each epoch, for comparisons.
HISTORY_FILE = "training.json"


class TrainingLog:
    """Writes TensorBoard summaries to `directory` and progress to the terminal.

    Args:
      directory: TensorBoard's.
      config: of the training.
      evaluation: eval split; its first images are captioned each epoch.
      served: writes these captions.
      parameters: trainable parameters, said once.
      started: how the training begins, said once.
    """

    def __init__(
        self,
        directory: str,
        config: TrainConfig,
        evaluation: Split,
        served: ServedCaptioner,
        parameters: int,
        started: str = "cold start",
    ):
        self._config = config
        self._served = served
        self._image_ids = evaluation.image_ids[: config.sample_captions]
        self._samples = tf.cast(evaluation.features[: config.sample_captions], tf.float32)
        self._caption = tf.function(served.caption_greedily)
        self._writer = tf.summary.create_file_writer(directory)
        self._console = rich.console.Console(stderr=True)
        self._parameters = parameters
        self._started = started
        self._progress = rich.progress.Progress(
            rich.progress.TextColumn("  training"),
            rich.progress.BarColumn(),
            rich.progress.TextColumn("epoch {task.fields[epoch]} of {task.fields[epochs]}"),
            rich.progress.TextColumn("{task.fields[rate]:,.0f} {task.fields[of]}/s"),
            rich.progress.TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._task: rich.progress.TaskID | None = None
        self._counted = ""  # by the task

    def __enter__(self) -> Self:
        self._console.print(
            f"  training {self._parameters:,} parameters, at most {self._config.epochs} epochs; "
            f"{self._started}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        self._progress.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._progress.stop()
        self._writer.close()

    def on_step(self, epoch: int, step: int, steps: int, tokens: int, seconds: float) -> None:
        """See `models.checkpoints.StepEnd`."""
        self._show(self._config.epochs, epoch, step, steps, tokens, seconds, "tokens")

    def _show(
        self, epochs: int, epoch: int, step: int, steps: int, count: int, seconds: float, of: str
    ) -> None:
        fields: dict[str, Any] = {"epoch": epoch, "epochs": epochs, "of": of}
        if self._task is None or self._counted != of:
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._task = self._progress.add_task("training", total=steps * epochs, rate=0.0, **fields)
            self._counted = of
        done, rate = (epoch - 1) * steps + step, count / max(seconds, 1e-9)
        self._progress.update(self._task, completed=done, rate=rate, **fields)

    def on_self_critical_step(self, epoch: int, step: int, steps: int, captions: int, seconds: float) -> None:
        """See `models.checkpoints.StepEnd`; counts captions for tokens."""
        self._show(self._config.self_critical_epochs, epoch, step, steps, captions, seconds, "captions")

    def on_self_critical_epoch(self, epoch: int, scalars: dict[str, float]) -> None:
        """See `models.checkpoints.EpochEnd`."""
        with self._writer.as_default(step=epoch):
            for name, value in scalars.items():
                tf.summary.scalar(f"self_critical/{name}", value)
        self._writer.flush()
        line = f"  before self-critical training: eval reward {scalars['eval_reward']:.3f}"
        if epoch:
            line = (
                f"  self-critical epoch {epoch} of {self._config.self_critical_epochs}: reward "
                f"{scalars['reward']:.3f}, eval reward {scalars['eval_reward']:.3f}, "
                f"{scalars['captions_per_second']:,.0f} captions/s, {scalars['seconds']:.0f} s"
            )
        self._console.print(line, highlight=False, soft_wrap=True)

    def on_epoch(self, epoch: int, scalars: dict[str, float]) -> None:
        """See `models.checkpoints.EpochEnd`."""
        captions = [text.decode("utf-8") for text in self._caption(self._samples).numpy()]
        with self._writer.as_default(step=epoch):
            for name, value in scalars.items():
                tf.summary.scalar(name, value)
            lines = zip(self._image_ids, captions, strict=True)
            tf.summary.text("captions", "\n\n".join(f"{image}: {caption}" for image, caption in lines))
        self._writer.flush()
        self._console.print(
            f"  epoch {epoch:>2} of {self._config.epochs}: loss {scalars['loss']:.3f}, "
            f"eval loss {scalars['eval_loss']:.3f}, eval accuracy {scalars['eval_accuracy']:.3f}, "
            f"{scalars['tokens_per_second']:,.0f} tokens/s, {scalars['seconds']:.0f} s"
            + (f'; "{captions[0]}"' if captions else ""),
            highlight=False,
            soft_wrap=True,
        )


def write_history(
    directory: str,
    parameters: int,
    progress: Progress,
    self_critical: Progress | None = None,
    starts: dict[str, str] | None = None,
) -> None:
    """Writes `training.json`: `{"parameters": int, "epochs": [{"epoch": 1, ...}], "self_critical": [...],
    "starts": {"cold": "..."}}`.

    An epoch of teacher forcing has `loss` (smoothed as in training) and `eval_loss` (nats a token),
    `accuracy` and `eval_accuracy` of the next word, `tokens_per_second` and `seconds` of training; a
    self-critical one has `reward` (of the captions learned from; see `models.self_critical.Reward`),
    `eval_reward`, `captions_per_second` and `seconds`; before the first comes one with epoch 0 and
    `eval_reward` alone. What was trained before a kill is there too. `starts` says of each training of the
    run how it began and what it came to; the rest is of the one that is exported.
    """
    tf.io.gfile.makedirs(directory)
    history = {
        "parameters": parameters,
        "epochs": progress.history,
        "self_critical": self_critical.history if self_critical else [],
        "starts": starts or {},
    }
    with tf.io.gfile.GFile(os.path.join(directory, HISTORY_FILE), "w") as file:
        json.dump(history, file, indent=1)
