"""Whether a served model captions images as the Evaluator judged it, and survives a broken one.

The Evaluator reads stored features; users send images. Both paths must give the same captions, else what was
judged is not what is served.
"""

import dataclasses
from typing import Any, Final

import grpc
import numpy as np
import tensorflow as tf
from absl import logging
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from components.serving_validator.samples import Sample
from models import features
from serving.saved_model import SavedModel

# Captions whose log-probabilities differ by less are a tie that rounding decides: the two paths run other
# batch sizes, and float32 sums depend on these.
TIE: Final = 1e-3
_BATCH: Final = 7  # with the broken one, a batch of 8
BROKEN_IMAGE: Final = b"\xff\xd8\xff\xe0 starts as a JPEG and is none"
_FEATURES_INPUT: Final = "features"
_OUTPUTS: Final = (features.CAPTION_OUTPUT, features.LOG_PROB_OUTPUT)

# By name; a row for each image.
Outputs = dict[str, np.ndarray]


class Refused(Exception):
    """The candidate is not fit to serve; the message says why."""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The outcome of a trial.

    Attributes:
      reason: why the model is refused; empty if it is not.
      images: images compared.
      ties: captions that differ with equal log-probabilities.
      difference: largest difference of log-probabilities between equal captions, nats.
    """

    reason: str = ""
    images: int = 0
    ties: int = 0
    difference: float = 0.0


def compare(served: Outputs, evaluated: Outputs, samples: list[Sample]) -> Verdict:
    """Compares what a server said of images with what was evaluated.

    Args:
      served: of `ask_server`.
      evaluated: of `run_on_features`.
      samples: the images.

    Raises Refused at the first image that is not captioned as it should be.
    """
    ties = 0
    difference = 0.0
    for row, sample in enumerate(samples):
        captions, log_probs = (served[name][row] for name in _OUTPUTS)
        other_captions, other_log_probs = (evaluated[name][row] for name in _OUTPUTS)
        if captions.shape != other_captions.shape:
            raise Refused(f"it serves {captions.size} captions an image and evaluates {other_captions.size}")
        if not (np.isfinite(log_probs).all() and np.isfinite(other_log_probs).all()):
            raise Refused(f"image {sample.image_id!r}: the log-probabilities are not numbers: {log_probs}")
        gaps = np.abs(log_probs - other_log_probs)
        for k in np.flatnonzero(captions != other_captions):
            if gaps[k] > TIE:
                raise Refused(
                    f"image {sample.image_id!r}, caption {k + 1}: the server says "
                    f"{_text(captions[k])} (log-probability {log_probs[k]:.4f}), but from the features that "
                    f"were evaluated it is {_text(other_captions[k])} ({other_log_probs[k]:.4f})"
                )
            ties += 1
            logging.info(
                "Image %s, caption %d: a tie between %s and %s",
                sample.image_id,
                k + 1,
                _text(captions[k]),
                _text(other_captions[k]),
            )
        difference = max(difference, float(gaps[captions == other_captions].max(initial=0.0)))
    return Verdict(images=len(samples), ties=ties, difference=difference)


def ask_server(address: str, samples: list[Sample], timeout_s: float) -> Outputs:
    """Returns a server's captions and log-probabilities, asked in batches with a broken image in each.

    Args:
      address: `host:port` of a server that is ready.
      samples: images and their features.
      timeout_s: for each call.

    Raises Refused if it does not answer, or captions a broken image, or not the others.
    """
    parts = []
    with grpc.insecure_channel(address, options=[("grpc.max_send_message_length", -1)]) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        for start in range(0, len(samples), _BATCH):
            batch = samples[start : start + _BATCH]
            broken = len(batch) // 2
            images = [sample.image for sample in batch]
            images.insert(broken, BROKEN_IMAGE)
            outputs = _predict(stub, images, timeout_s)
            _check_status(outputs, batch, broken)
            parts.append({name: np.delete(outputs[name], broken, axis=0) for name in _OUTPUTS})
    return {name: np.concatenate([part[name] for part in parts]) for name in _OUTPUTS}


def _predict(stub: Any, images: list[bytes], timeout_s: float) -> Outputs:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = features.MODEL_NAME
    request.model_spec.signature_name = features.SERVING_SIGNATURE
    request.inputs[features.IMAGE_BYTES_INPUT].CopyFrom(tf.make_tensor_proto(images))
    try:
        response = stub.Predict(request, timeout=timeout_s)
    except grpc.RpcError as error:
        raise Refused(
            f"the server answered {error.code().name} to {len(images)} images, one of them broken: "
            f"{error.details()}"
        ) from error
    outputs = {name: tf.make_ndarray(tensor) for name, tensor in response.outputs.items()}
    missing = {*_OUTPUTS, features.STATUS_OUTPUT} - set(outputs)
    if missing:
        raise Refused(f"the answer lacks {', '.join(sorted(missing))}; it has {', '.join(sorted(outputs))}")
    shapes = {name: array.shape for name, array in outputs.items()}
    if any(shape[:1] != (len(images),) for shape in shapes.values()):
        raise Refused(f"expected {len(images)} rows in each output; got {shapes}")
    return outputs


def _check_status(outputs: Outputs, batch: list[Sample], broken: int) -> None:
    status = [value.decode("utf-8", "replace") for value in outputs[features.STATUS_OUTPUT].tolist()]
    if status.pop(broken) == features.STATUS_OK or any(outputs[features.CAPTION_OUTPUT][broken]):
        raise Refused("a broken image is captioned; expected a status that names it and empty captions")
    for sample, reason in zip(batch, status, strict=True):
        if reason != features.STATUS_OK:
            raise Refused(f"image {sample.image_id!r} is not captioned: {reason}")


def run_on_features(model_path: str, samples: list[Sample]) -> Outputs:
    """Returns captions and log-probabilities of the SavedModel in `model_path`, run here on stored features.

    Raises Refused if it cannot.
    """
    try:
        model = SavedModel(model_path)
        try:
            parts = []
            for start in range(0, len(samples), _BATCH):
                stored = [sample.features for sample in samples[start : start + _BATCH]]
                inputs = {_FEATURES_INPUT: np.array([*stored, None], object)[:-1]}
                parts.append(model.run(features.FEATURES_SIGNATURE, inputs))
        finally:
            model.close()
    except (KeyError, ValueError, tf.errors.OpError) as error:
        raise Refused(
            f"its signature {features.FEATURES_SIGNATURE!r} does not caption the stored features: "
            f"{type(error).__name__}: {error}"
        ) from error
    return {name: np.concatenate([part[name] for part in parts]) for name in _OUTPUTS}


def _text(caption: bytes) -> str:
    return repr(caption.decode("utf-8", "replace"))
