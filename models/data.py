"""Input of the trainer: a split in memory, and its batches by length."""

import dataclasses
import hashlib
import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from absl import logging

from models.features import ACTION_WORDS, IMAGE_FEATURES, IMAGE_ID, MASK_ID, TOKEN_IDS, UNK_ID

# Captions of about one length share a batch, so that little of it is padding. Bounds on tokens (with START
# and STOP); where XLA compiles the training step, it does so for each of them, so there are few.
_BUCKETS = (8, 11, 14, 18, 24, 32)


@dataclasses.dataclass(frozen=True)
class Split:
    """Captions and features of a split.

    Attributes:
      image_ids: N strings.
      features: float16 [N, R, D].
      tokens: int32 [M, L], START words STOP MASK...
      images: int32 [M], the row of `features` that a caption describes.
    """

    image_ids: list[str]
    features: np.ndarray
    tokens: np.ndarray
    images: np.ndarray

    def __len__(self) -> int:
        return len(self.tokens)

    def digest(self) -> str:
        """Names the content: the same wherever the split was read from, and in whichever order of images."""
        images = [
            hashlib.sha256(b"%s\0%s" % (image_id.encode(), features.tobytes()))
            for image_id, features in zip(self.image_ids, self.features, strict=True)
        ]
        for image, caption in zip(self.images, self.tokens, strict=True):
            images[image].update(caption.tobytes())
        return hashlib.sha256(b"".join(sorted(image.digest() for image in images))).hexdigest()

    def shuffled(self, seed: int) -> "Split":
        """Every image with the captions of another: what no model can learn from."""
        order = np.random.default_rng(seed).permutation(len(self.image_ids))
        return dataclasses.replace(self, images=np.roll(order, 1)[np.argsort(order)][self.images])

    def texts(self, words: Sequence[str]) -> Iterator[str]:
        """Yields every caption as text, `words` being the vocabulary."""
        for row in self.tokens:
            yield " ".join(words[token] for token in row if token >= len(ACTION_WORDS) or token == UNK_ID)


def load_split(file_patterns, data_accessor, schema, feature_shape: tuple[int, int], length: int) -> Split:
    """Reads a transformed split.

    Args:
      file_patterns, data_accessor, schema: as TFX's Trainer gives them.
      feature_shape: (R, D) that the encoder makes.
      length: tokens a caption L.

    Raises:
      ValueError: there are no captions, or features have another size.
    """
    from tfx_bsl.public import tfxio

    dataset = data_accessor.tf_dataset_factory(
        file_patterns, tfxio.TensorFlowDatasetOptions(batch_size=256, shuffle=False, num_epochs=1), schema
    )
    regions, width = feature_shape
    image_ids: list[str] = []
    features = [np.zeros((0, regions, width), np.float16)]
    tokens, images = [np.zeros((0, length), np.int32)], [np.zeros(0, np.int32)]
    for batch in dataset:
        first = len(image_ids)
        image_ids += [image_id.decode("utf-8") for image_id in batch[IMAGE_ID].numpy().reshape(-1)]
        rows = batch[IMAGE_FEATURES].numpy().reshape(-1)
        for stored in rows:
            if len(stored) != 2 * regions * width:
                raise ValueError(
                    f"expected features of {regions} regions x {width} in float16 "
                    f"({2 * regions * width} bytes), got {len(stored)} bytes: they are another encoder's; "
                    "run the ImageFeaturizer again"
                )
        features.append(np.frombuffer(b"".join(rows), "<f2").reshape(-1, regions, width))
        sparse = batch[TOKEN_IDS]
        # Every image's captions follow one another, `length` ids each.
        of_image, ids = sparse.indices.numpy()[:, 0], sparse.values.numpy()
        tokens.append(ids.reshape(-1, length).astype(np.int32))
        images.append(first + of_image[::length].astype(np.int32))
    split = Split(image_ids, _joined(features), _joined(tokens), _joined(images))
    if not len(split):
        raise ValueError(
            f"no captions to learn from in {file_patterns}: expected at least one caption whose words are "
            "all in the vocabulary; lower corpus.min_images or set corpus.drop_captions_with_rare_words=false"
        )
    wordless = len(split.image_ids) - len(np.unique(split.images))
    logging.info("%d captions of %d images, %d images have none", len(split), len(split.image_ids), wordless)
    return split


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    """As np.concatenate, but takes the parts out of the list: features are hardly ever in memory twice."""
    whole = np.empty((sum(map(len, parts)), *parts[0].shape[1:]), parts[0].dtype)
    end = len(whole)
    while parts:
        part = parts.pop()
        whole[end - len(part) : end] = part
        end -= len(part)
    return whole


class Batch(NamedTuple):
    """Captions of about one length.

    Attributes:
      length: tokens to which they can be cut without losing any: the bound of their bucket.
      rows: which captions, int [at most the batch size].
    """

    length: int
    rows: np.ndarray


class Block(NamedTuple):
    """Batches for several steps in one call; always of one shape, so that it is traced once.

    Attributes:
      rows: captions, int32 [S, B]; -1 where a batch has less than B.
      buckets: int32 [S], place of each batch's length in `lengths`.
      steps: how many of the S batches there are.
    """

    rows: np.ndarray
    buckets: np.ndarray
    steps: int


def lengths(split: Split) -> list[int]:
    """The lengths that batches of `split` have, rising: the compiled training step has a branch for each."""
    return sorted(set(_bounds(split).tolist()))


def batches(split: Split, batch_size: int, rng: np.random.Generator | None) -> Iterator[Batch]:
    """Yields every caption once in batches of about one length, shuffled by `rng`."""
    bounds = _bounds(split)
    order = rng.permutation(len(split)) if rng else np.arange(len(split))
    parts = []
    for length in lengths(split):
        rows = order[bounds[order] == length]
        parts += [Batch(length, rows[i : i + batch_size]) for i in range(0, len(rows), batch_size)]
    for place in rng.permutation(len(parts)) if rng else range(len(parts)):
        yield parts[place]


def blocks(split: Split, batch_size: int, steps: int, rng: np.random.Generator | None) -> Iterator[Block]:
    """Yields the batches of `batches` in their order, `steps` at a time."""
    places = {length: place for place, length in enumerate(lengths(split))}
    pending = batches(split, batch_size, rng)
    while part := list(itertools.islice(pending, steps)):
        rows, buckets = np.full((steps, batch_size), -1, np.int32), np.zeros(steps, np.int32)
        for step, batch in enumerate(part):
            rows[step, : len(batch.rows)] = batch.rows
            buckets[step] = places[batch.length]
        yield Block(rows, buckets, len(part))


def batch_count(split: Split, batch_size: int) -> int:
    """How many batches `batches` yields."""
    _, captions = np.unique(_bounds(split), return_counts=True)
    return int((-(-captions // batch_size)).sum())


def _bounds(split: Split) -> np.ndarray:
    """The bound of each caption's bucket, int [M]."""
    longest = split.tokens.shape[1]
    bounds = np.array([*(bound for bound in _BUCKETS if bound < longest), longest])
    return bounds[np.searchsorted(bounds, (split.tokens != MASK_ID).sum(axis=1))]
