"""Warm-up requests inside a SavedModel: servers run them before a version takes requests.

TensorFlow Serving's convention: `assets.extra/tf_serving_warmup_requests`, a TFRecord of PredictionLog.
"""

import os
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Final

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from models import features

# Signatures for clients: what they read beside images.
_INPUTS: Final = {
    features.SERVING_SIGNATURE: (),
    features.BEAM_SIGNATURE: features.BEAM_OPTIONS,
    features.SAMPLE_SIGNATURE: features.SAMPLE_OPTIONS,
    features.GREEDY_SIGNATURE: (),
    features.SCORE_SIGNATURE: (features.CAPTION_INPUT,),
    features.ATTENTION_SIGNATURE: (),
}
_MOST: Final = 8  # images that servers run together; of the signature that most ask for, twice as many
# The search of these is what `decode.xla` compiles.
_SEARCHES: Final = (
    features.SERVING_SIGNATURE,
    features.BEAM_SIGNATURE,
    features.GREEDY_SIGNATURE,
    features.ATTENTION_SIGNATURE,
)


def plan(signatures: Container[str], xla: bool) -> Iterator[tuple[str, int]]:
    """Yields what to warm up of a model with these signatures: a signature and a batch size each.

    A signature's first run takes seconds, because TensorFlow optimises its graph; of another batch size it
    takes little more than later ones. But XLA compiles for each: then for batches of up to 8, and the server
    of such a model is given `--max-batch 8`.
    """
    for signature in _INPUTS:
        if signature in signatures:
            if xla and signature in _SEARCHES:
                sizes: Sequence[int] = range(1, _MOST + 1)
            else:
                sizes = (1, 2, 4, _MOST, 2 * _MOST) if signature == features.SERVING_SIGNATURE else (1, _MOST)
            for size in sizes:
                yield signature, size


def image_requests(image: bytes, sizes: Iterable[tuple[str, int]]) -> Iterator[predict_pb2.PredictRequest]:
    """Yields a request for each signature and batch size, `image` (an encoded picture) in every row."""
    for signature, size in sizes:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = features.MODEL_NAME
        request.model_spec.signature_name = signature
        request.inputs[features.IMAGE_BYTES_INPUT].CopyFrom(tf.make_tensor_proto([image] * size))
        for name in _INPUTS[signature]:
            value = b"a" if name == features.CAPTION_INPUT else _unset(name)
            request.inputs[name].CopyFrom(tf.make_tensor_proto([value] * size))
        yield request


def _unset(option: str) -> np.generic:
    return np.dtype(features.OPTION_DTYPES[option]).type(features.UNSET)


def grey_jpeg() -> bytes:
    """Returns a picture of the encoder's size: what is in it does not matter for warming up."""
    return tf.io.encode_jpeg(tf.fill([299, 299, 3], tf.constant(128, tf.uint8))).numpy()


def write_warmup(model_dir: str, requests: Iterable[predict_pb2.PredictRequest]) -> str:
    """Writes warm-up requests into the SavedModel in folder `model_dir` and returns the file's path."""
    folder = os.path.join(model_dir, "assets.extra")
    tf.io.gfile.makedirs(folder)
    path = os.path.join(folder, "tf_serving_warmup_requests")
    with tf.io.TFRecordWriter(path) as writer:
        for request in requests:
            log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
            writer.write(log.SerializeToString())
    return path
