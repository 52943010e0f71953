"""Images and their features, paired by content hash, from raw and featurized Examples."""

import dataclasses
import itertools
import os
from collections.abc import Iterator

import tensorflow as tf
from absl import logging

from models import features


@dataclasses.dataclass(frozen=True)
class Sample:
    """One image: its id, the encoded picture, and the stored features (float16 bytes)."""

    image_id: str
    image: bytes
    features: bytes


def read(examples_uri: str, features_uri: str, count: int) -> list[Sample]:
    """Returns the first `count` images of one split, without those that have no features.

    Args:
      examples_uri: folder of gzipped TFRecords with `content_hash` and `image/encoded`.
      features_uri: folder of gzipped TFRecords with `content_hash` and `image/features`.
      count: most images to take.

    Raises ValueError if no image is left.
    """
    # By content: two spans may use one image id for different pictures.
    images = {
        content: (image_id, image)
        for content, image_id, image in itertools.islice(_values(examples_uri, features.IMAGE_ENCODED), count)
    }
    found: dict[bytes, bytes] = {}
    for content, _, value in _values(features_uri, features.IMAGE_FEATURES):
        if content in images:
            found[content] = value
            if len(found) == len(images):
                break
    if len(found) < len(images):
        logging.warning("%d of %d images have no features", len(images) - len(found), len(images))
    if not found:
        raise ValueError(
            f"expected images in {examples_uri} with features in {features_uri}; none of the first {count} "
            "images is in both; featurize the same Examples"
        )
    return [
        Sample(image_id.decode(), image, found[content])
        for content, (image_id, image) in images.items()
        if content in found
    ]


def _values(uri: str, key: str) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Yields content hash, image id and the value of `key` of each Example."""
    files = sorted(tf.io.gfile.glob(os.path.join(uri, "*.gz")))
    for record in tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator():
        feature = tf.train.Example.FromString(record).features.feature
        content, image_id, value = (
            feature[name].bytes_list.value[0] for name in (features.CONTENT_HASH, features.IMAGE_ID, key)
        )
        yield content, image_id, value
