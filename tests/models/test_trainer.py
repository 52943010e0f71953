"""`run_fn`: what it leaves behind, and that it leaves the process as it was."""

import json
import pathlib
import shutil
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from models import checkpoints, data, export, trainer, warmup
from models.config import CorpusConfig, DecodeConfig, ModelConfig, TrainConfig
from tests.models import train_on_replicas
from tests.models.conftest import WORDS


class Transform:
    """Stands in for Transform's output: the vocabulary."""

    transformed_metadata = types.SimpleNamespace(schema=None)

    def __init__(self, folder: str):
        self._folder = folder

    def vocabulary_file_by_name(self, name: str) -> str:
        return str(pathlib.Path(self._folder) / "words")


class Encoder(tf.Module):
    """Stands in for the encoder of two regions, five wide."""

    signatures = {  # noqa: RUF012
        "serving_default": types.SimpleNamespace(
            structured_outputs={"features": tf.TensorSpec([None, 2, 5], tf.float32)}
        )
    }


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> list[export.ServedCaptioner]:
    """Everything that `run_fn` exports; TFX's parts and the writing of the SavedModel are left out."""
    served: list[export.ServedCaptioner] = []
    monkeypatch.setattr(trainer.tft, "TFTransformOutput", Transform)
    monkeypatch.setattr(tf.saved_model, "load", lambda path: Encoder())
    monkeypatch.setattr(data, "load_split", lambda *_: train_on_replicas.split())
    monkeypatch.setattr(export, "save", lambda model, path: served.append(model))
    monkeypatch.setattr(warmup, "write_warmup", lambda *_: None)
    monkeypatch.delenv("TF_CONFIG", raising=False)
    return served


def arguments(folder: pathlib.Path, train: TrainConfig, baseline: str = "") -> types.SimpleNamespace:
    folder.mkdir(exist_ok=True)
    (folder / "words").write_text("".join(f"{word}\n" for word in WORDS), encoding="utf-8")
    return types.SimpleNamespace(
        custom_config={
            "corpus": CorpusConfig(word_vectors="none").to_json(),
            "model": ModelConfig(width=8, embedding_width=6, image_width=6).to_json(),
            "train": train.to_json(),
            "decode": DecodeConfig(max_tokens=4).to_json(),
            "checkpoints": str(folder / "checkpoints"),
            "baseline": baseline,
        },
        base_model="encoder",
        transform_output=str(folder),
        train_files=["train"],
        eval_files=["eval"],
        data_accessor=None,
        model_run_dir=str(folder / "run"),
        serving_model_dir=str(folder / "serving"),
    )


HALF = TrainConfig(epochs=3, batch_size=4, precision="mixed_bfloat16", weight_average=0.9, learning_rate=1e-2)


def test_after_teacher_forcing_comes_self_critical_training(exported, tmp_path, capsys):
    config = HALF.replace(epochs=1, self_critical_epochs=2, self_critical_captions=2, self_critical_rate=1e-2)
    trainer.run_fn(arguments(tmp_path, config))
    history = json.loads((tmp_path / "run" / "training.json").read_text())
    assert [epoch["epoch"] for epoch in history["epochs"]] == [1]
    before, first, _ = history["self_critical"]
    assert (before["epoch"], first["epoch"]) == (0, 1)
    assert set(first) >= {"reward", "eval_reward", "captions_per_second", "seconds"}
    assert "self-critical epoch 2 of 2: reward" in capsys.readouterr().err
    assert not list((tmp_path / "checkpoints").iterdir())
    assert len(exported) == 1


def test_a_run_in_half_precision_with_an_average(exported, tmp_path):
    policy = keras.mixed_precision.dtype_policy()
    config = HALF
    tf.config.run_functions_eagerly(True)
    try:
        trainer.run_fn(arguments(tmp_path, config))
    finally:
        tf.config.run_functions_eagerly(False)

    (served,) = exported
    history = json.loads((tmp_path / "run" / "training.json").read_text())
    assert [epoch["epoch"] for epoch in history["epochs"]] == [1, 2, 3]
    assert set(history["epochs"][0]) >= {
        "loss", "eval_loss", "accuracy", "eval_accuracy", "tokens_per_second", "seconds"
    }  # fmt: skip
    assert history["parameters"] == sum(np.prod(v.shape) for v in served.model.trainable_variables)
    assert list((tmp_path / "run").glob("events.*")), "TensorBoard's"
    # What is exported is what was judged best, in float32 up to the rounding of half precision.
    split = train_on_replicas.split()
    logits = served.model(split.features[split.images], split.tokens[:, :-1])
    log_probs = keras.ops.log_softmax(logits)
    targets = split.tokens[:, 1:]
    losses = -np.take_along_axis(np.array(log_probs), targets[..., None], -1)[..., 0][targets > 0]
    assert losses.mean() == pytest.approx(min(epoch["eval_loss"] for epoch in history["epochs"]), rel=0.01)
    assert served.model.decoder.compute_dtype == "float32"
    assert not list((tmp_path / "checkpoints").iterdir()), "nothing is left of a finished training"
    assert keras.mixed_precision.dtype_policy() == policy


QUICK = TrainConfig(epochs=2, batch_size=4, precision="float32", weight_average=0.0, learning_rate=1e-2)


def history_of(folder: pathlib.Path) -> dict:
    return json.loads((folder / "run" / "training.json").read_text())


def put_in_service(folder: pathlib.Path) -> str:
    """What the stand-in for the export leaves out of a SavedModel's folder."""
    serving = folder / "serving"
    (serving / "assets").mkdir()
    shutil.copy(folder / "words", serving / "assets" / "vocabulary")
    return str(serving)


def test_a_warm_start_begins_where_the_model_in_service_ended(exported, tmp_path, eagerly):
    trainer.run_fn(arguments(tmp_path / "first", QUICK))
    serving = put_in_service(tmp_path / "first")
    # A rate at which nothing is learned: what is exported is what it began with.
    still = QUICK.replace(epochs=1, learning_rate=1e-12, weight_decay=0.0)
    trainer.run_fn(arguments(tmp_path / "second", still.replace(start="warm"), serving))
    first, second = exported
    for old, new in zip(first.model.weights, second.model.weights, strict=True):
        np.testing.assert_allclose(new.numpy(), old.numpy(), rtol=1e-6)
    (told,) = history_of(tmp_path / "second")["starts"].items()
    assert told[0] == "warm"
    assert "9 of 9 words are known" in told[1]


def test_of_both_starts_the_better_one_is_exported(exported, tmp_path, eagerly):
    trainer.run_fn(arguments(tmp_path / "first", QUICK.replace(epochs=8)))
    serving = put_in_service(tmp_path / "first")
    trainer.run_fn(arguments(tmp_path / "second", QUICK.replace(epochs=1, start="best"), serving))
    history = history_of(tmp_path / "second")
    assert set(history["starts"]) == {"warm", "cold"}
    best = min(history_of(tmp_path / "first")["epochs"], key=lambda epoch: epoch["eval_loss"])
    (epoch,) = history["epochs"]
    assert epoch["eval_loss"] < best["eval_loss"] + 0.2, "one epoch from scratch does not come so far"
    assert f"eval loss {epoch['eval_loss']:.3f}" in history["starts"]["warm"]
    assert len(exported) == 2
    assert all(list((tmp_path / "second" / "run" / start).glob("events.*")) for start in ("warm", "cold"))
    assert not list((tmp_path / "second" / "checkpoints").iterdir())


@pytest.mark.parametrize("start", ["warm", "best"])
def test_without_a_model_in_service_the_start_is_cold(exported, tmp_path, eagerly, start):
    trainer.run_fn(arguments(tmp_path, QUICK.replace(epochs=1, start=start)))
    assert list(history_of(tmp_path)["starts"]) == ["cold"]


@pytest.mark.parametrize("start", ["warm", "best"])
def test_a_model_that_cannot_be_begun_with_is_named_with_the_reason(
    exported, tmp_path, eagerly, capsys, start
):
    (tmp_path / "older").mkdir()
    trainer.run_fn(arguments(tmp_path, QUICK.replace(epochs=1, start=start), str(tmp_path / "older")))
    assert list(history_of(tmp_path)["starts"]) == ["warm"], "the same training is not done twice"
    assert "cold start: the model in service cannot be begun with" in history_of(tmp_path)["starts"]["warm"]
    assert "older version" in capsys.readouterr().err


class Killed(Exception):
    """In place of signal 9."""


def run_and_kill(given: types.SimpleNamespace) -> None:
    """Trains until the first epoch is over and its checkpoint is written."""
    save = checkpoints.Checkpoints.save

    def save_and_end(self: checkpoints.Checkpoints) -> None:
        save(self)
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints.Checkpoints, "save", save_and_end)
        with pytest.raises(Killed):
            trainer.run_fn(given)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many epochs each training finds done when it begins."""
    epochs: list[int] = []
    restore = checkpoints.Checkpoints.restore

    def restore_and_tell(self: checkpoints.Checkpoints) -> None:
        restore(self)
        epochs.append(self.progress.epoch)

    monkeypatch.setattr(checkpoints.Checkpoints, "restore", restore_and_tell)
    return epochs


def begun(folder: pathlib.Path, elsewhere: pathlib.Path, **changes: str) -> types.SimpleNamespace:
    """Arguments whose inputs lie `elsewhere`, whose checkpoints in `folder`."""
    given = arguments(elsewhere, QUICK)
    given.custom_config |= {"checkpoints": str(folder / "checkpoints"), **changes}
    return given


def test_a_killed_training_is_gone_on_with_by_a_run_that_has_its_inputs_elsewhere(
    exported, tmp_path, eagerly, found
):
    run_and_kill(begun(tmp_path, tmp_path / "run-1"))
    trainer.run_fn(begun(tmp_path, tmp_path / "run-2"))
    assert found == [0, 1]
    assert not list((tmp_path / "checkpoints").iterdir())


def test_a_killed_training_is_not_gone_on_with_by_other_code(exported, tmp_path, eagerly, found):
    run_and_kill(begun(tmp_path, tmp_path / "run-1", code_version="1"))
    trainer.run_fn(begun(tmp_path, tmp_path / "run-2", code_version="2"))
    assert found == [0, 0]
