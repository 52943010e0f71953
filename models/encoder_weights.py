"""Where the image encoder's weights come from. Light: imports neither TensorFlow nor Keras."""

import hashlib
import os
import pathlib
from typing import Final

IMAGENET_FILE: Final = "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
RANDOM: Final = "random"
IMAGENET: Final = "imagenet"
AUTO: Final = "auto"


def imagenet_cache_path() -> pathlib.Path:
    """Returns where `keras.applications` keeps (or would put) its InceptionV3 weights without top."""
    home = pathlib.Path.home()
    if not os.access(home, os.W_OK):  # the rules of keras.config
        home = pathlib.Path("/tmp")
    return pathlib.Path(os.environ.get("KERAS_HOME", home / ".keras")) / "models" / IMAGENET_FILE


def resolve_weights(weights: str) -> str:
    """Returns `weights`, with `auto` replaced by what this machine has.

    `auto` is `imagenet` when Keras's cache already holds these weights and `random` otherwise, so that it
    never downloads anything.
    """
    if weights != AUTO:
        return weights
    return IMAGENET if imagenet_cache_path().is_file() else RANDOM


def file_sha256(path: str | os.PathLike[str]) -> str:
    """Returns the hex SHA-256 of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
