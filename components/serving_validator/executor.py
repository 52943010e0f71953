"""The ServingValidator's work, apart from TFX's decorator: artifacts in, verdict out."""

import os
import tempfile
from concurrent import futures
from typing import Any, Final

from absl import logging
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils

from components.serving_validator import samples, trial
from components.serving_validator.server_process import ServerProcess
from models import features as names

# The names of TFX's InfraValidator, whose blessing the Pusher reads.
_BLESSED_FILE: Final = "INFRA_BLESSED"
_NOT_BLESSED_FILE: Final = "INFRA_NOT_BLESSED"


def validate(
    model: Any, examples: Any, features: Any, blessing: Any, n_images: int, timeout_s: float, split: str
) -> None:
    """Tries the candidate and writes the blessing; see `component.ServingValidator`."""
    if n_images < 1:
        raise ValueError(f"expected n_images of 1 or more; got {n_images}")
    pictures = samples.read(
        artifact_utils.get_split_uri([examples], split),
        artifact_utils.get_split_uri([features], split),
        n_images,
    )
    with tempfile.TemporaryDirectory() as folder:
        version = os.path.join(folder, names.MODEL_NAME, "1")
        io_utils.copy_dir(path_utils.serving_model_path(model.uri), version)
        verdict = _verdict(version, pictures, timeout_s)
    _write(blessing, verdict)


def _verdict(version: str, pictures: list[samples.Sample], timeout_s: float) -> trial.Verdict:
    try:
        # What is compared with it was computed in float32.
        with (
            ServerProcess(os.path.dirname(version), "--precision", "float32", "--poll", "0.5") as server,
            futures.ThreadPoolExecutor(1) as meanwhile,
        ):
            evaluated = meanwhile.submit(trial.run_on_features, version, pictures)
            server.wait_ready(timeout_s)
            served = trial.ask_server(server.address, pictures, timeout_s)
            return trial.compare(served, evaluated.result(), pictures)
    except trial.Refused as error:
        return trial.Verdict(reason=str(error))


def _write(blessing: Any, verdict: trial.Verdict) -> None:
    blessed = not verdict.reason
    io_utils.write_string_file(
        os.path.join(blessing.uri, _BLESSED_FILE if blessed else _NOT_BLESSED_FILE), ""
    )
    # A component that runs again after a kill finds what it wrote before.
    other = os.path.join(blessing.uri, _NOT_BLESSED_FILE if blessed else _BLESSED_FILE)
    if fileio.exists(other):
        fileio.remove(other)
    blessing.set_int_custom_property("blessed", int(blessed))
    blessing.set_string_custom_property("reason", verdict.reason)
    blessing.set_int_custom_property("images", verdict.images)
    blessing.set_int_custom_property("ties", verdict.ties)
    if blessed:
        logging.info(
            "The server captions %d images as evaluated (%d ties, log-probabilities within %.2g)",
            verdict.images,
            verdict.ties,
            verdict.difference,
        )
    else:
        logging.error("The candidate is not fit to serve: %s", verdict.reason)
