"""A model is blessed only if it serves what was evaluated."""

import os
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf
from tfx.types import standard_artifacts

from components.serving_validator import executor, samples, trial
from components.serving_validator.component import ServingValidator
from models import features
from tests.serving import support

SIZES = [(20 + i, 30 + i) for i in range(9)]  # more than one batch


def write_examples(uri: pathlib.Path, rows: list[dict[str, bytes]]) -> standard_artifacts.Examples:
    """Writes rows as the eval split of an Examples artifact, in two shards."""
    folder = uri / "Split-eval"
    folder.mkdir(parents=True)
    for shard in (0, 1):
        with tf.io.TFRecordWriter(str(folder / f"data-{shard}.gz"), "GZIP") as writer:
            for row in rows[shard::2]:
                feature = {
                    key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
                    for key, value in row.items()
                }
                example = tf.train.Example(features=tf.train.Features(feature=feature))
                writer.write(example.SerializeToString())
    artifact = standard_artifacts.Examples()
    artifact.uri = str(uri)
    artifact.split_names = '["train", "eval"]'
    return artifact


def identity(index: int) -> dict[str, bytes]:
    return {features.IMAGE_ID: f"{index}.jpg".encode(), features.CONTENT_HASH: f"hash of {index}".encode()}


def raw_row(index: int) -> dict[str, bytes]:
    return identity(index) | {features.IMAGE_ENCODED: support.jpeg(*SIZES[index])}


def feature_row(index: int) -> dict[str, bytes]:
    width, height = SIZES[index]
    value = np.array([height, width], "<f2").tobytes()
    return identity(index) | {features.IMAGE_FEATURES: value}


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """Raw and featurized Examples of the same images, in another order."""
    folder = tmp_path_factory.mktemp("examples")
    indices = range(len(SIZES))
    return (
        write_examples(folder / "raw", [raw_row(i) for i in indices]),
        write_examples(folder / "features", [feature_row(i) for i in reversed(indices)]),
    )


@pytest.fixture(scope="module")
def pictures(examples) -> list[samples.Sample]:
    return samples.read(*(os.path.join(artifact.uri, "Split-eval") for artifact in examples), 100)


def model_artifact(folder: pathlib.Path, **settings) -> standard_artifacts.Model:
    artifact = standard_artifacts.Model()
    artifact.uri = str(folder / "model")
    (folder / "model").mkdir()
    support.save_model(folder, 1, **settings).rename(folder / "model" / "Format-Serving")
    return artifact


def blessing_artifact(folder: pathlib.Path) -> standard_artifacts.InfraBlessing:
    artifact = standard_artifacts.InfraBlessing()
    artifact.uri = str(folder / "blessing")
    (folder / "blessing").mkdir()
    return artifact


def compare(folder: pathlib.Path, pictures: list[samples.Sample], **settings) -> trial.Verdict:
    """Compares a model as a server in this process serves it."""
    path = support.save_model(folder, 1, **settings)
    with support.server_in_thread(folder) as address:
        support.wait_ready(address)
        served = trial.ask_server(address, pictures, 60)
        return trial.compare(served, trial.run_on_features(str(path), pictures), pictures)


def test_a_good_model_is_blessed_as_the_pusher_expects(tmp_path, examples):
    blessing = blessing_artifact(tmp_path)
    executor.validate(model_artifact(tmp_path), *examples, blessing, 100, 120.0, "eval")
    assert blessing.get_int_custom_property("blessed") == 1
    assert blessing.get_string_custom_property("reason") == ""
    assert blessing.get_int_custom_property("images") == len(SIZES)
    assert blessing.get_int_custom_property("ties") == 0
    assert os.listdir(blessing.uri) == ["INFRA_BLESSED"]


def test_a_model_that_does_not_load_is_refused_with_the_reason(tmp_path, examples):
    model = model_artifact(tmp_path)
    shutil.rmtree(os.path.join(model.uri, "Format-Serving", "variables"))
    blessing = blessing_artifact(tmp_path)
    executor.validate(model, *examples, blessing, 4, 120.0, "eval")
    assert blessing.get_int_custom_property("blessed") == 0
    assert "cannot load the model" in blessing.get_string_custom_property("reason")
    assert os.listdir(blessing.uri) == ["INFRA_NOT_BLESSED"]


def test_all_images_are_compared(tmp_path, pictures):
    assert compare(tmp_path, pictures) == trial.Verdict(images=len(SIZES))


def test_other_captions_from_images_than_from_features_are_refused(tmp_path, pictures):
    with pytest.raises(
        trial.Refused, match=r"'0\.jpg', caption 1: the server says 'v1: 20 x 30' .*'other: 20 x 30'"
    ):
        compare(tmp_path, pictures, features_label="other", features_shift=0.01)


def test_captions_of_equal_probability_are_a_tie_and_counted(tmp_path, pictures):
    verdict = compare(tmp_path, pictures, features_label="other", features_shift=0.0005)
    assert (verdict.reason, verdict.ties) == ("", len(SIZES))


def test_equal_captions_may_differ_in_probability_and_it_is_reported(tmp_path, pictures):
    assert compare(tmp_path, pictures, features_shift=0.25).difference == pytest.approx(0.25)


def test_an_image_that_the_server_cannot_decode_is_refused(tmp_path, pictures):
    bad = samples.Sample("bad.jpg", b"no image", pictures[0].features)
    with pytest.raises(trial.Refused, match=r"'bad\.jpg' is not captioned: not an image"):
        compare(tmp_path, [pictures[0], bad])


def test_a_model_that_fails_as_a_whole_on_a_broken_image_is_refused(tmp_path, pictures, monkeypatch):
    monkeypatch.setattr(trial, "BROKEN_IMAGE", support.poison())
    with pytest.raises(trial.Refused, match="INVALID_ARGUMENT to 3 images, one of them broken"):
        compare(tmp_path, pictures[:2])


def test_a_model_that_captions_a_broken_image_is_refused(tmp_path, pictures, monkeypatch):
    monkeypatch.setattr(trial, "BROKEN_IMAGE", support.jpeg())
    with pytest.raises(trial.Refused, match="a broken image is captioned"):
        compare(tmp_path, pictures[:2])


def test_features_that_the_model_cannot_read_are_refused(tmp_path, pictures):
    short = samples.Sample("short", pictures[0].image, b"\0\0")
    with pytest.raises(trial.Refused, match="does not caption the stored features"):
        compare(tmp_path, [short])


def test_images_and_features_are_paired_by_content(tmp_path):
    raw = write_examples(tmp_path / "raw", [raw_row(i) for i in range(6)])
    # Another picture that came under an id that is taken, as happens with two imports.
    stranger = feature_row(5) | {features.IMAGE_ID: b"0.jpg"}
    featurized = write_examples(tmp_path / "features", [stranger, *(feature_row(i) for i in (4, 2, 0))])
    got = samples.read(f"{raw.uri}/Split-eval", f"{featurized.uri}/Split-eval", 4)
    # The first four in file order are 0, 2, 4 of shard 0 and 1 of shard 1, which has no features.
    assert [sample.image_id for sample in got] == ["0.jpg", "2.jpg", "4.jpg"]
    assert all(s.features == feature_row(int(s.image_id[0]))[features.IMAGE_FEATURES] for s in got)


def test_other_images_than_featurized_are_an_error(tmp_path):
    raw = write_examples(tmp_path / "raw", [raw_row(0)])
    featurized = write_examples(tmp_path / "features", [feature_row(1)])
    with pytest.raises(ValueError, match="featurize the same Examples"):
        samples.read(f"{raw.uri}/Split-eval", f"{featurized.uri}/Split-eval", 4)


def test_a_missing_split_is_an_error(tmp_path, examples):
    with pytest.raises(ValueError, match="test"):
        executor.validate(standard_artifacts.Model(), *examples, blessing_artifact(tmp_path), 4, 1.0, "test")


def test_the_component_gives_an_infra_blessing():
    channels = (standard_artifacts.Model, standard_artifacts.Examples, standard_artifacts.Examples)
    from tfx.types import channel_utils

    model, raw, featurized = (channel_utils.as_channel([kind()]) for kind in channels)
    validator = ServingValidator(model=model, examples=raw, features=featurized, n_images=4)
    assert validator.outputs["blessing"].type is standard_artifacts.InfraBlessing
