"""One loaded SavedModel, run as TensorFlow Serving runs it.

It is loaded by the session loader, which is the code path of TensorFlow Serving: a model that only reloads in
Python (Keras 3 can write such models) fails here as it would fail there. Closing the session gives all its
memory back.
"""

import pathlib
import threading
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import tensorflow as tf
from absl import logging
from tensorflow_serving.apis import prediction_log_pb2

from models import features
from serving import codec
from serving.precision import FLOAT32, configure
from serving.scheduling import Arrays

WARMUP_FILE: Final = pathlib.PurePath("assets.extra", "tf_serving_warmup_requests")
_MAX_WARMUP_RECORDS: Final = 1000  # TensorFlow Serving's limit


class SavedModel:
    """A SavedModel in memory. `run` may be called from several threads at once."""

    def __init__(self, path: str | pathlib.Path, precision: str = FLOAT32):
        """Loads the version in folder `path`. Raises OSError, RuntimeError or tf.errors.OpError.

        `precision`, float32 or bfloat16, is that of its image encoder.
        """
        self.path = pathlib.Path(path)
        graph = tf.Graph()
        config = tf.compat.v1.ConfigProto()
        config.gpu_options.allow_growth = True  # another version is loaded beside this one during a swap
        # A second pass of the optimizers, and TFG's, make a first run half as long again, and later ones no
        # faster.
        rewriting = config.graph_options.rewrite_options
        rewriting.meta_optimizer_iterations = rewriting.ONE
        rewriting.disable_tfg_optimizer = True
        configure(config, precision)
        self._session = tf.compat.v1.Session(graph=graph, config=config)
        try:
            with graph.as_default():
                meta = tf.compat.v1.saved_model.load(self._session, [tf.saved_model.SERVING], str(path))
        except BaseException:
            self._session.close()
            raise
        # Name -> tensorflow.SignatureDef
        self.signatures: dict[str, Any] = dict(meta.signature_def)
        self._defaults = {
            name: {key: tf.make_ndarray(value) for key, value in definition.defaults.items()}
            for name, definition in self.signatures.items()
        }
        self._callables: dict[str, Callable[..., list[Any]]] = {}
        self._lock = threading.Lock()

    def run(self, signature: str, inputs: Arrays) -> Arrays:
        """Returns the outputs of `signature` by name. Raises tf.errors.OpError, ValueError.

        An input that is missing has the signature's default, if there is one.
        """
        definition = self.signatures[signature]
        inputs = self._defaults[signature] | inputs
        values = self._callable(signature)(*(inputs[name] for name in sorted(definition.inputs)))
        return dict(zip(sorted(definition.outputs), map(np.asarray, values), strict=True))

    def _callable(self, signature: str) -> Callable[..., list[Any]]:
        with self._lock:
            if signature not in self._callables:
                definition = self.signatures[signature]
                self._callables[signature] = self._session.make_callable(
                    [definition.outputs[name].name for name in sorted(definition.outputs)],
                    feed_list=[definition.inputs[name].name for name in sorted(definition.inputs)],
                )
            return self._callables[signature]

    def warm_up(self) -> int:
        """Runs the requests that came with the model, so that no caller pays for the first run.

        Returns the number of requests run; 0 if the model has none. Raises what `run` raises.
        """
        path = self.path / WARMUP_FILE
        if not path.is_file():
            return 0
        count = 0
        for record in tf.data.TFRecordDataset(str(path), buffer_size=1 << 20).as_numpy_iterator():
            log = prediction_log_pb2.PredictionLog.FromString(record)
            if log.WhichOneof("log_type") != "predict_log":
                logging.warning(
                    "%s: skipped a %s; only Predict is warmed up", path, log.WhichOneof("log_type")
                )
                continue
            if count == _MAX_WARMUP_RECORDS:
                raise ValueError(f"{path} has more than {_MAX_WARMUP_RECORDS} requests")
            request = log.predict_log.request
            inputs = {name: codec.read(tensor) for name, tensor in request.inputs.items()}
            self.run(request.model_spec.signature_name or features.SERVING_SIGNATURE, inputs)
            count += 1
        return count

    def close(self) -> None:
        """Frees the model's memory; it cannot run any more."""
        self._callables.clear()
        self._session.close()
