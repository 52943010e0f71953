"""The ImageFeaturizer: the encoder's features for every good image, each computed once in its life."""

import hashlib
import json
import pathlib

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
from apache_beam.runners.portability.flink_runner import FlinkRunner
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from tfx import types
from tfx import v1 as tfx
from tfx.utils import path_utils

from components.image_featurizer import component, executor, feature_store
from models import features, image_encoder, inception
from models.config import EncoderConfig

CONFIG = EncoderConfig(weights="random", layer="mixed0", pooling="grid", grid_size=2, seed=5)
BAD = b"\xff\xd8 not a whole JPEG"


@pytest.fixture(scope="module")
def images() -> list[bytes]:
    pictures = inception.dead_leaves(np.random.default_rng(0), 45)
    return [tf.io.encode_jpeg(((p[:150, :200] + 1) * 127.5).astype(np.uint8)).numpy() for p in pictures]


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> pathlib.Path:
    """A store that holds the encoder and no features."""
    store = tmp_path_factory.mktemp("store")
    fingerprint = image_encoder.encoder_fingerprint(CONFIG)
    executor.place_encoder(CONFIG, str(store / fingerprint), str(tmp_path_factory.mktemp("placed")))
    return store


@pytest.fixture
def store(built, tmp_path) -> str:
    """A store of its own for each test, without building the encoder again."""
    fingerprint = image_encoder.encoder_fingerprint(CONFIG)
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / fingerprint).symlink_to(tmp_path / "mine")
    (tmp_path / "mine").mkdir()
    for entry in (built / fingerprint).iterdir():
        (tmp_path / "mine" / entry.name).symlink_to(entry)
    return str(tmp_path / "store")


@pytest.fixture(scope="module")
def expected(built):
    """The slow way: the encoder on one image alone -> float16 bytes."""
    fingerprint = image_encoder.encoder_fingerprint(CONFIG)
    note = json.loads((built / fingerprint / "encoder.json").read_text())
    encoder = tf.saved_model.load(str(built / fingerprint / note["encoder"]))

    def features_of(image: bytes) -> np.ndarray:
        return encoder.encode(tf.constant([image]))[0].numpy()[0]

    return features_of


def raw_example(name: str, image: bytes) -> bytes:
    def feature(*values: bytes) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))

    content = {
        features.IMAGE_ID: feature(name.encode()),
        features.IMAGE_ENCODED: feature(image),
        features.CAPTIONS: feature(b"a picture", f"picture {name}".encode()),
        features.CONTENT_HASH: feature(hashlib.sha256(image).hexdigest().encode()),
        features.WIDTH: tf.train.Feature(int64_list=tf.train.Int64List(value=[200])),
    }
    return tf.train.Example(features=tf.train.Features(feature=content)).SerializeToString()


def raw_examples(folder: pathlib.Path, splits: dict[str, dict[str, bytes]]) -> types.Artifact:
    artifact = tfx.types.standard_artifacts.Examples()
    artifact.uri = str(folder)
    artifact.split_names = json.dumps(list(splits))
    artifact.set_string_custom_property("span", "7")
    artifact.set_string_custom_property("payload_format", "FORMAT_TF_EXAMPLE")
    artifact.set_string_custom_property("file_format", "tfrecords_gzip")
    for split, content in splits.items():
        path = folder / f"Split-{split}"
        path.mkdir(parents=True)
        with tf.io.TFRecordWriter(str(path / "data-00000-of-00001.gz"), "GZIP") as writer:
            for name, image in content.items():
                writer.write(raw_example(name, image))
    return artifact


def featurize(examples: types.Artifact, out: pathlib.Path, store: str, argv: tuple[str, ...] = (), **changes):
    featurized = tfx.types.standard_artifacts.Examples()
    featurized.uri = str(out / "featurized")
    encoder = tfx.types.standard_artifacts.Model()
    encoder.uri = str(out / "encoder")
    for artifact in (featurized, encoder):
        pathlib.Path(artifact.uri).mkdir(parents=True, exist_ok=True)
    config = CONFIG.replace(**changes).to_json()
    executor.featurize(examples, featurized, encoder, config, store, beam.Pipeline(argv=list(argv)))
    return featurized, encoder


def read(artifact: types.Artifact, split: str) -> dict[str, tf.train.Example]:
    files = [str(path) for path in pathlib.Path(artifact.uri, f"Split-{split}").iterdir()]
    examples = map(tf.train.Example.FromString, tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator())
    return {e.features.feature[features.IMAGE_ID].bytes_list.value[0].decode(): e for e in examples}


def row_of(example: tf.train.Example) -> np.ndarray:
    (data,) = example.features.feature[features.IMAGE_FEATURES].bytes_list.value
    return np.frombuffer(data, "<f2").reshape(4, 256)


def counts(artifact: types.Artifact) -> tuple[int, int, int]:
    return tuple(artifact.get_int_custom_property(f"images_{n}") for n in ("computed", "reused", "failed"))


def named(images: list[bytes], first: int, last: int) -> dict[str, bytes]:
    return {f"image-{i}": images[i] for i in range(first, last)}


@pytest.mark.parametrize("argv", [(), ("--direct_running_mode=multi_threading", "--direct_num_workers=2")])
def test_features_are_the_encoders_and_the_rest_passes_unchanged(images, store, expected, tmp_path, argv):
    splits = {
        "train": named(images, 0, 40),
        "eval": named(images, 40, 45),
    }  # over and under a batch
    raw = raw_examples(tmp_path / "raw", splits)
    featurized, _ = featurize(raw, tmp_path / "out", store, argv)
    assert counts(featurized) == (45, 0, 0)
    for split, content in splits.items():
        before, after = read(raw, split), read(featurized, split)
        assert after.keys() == content.keys()
        for name, example in after.items():
            np.testing.assert_allclose(row_of(example), expected(content[name]), rtol=2e-3, atol=2e-3)
            del example.features.feature[features.IMAGE_FEATURES]
            del before[name].features.feature[features.IMAGE_ENCODED]
            assert example == before[name]


def test_artifacts_say_what_they_are(images, store, tmp_path):
    raw = raw_examples(tmp_path / "raw", {"train": named(images, 0, 2), "test": named(images, 2, 3)})
    featurized, encoder = featurize(raw, tmp_path / "out", store)
    assert json.loads(featurized.split_names) == ["train", "test"]
    assert featurized.get_string_custom_property("span") == "7"
    assert featurized.get_string_custom_property("payload_format") == "FORMAT_TF_EXAMPLE"
    assert featurized.get_string_custom_property("file_format") == "tfrecords_gzip"
    fingerprint = image_encoder.encoder_fingerprint(CONFIG)
    assert featurized.get_string_custom_property("encoder_fingerprint") == fingerprint
    assert encoder.get_int_custom_property("regions") == 4
    assert encoder.get_int_custom_property("width") == 256
    loaded = tf.saved_model.load(path_utils.serving_model_path(encoder.uri))
    rows, _ = loaded.encode(tf.constant([images[2]]))
    np.testing.assert_array_equal(rows.numpy()[0], row_of(read(featurized, "test")["image-2"]))


def test_a_second_run_computes_nothing_and_writes_the_same(images, store, tmp_path, monkeypatch):
    raw = raw_examples(tmp_path / "raw", {"train": named(images, 0, 35)})
    first, _ = featurize(raw, tmp_path / "first", store)
    monkeypatch.setattr(tf.saved_model, "load", _must_not_be_called)
    monkeypatch.setattr(image_encoder, "build_encoder", _must_not_be_called)
    second, _ = featurize(raw, tmp_path / "second", store)
    assert counts(second) == (0, 35, 0)
    assert read(second, "train") == read(first, "train")


def _must_not_be_called(*_, **__):
    raise AssertionError("the encoder was needed")


def test_in_a_new_span_only_new_images_are_computed(images, store, tmp_path):
    featurize(raw_examples(tmp_path / "one", {"train": named(images, 0, 10)}), tmp_path / "a", store)
    moved = {"renamed": images[3], **named(images, 8, 14)}  # by content, under any id and in any split
    span = raw_examples(tmp_path / "two", {"train": named(images, 14, 16), "eval": moved})
    featurized, _ = featurize(span, tmp_path / "b", store)
    assert counts(featurized) == (6, 3, 0)


def test_another_encoder_shares_nothing(images, store, tmp_path):
    raw = raw_examples(tmp_path / "raw", {"train": named(images, 0, 3)})
    featurize(raw, tmp_path / "a", store)
    featurized, encoder = featurize(raw, tmp_path / "b", store, pooling="pool")
    assert counts(featurized) == (3, 0, 0)
    assert encoder.get_int_custom_property("regions") == 1


def test_bad_images_are_set_aside_and_cost_no_good_one(images, store, tmp_path):
    content = {"bad-1": BAD, **named(images, 0, 34), "bad-2": b""}
    featurized, _ = featurize(raw_examples(tmp_path / "raw", {"train": content}), tmp_path / "out", store)
    assert counts(featurized) == (34, 0, 2)
    assert read(featurized, "train").keys() == named(images, 0, 34).keys()
    lines = pathlib.Path(featurized.uri, "rejected.jsonl").read_text().splitlines()
    rejected = {line["image_id"]: line for line in map(json.loads, lines)}
    assert rejected.keys() == {"bad-1", "bad-2"}
    assert rejected["bad-1"]["split"] == "train"
    assert rejected["bad-1"]["content_hash"] == hashlib.sha256(BAD).hexdigest()
    assert rejected["bad-1"]["reason"] == features.STATUS_NOT_AN_IMAGE


def test_a_split_without_a_good_image_fails(images, store, tmp_path):
    raw = raw_examples(tmp_path / "raw", {"train": named(images, 0, 2), "eval": {"bad": BAD}})
    with pytest.raises(ValueError, match=r"Split 'eval' has no image that can be decoded \(1 failed"):
        featurize(raw, tmp_path / "out", store)


def test_packs_of_a_run_that_died_are_found_again(images, store, tmp_path, monkeypatch):
    add = feature_store.FeatureWriter.add

    def die_at_the_end(writer, digest, row):
        if digest == hashlib.sha256(images[44]).digest():
            raise MemoryError("as if killed")
        add(writer, digest, row)
        writer.flush()

    raw = raw_examples(tmp_path / "raw", {"train": named(images, 0, 45)})
    with monkeypatch.context() as patch:
        patch.setattr(feature_store.FeatureWriter, "add", die_at_the_end)
        with pytest.raises(Exception, match="as if killed"):
            featurize(raw, tmp_path / "dead", store)
    featurized, _ = featurize(raw, tmp_path / "out", store)
    assert counts(featurized) == (1, 44, 0)
    assert len(read(featurized, "train")) == 45


def test_a_job_that_fails_goes_on_behind_what_it_has_computed(images, store, tmp_path, monkeypatch):
    add = feature_store.FeatureWriter.add
    died = []

    def die_once(writer, digest, row):
        if digest == hashlib.sha256(images[44]).digest() and not died:
            died.append(digest)
            raise MemoryError("as if killed")
        add(writer, digest, row)
        writer.flush()

    monkeypatch.setattr(feature_store.FeatureWriter, "add", die_once)
    raw = raw_examples(tmp_path / "raw", {"train": named(images, 0, 45)})
    featurized, _ = featurize(raw, tmp_path / "out", store)
    assert died
    assert counts(featurized) == (1, 44, 0)
    assert len(read(featurized, "train")) == 45


def test_what_a_killed_attempt_wrote_into_the_same_folder_is_no_part_of_the_next(images, store, tmp_path):
    """Kubeflow gives a task that is tried again the same folders."""
    out = tmp_path / "out" / "featurized"
    raw = raw_examples(tmp_path / "raw", {"train": named(images, 0, 3)})
    for left in ("Split-train/beam-temp-data_tfrecord-1", "beam-temp-rejected.jsonl-1"):
        (out / left).mkdir(parents=True)
        (out / left / "half").write_text("half")
    with tf.io.TFRecordWriter(str(out / "Split-train" / "data_tfrecord-00001-of-00002.gz"), "GZIP") as writer:
        writer.write(raw_example("left", images[9]))
    featurized, _ = featurize(raw, tmp_path / "out", store)
    assert read(featurized, "train").keys() == named(images, 0, 3).keys()
    assert {path.name for path in out.iterdir()} == {"Split-train", "rejected.jsonl"}


def test_features_lie_in_files_of_a_bounded_size(images, store, tmp_path, monkeypatch):
    """So that several workers can read them, and none has to unpack all at once."""
    raw = raw_examples(tmp_path / "raw", {"train": named(images, 0, 7)})
    whole, _ = featurize(raw, tmp_path / "one", store)
    row_bytes = 2 * 2 * 256 * 2  # a grid of float16
    monkeypatch.setattr(executor, "_FILE_BYTES", 3 * (row_bytes + executor._OTHER_BYTES))
    parts, _ = featurize(raw, tmp_path / "parts", store)
    assert read(parts, "train") == read(whole, "train")
    assert len(list(pathlib.Path(whole.uri, "Split-train").iterdir())) == 1
    assert len(list(pathlib.Path(parts.uri, "Split-train").iterdir())) == 3


def test_other_formats_are_refused(images, store, tmp_path):
    raw = raw_examples(tmp_path / "raw", {"train": named(images, 0, 1)})
    raw.set_string_custom_property("file_format", "FILE_FORMAT_PARQUET")
    with pytest.raises(ValueError, match=r"reads tf\.Examples in gzipped TFRecords .* got .*PARQUET"):
        featurize(raw, tmp_path / "out", store)


def test_the_direct_runner_stays_in_this_process(images, store, tmp_path):
    """Beam's DirectRunner would try to download and start Prism."""
    pipeline = beam.Pipeline(argv=["--runner=DirectRunner"])
    assert executor._use_this_process(pipeline)
    assert isinstance(pipeline.runner, FnApiRunner)


def test_progress_is_not_looked_for_where_workers_are_processes_of_their_own():
    pipeline = beam.Pipeline(argv=["--runner=DirectRunner", "--direct_running_mode=multi_processing"])
    assert not executor._use_this_process(pipeline)
    assert isinstance(pipeline.runner, FnApiRunner)


def test_other_runners_stay_what_they_are():
    pipeline = beam.Pipeline(argv=["--runner=FlinkRunner", "--flink_master=flink:8081"])
    assert not executor._use_this_process(pipeline)
    assert isinstance(pipeline.runner, FlinkRunner)


def test_the_component_takes_its_place_in_a_pipeline():
    examples = types.channel_utils.as_channel([tfx.types.standard_artifacts.Examples()])
    node = component.ImageFeaturizer(
        examples=examples, encoder_config=CONFIG.to_json(), store_dir="store", code_version="1"
    ).with_beam_pipeline_args(["--runner=DirectRunner"])
    assert node.outputs["featurized"].type_name == "Examples"
    assert node.outputs["encoder"].type_name == "Model"
    assert node.exec_properties["code_version"] == "1"
