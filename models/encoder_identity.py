"""Which image encoder a SavedModel was built with: its fingerprint, where servers do not look."""

import os

import tensorflow as tf

_FILE = os.path.join("assets.extra", "encoder_fingerprint")


def write(model_path: str, fingerprint: str) -> None:
    """Notes the encoder's fingerprint beside the SavedModel in folder `model_path`."""
    path = os.path.join(model_path, _FILE)
    tf.io.gfile.makedirs(os.path.dirname(path))
    with tf.io.gfile.GFile(path, "w") as file:
        file.write(fingerprint)


def read(model_path: str) -> str:
    """Returns the fingerprint of the SavedModel's encoder; empty where it is not noted."""
    path = os.path.join(model_path, _FILE)
    if not tf.io.gfile.exists(path):
        return ""
    with tf.io.gfile.GFile(path) as file:
        return file.read()
