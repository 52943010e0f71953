"""A split in memory and its batches: every caption once, none cut short."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from models import data
from models.features import IMAGE_FEATURES, IMAGE_ID, MASK_ID, START_ID, STOP_ID, TOKEN_IDS

LENGTH = 40


def split_of(words: list[int], images: list[int] | None = None) -> data.Split:
    """A split of captions with so many words each."""
    tokens = np.full((len(words), LENGTH), MASK_ID, np.int32)
    for row, count in enumerate(words):
        tokens[row, : count + 2] = [START_ID, *range(5, 5 + count), STOP_ID]
    images = list(range(len(words))) if images is None else images
    count = max(images) + 1
    features = np.arange(count * 2, dtype=np.float16).reshape(count, 1, 2)
    return data.Split([str(i) for i in range(count)], features, tokens, np.array(images, np.int32))


@pytest.fixture
def split() -> data.Split:
    """Captions of 1 to 38 words, in no order: the longest are past the last bucket."""
    return split_of(np.random.default_rng(0).integers(1, 39, size=200).tolist())


def rows_of(batches) -> list[int]:
    return np.concatenate([batch.rows for batch in batches]).tolist()


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("batch_size", [1, 7, 64, 500])
def test_batches_hold_every_caption_once(split, batch_size, shuffle):
    rng = np.random.default_rng(1) if shuffle else None
    batches = list(data.batches(split, batch_size, rng))
    assert sorted(rows_of(batches)) == list(range(len(split)))
    assert max(len(batch.rows) for batch in batches) <= batch_size
    assert len(batches) == data.batch_count(split, batch_size)


def test_cutting_a_batch_loses_no_token_and_most_of_the_padding(split):
    padding = 0
    for length, rows in data.batches(split, 16, np.random.default_rng(1)):
        assert np.all(split.tokens[rows, length:] == MASK_ID)
        padding += np.sum(split.tokens[rows, :length] == MASK_ID)
    assert padding < 0.5 * np.sum(split.tokens == MASK_ID)


def test_batches_have_few_lengths_so_that_few_graphs_are_traced(split):
    lengths = {batch.length for batch in data.batches(split, 3, np.random.default_rng(1))}
    assert sorted(lengths) == data.lengths(split) == [8, 11, 14, 18, 24, 32, 40]


@pytest.mark.parametrize(("words", "length"), [(1, 8), (6, 8), (7, 11), (30, 32), (31, LENGTH), (38, LENGTH)])
def test_a_batch_is_cut_to_the_bound_of_its_bucket(words, length):
    """Tokens are the words, START and STOP."""
    assert data.lengths(split_of([words])) == [length]


def test_no_bucket_is_longer_than_the_captions():
    short = split_of([15])
    short = data.Split(short.image_ids, short.features, short.tokens[:, :20], short.images)
    assert data.lengths(short) == [18]
    assert data.lengths(data.Split(short.image_ids, short.features, short.tokens[:, :17], short.images)) == [
        17
    ]


@pytest.mark.parametrize("steps", [1, 4, 1000])
def test_blocks_are_the_batches_in_their_order(split, steps):
    batches = list(data.batches(split, 16, np.random.default_rng(1)))
    blocks = list(data.blocks(split, 16, steps, np.random.default_rng(1)))
    assert {(block.rows.shape, block.buckets.shape) for block in blocks} == {((steps, 16), (steps,))}
    assert all(block.steps == steps for block in blocks[:-1])
    unpacked = [
        (data.lengths(split)[block.buckets[step]], block.rows[step][block.rows[step] >= 0].tolist())
        for block in blocks
        for step in range(block.steps)
    ]
    assert unpacked == [(batch.length, batch.rows.tolist()) for batch in batches]


def test_a_seed_gives_one_order_and_another_seed_another(split):
    def order(seed: int) -> list[int]:
        return rows_of(data.batches(split, 16, np.random.default_rng(seed)))

    assert order(1) == order(1)
    assert order(1) != order(2)


def test_shuffled_captions_all_describe_another_image():
    split = split_of([3] * 10, images=[0, 0, 1, 2, 2, 2, 3, 4, 5, 5])
    shuffled = split.shuffled(seed=1)
    assert np.all(shuffled.images != split.images)
    np.testing.assert_array_equal(shuffled.tokens, split.tokens)
    # Captions of one image stay together.
    assert len(set(zip(split.images, shuffled.images, strict=True))) == 6


# --- reading what Transform wrote ---


class Accessor:
    """Stands in for TFX's data accessor: gives batches as a TFXIO data set does."""

    def __init__(self, batches: list[list[tuple[str, bytes, list[int]]]]):
        self._batches = batches

    def tf_dataset_factory(self, file_pattern, options, schema) -> tf.data.Dataset:
        assert options.num_epochs == 1
        assert not options.shuffle

        def rows():
            for batch in self._batches:
                yield {
                    IMAGE_ID: tf.constant([[image] for image, _, _ in batch]),
                    IMAGE_FEATURES: tf.constant([[stored] for _, stored, _ in batch]),
                    TOKEN_IDS: tf.ragged.constant([ids for _, _, ids in batch], tf.int64, 1).to_sparse(),
                }

        signature = {
            IMAGE_ID: tf.TensorSpec([None, 1], tf.string),
            IMAGE_FEATURES: tf.TensorSpec([None, 1], tf.string),
            TOKEN_IDS: tf.SparseTensorSpec([None, None], tf.int64),
        }
        return tf.data.Dataset.from_generator(rows, output_signature=signature)


def stored(*values: float) -> bytes:
    return np.array(values, "<f2").tobytes()


def test_a_split_is_read_with_its_images_and_captions():
    accessor = Accessor(
        [
            [
                ("one", stored(1, 2, 3, 4), [2, 5, 3, 2, 6, 3]),
                ("none", stored(5, 6, 7, 8), []),
                ("two", stored(0, 0, 0, 1), [2, 7, 3]),
            ],
            [("three", stored(9, 9, 9, 9), [2, 8, 3, 2, 5, 3])],
        ]
    )
    split = data.load_split(["pattern"], accessor, None, (2, 2), length=3)
    assert split.image_ids == ["one", "none", "two", "three"]
    np.testing.assert_array_equal(split.features[0], [[1, 2], [3, 4]])
    assert (split.features.dtype, split.features.shape) == (np.float16, (4, 2, 2))
    np.testing.assert_array_equal(split.tokens, [[2, 5, 3], [2, 6, 3], [2, 7, 3], [2, 8, 3], [2, 5, 3]])
    np.testing.assert_array_equal(split.images, [0, 0, 2, 3, 3])
    assert (split.tokens.dtype, split.images.dtype) == (np.int32, np.int32)


def test_features_of_another_encoder_are_refused():
    accessor = Accessor([[("one", stored(1, 2, 3), [2, 5, 3])]])
    with pytest.raises(ValueError, match=r"2 regions x 2 in float16 \(8 bytes\), got 6 bytes"):
        data.load_split(["pattern"], accessor, None, (2, 2), length=3)


@pytest.mark.parametrize("batches", [[], [[("one", stored(1, 2, 3, 4), [])]]])
def test_a_split_without_captions_says_what_to_change(batches):
    with pytest.raises(ValueError, match=r"no captions to learn from in \['pattern'\].*min_images"):
        data.load_split(["pattern"], Accessor(batches), None, (2, 2), length=3)


def reordered(split: data.Split, order: list[int]) -> data.Split:
    """The same images in another order, each with its captions."""
    captions = np.concatenate([np.flatnonzero(split.images == image) for image in order])
    return data.Split(
        [split.image_ids[image] for image in order],
        split.features[order],
        split.tokens[captions],
        np.argsort(order).astype(np.int32)[split.images[captions]],
    )


def test_the_digest_of_a_split_knows_no_order_of_images():
    split = split_of([3, 5, 2, 7], images=[0, 0, 1, 2])
    assert reordered(split, [2, 0, 1]).digest() == split.digest()


@pytest.mark.parametrize("part", ["image_ids", "features", "tokens", "images"])
def test_the_digest_of_a_split_is_of_all_its_content(part):
    split = split_of([3, 5, 2, 7], images=[0, 0, 1, 2])
    other = {
        "image_ids": ["0", "1", "3"],
        "features": split.features + np.float16(1),
        "tokens": np.where(split.tokens == 6, 7, split.tokens).astype(np.int32),
        "images": np.array([0, 1, 1, 2], np.int32),
    }[part]
    assert dataclasses.replace(split, **{part: other}).digest() != split.digest()
