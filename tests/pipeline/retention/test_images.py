"""The images of the data are known by the same hash as their features."""

import hashlib
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from components.image_featurizer import pruning
from models.features import IMAGE_ENCODED
from pipeline.errors import UserError
from pipeline.retention import images


def write(folder: pathlib.Path, name: str, *pictures: bytes) -> pathlib.Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for picture in pictures:
            example = tf.train.Example()
            example.features.feature[IMAGE_ENCODED].bytes_list.value.append(picture)
            writer.write(example.SerializeToString())
    return path


def test_every_image_of_every_span_and_split(tmp_path: pathlib.Path):
    write(tmp_path / "data" / "span-0001", "train-00000-of-00001.tfrecord.gz", b"one", b"two")
    write(tmp_path / "data" / "span-0002", "eval-00000-of-00001.tfrecord.gz", b"three")
    write(tmp_path / "more" / "span-0001", "test-00000-of-00001.tfrecord.gz", b"four")
    found = images.hashes([str(tmp_path / "data"), str(tmp_path / "more")])
    pictures = (b"one", b"two", b"three", b"four")
    assert found.dtype == pruning.DIGEST
    expected = np.array([hashlib.sha256(picture).digest() for picture in pictures], pruning.DIGEST)
    assert np.array_equal(np.sort(found), np.sort(expected))


def test_a_span_that_cannot_be_read_costs_no_features(tmp_path: pathlib.Path):
    path = write(tmp_path / "span-0001", "train-00000-of-00001.tfrecord.gz", b"one" * 1000)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match=r"cannot be read.*import that span again"):
        images.hashes([str(tmp_path)])
