"""Which images there are in the data, by the hash of their bytes, as the feature store knows them."""

import hashlib
import pathlib
from collections.abc import Iterable

import numpy as np

from models.features import IMAGE_ENCODED
from pipeline.errors import UserError


def hashes(folders: Iterable[str]) -> np.ndarray:
    """Returns the SHA-256 of every image in every span of `folders`, of `pruning.DIGEST`: 32 bytes an image.

    Raises:
      UserError: a folder has no spans, or a span cannot be read.
    """
    import tensorflow as tf

    from components.image_featurizer import pruning

    found = bytearray()
    for folder in folders:
        shards = sorted(map(str, pathlib.Path(folder).glob("span-*/*.tfrecord.gz")))
        if not shards:
            raise UserError(
                f"no spans in {folder}, and without them the features of all images would go; give the "
                "folder that 'captioner run' was given, or leave --data out"
            )
        try:
            for record in tf.data.TFRecordDataset(shards, "GZIP").as_numpy_iterator():
                values = tf.train.Example.FromString(record).features.feature[IMAGE_ENCODED].bytes_list.value
                for image in values:
                    found += hashlib.sha256(image).digest()
        except (tf.errors.OpError, ValueError) as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise UserError(
                f"a span in {folder} cannot be read ({lines[0]}), so it is not known which features are "
                "needed; import that span again, or leave --data out"
            ) from error
    return np.frombuffer(bytes(found), pruning.DIGEST)
