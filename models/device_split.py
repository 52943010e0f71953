"""A split where the steps can reach it without Python: in the memory of each device, if it fits there."""

import numpy as np
import tensorflow as tf
from absl import logging
from tensorflow.python.client import device_lib

from models.data import Split
from models.features import MASK_ID

# Of a GPU's memory, the share that features may take: the rest is for the model, its optimizer and a step.
_SHARE = 0.5
_HOST = "CPU:0"


class DeviceSplit:
    """Features and tokens of a split for a graph; made within the scope of the distribution strategy.

    Args:
      split: features [N, R, D], tokens [M, L], images [M].
      on_device: copy the features to each device; else they stay in the host's memory and are gathered there,
        so that only those of a batch are copied.
    """

    def __init__(self, split: Split, on_device: bool = True):
        self._gather = _gather if on_device else _gather_on_host
        if on_device:
            self._features = tf.Variable(split.features, trainable=False)
        else:
            with tf.device(_HOST):
                self._features = tf.convert_to_tensor(split.features)
        # int64, since TensorFlow keeps int32 variables off GPUs.
        self._tokens = tf.Variable(split.tokens.astype(np.int64), trainable=False)
        self._images = tf.Variable(split.images.astype(np.int64), trainable=False)

    def batch(self, rows, length):
        """Captions `rows` [B] -> features [B, R, D] and tokens int32 [B, length]; a row of -1 is all MASK.

        `length` is an int, or an int32 scalar of the graph.
        """
        real = rows >= 0
        rows = tf.maximum(rows, 0)
        tokens = tf.cast(tf.gather(self._tokens, rows)[:, :length], tf.int32)
        features = self.features(tf.gather(self._images, rows))
        return features, tf.where(real[:, None], tokens, MASK_ID)

    def features(self, images):
        """Images [B] -> features [B, R, D]; -1 gives those of any image."""
        return self._gather(self._features, tf.maximum(images, 0))


def _gather(features, images):
    return tf.gather(features, images)


def _gather_on_host(features, images):
    with tf.device(_HOST):
        return tf.gather(features, images)


def fits(splits: list[Split]) -> bool:
    """Whether the features of `splits` can be copied to each GPU. Without a GPU they are where they are."""
    gpus = [device for device in device_lib.list_local_devices() if device.device_type == "GPU"]
    if not gpus:
        return True
    size, limit = sum(split.features.nbytes for split in splits), min(gpu.memory_limit for gpu in gpus)
    if size <= _SHARE * limit:
        return True
    logging.warning(
        "%.1f GB of features stay in the host's memory, which is slower: they are more than half of the %.1f "
        "GB of the GPU; a smaller encoder.grid_size or encoder.pooling=pool makes them smaller",
        size / 1e9,
        limit / 1e9,
    )
    return False
