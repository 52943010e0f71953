"""The Beam DoFn that turns raw Examples into Examples with features."""

import hashlib
import json
import threading
from collections.abc import Iterator
from typing import Any, Final

import apache_beam as beam
import numpy as np
import tensorflow as tf
from absl import logging
from apache_beam.transforms import window
from apache_beam.utils import shared
from apache_beam.utils.windowed_value import WindowedValue

from components.image_featurizer import progress
from components.image_featurizer.feature_store import FeatureReader, FeatureWriter
from models import features

NAMESPACE: Final = "image_featurizer"
COMPUTED: Final = "computed"
REUSED: Final = "reused"
FAILED: Final = "failed"
COUNTERS: Final = (COMPUTED, REUSED, FAILED)

_BATCH: Final = 32  # larger batches are no faster on a CPU and need more memory


class FeaturizeFn(beam.DoFn):
    """Serialized raw Examples -> serialized Examples with `image/features` and without `image/encoded`.

    Features are looked up in the store by the hash of the image; the others are computed in batches by the
    encoder, which a worker loads once and only when needed, and are added to the store.

    Outputs: main, and `failed`: a JSON line for each image that cannot be decoded.
    """

    def __init__(self, split: str, encoder_path: str, store_path: str, row_bytes: int, handle: shared.Shared):
        """Args: `handle` is one for all FeaturizeFns of a pipeline, so that they share a worker's encoder."""
        super().__init__()
        self._split = split
        self._encoder_path = encoder_path
        self._store_path = store_path
        self._row_bytes = row_bytes
        self._handle = handle
        self._counters = {
            name: beam.metrics.Metrics.counter(NAMESPACE, f"{name}/{split}") for name in COUNTERS
        }

    def setup(self) -> None:
        """Opens the store. The encoder waits for the first image that needs it."""
        self._shared: _Shared = self._handle.acquire(
            lambda: _Shared(self._encoder_path, FeatureReader(self._store_path, self._row_bytes))
        )

    def start_bundle(self) -> None:
        """Drops what a failed bundle left behind."""
        self._batch: list[tuple[tf.train.Example, bytes, bytes]] = []
        self._writer = FeatureWriter(self._store_path, self._row_bytes)

    def process(self, record: bytes) -> Iterator[Any]:
        """Takes one serialized Example."""
        example = tf.train.Example.FromString(record)
        images = example.features.feature[features.IMAGE_ENCODED].bytes_list.value
        if len(images) != 1:
            reason = f"{len(images)} values in {features.IMAGE_ENCODED}; expected 1"
            progress.add(len(record))
            yield self._failed(example, "", reason)
            return
        image = images[0]
        digest = hashlib.sha256(image).digest()
        row = self._shared.reader.find(digest)
        progress.add(len(record))
        if row is not None:
            self._counters[REUSED].inc()
            yield _featurized(example, row)
            return
        self._batch.append((example, image, digest))
        if len(self._batch) == _BATCH:
            yield from self._compute()

    def finish_bundle(self) -> Iterator[Any]:
        """Computes the rest, and writes what the store does not have yet."""
        for output in self._compute():
            if isinstance(output, beam.pvalue.TaggedOutput):
                yield beam.pvalue.TaggedOutput(output.tag, _windowed(output.value))
            else:
                yield _windowed(output)
        self._writer.flush()

    def _compute(self) -> Iterator[Any]:
        if not self._batch:
            return
        batch, self._batch = self._batch, []
        rows, ok = self._shared.encode(tf.constant([image for _, image, _ in batch]))
        rows = rows.numpy()
        if not np.isfinite(rows).all():
            raise ValueError(
                f"The image encoder in {self._encoder_path} gave features that are not finite: its "
                "weights are damaged. Check encoder.weights."
            )
        rows = rows.astype("<f2")  # exact: the encoder rounds to float16
        for (example, _, digest), row, good in zip(batch, rows, ok.numpy(), strict=True):
            if not good:
                yield self._failed(example, digest.hex(), features.STATUS_NOT_AN_IMAGE)
                continue
            data = row.tobytes()
            self._writer.add(digest, data)
            self._counters[COMPUTED].inc()
            yield _featurized(example, data)

    def _failed(self, example: tf.train.Example, content_hash: str, reason: str) -> beam.pvalue.TaggedOutput:
        ids = example.features.feature[features.IMAGE_ID].bytes_list.value
        image_id = ids[0].decode("utf-8", "replace") if ids else ""
        self._counters[FAILED].inc()
        logging.warning("Image %r of split %s is left out: %s", image_id, self._split, reason)
        line = {
            "image_id": image_id,
            "split": self._split,
            features.CONTENT_HASH: content_hash,
            "reason": reason,
        }
        return beam.pvalue.TaggedOutput(FAILED, json.dumps(line))


class _Shared:
    """What the DoFns of one process share: the index of the store, and the encoder once it is needed."""

    def __init__(self, encoder_path: str, reader: FeatureReader):
        self.reader = reader
        self._encoder_path = encoder_path
        self._lock = threading.Lock()
        self._encoder: Any = None

    def encode(self, image_bytes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """See `models.image_encoder.ImageEncoder.encode`."""
        with self._lock:
            if self._encoder is None:
                self._encoder = tf.saved_model.load(self._encoder_path)
        return self._encoder.encode(image_bytes)


def _featurized(example: tf.train.Example, row: bytes) -> bytes:
    del example.features.feature[features.IMAGE_ENCODED]
    example.features.feature[features.IMAGE_FEATURES].bytes_list.value[:] = [row]
    return example.SerializeToString(deterministic=True)


def _windowed(value: Any) -> WindowedValue:
    return WindowedValue(value, window.GlobalWindow().max_timestamp(), (window.GlobalWindow(),))
