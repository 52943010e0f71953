"""What is wrong with a file is said of the span; what is wrong with the machine stops the run."""

import gzip
import pathlib
from collections.abc import Callable

import apache_beam as beam
import pytest
import tensorflow as tf

from components.span_example_gen import caption_fit, reading
from tests.components.span_example_gen.conftest import pictures, raw_example, write_shard

SHARD = "train-00000-of-00001.tfrecord.gz"
IMAGES = 12


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    """With one bit of the byte in the middle turned over."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0x10]) + content[middle + 1 :]


def flipped_inside(content: bytes) -> bytes:
    """A whole gzip file, but of a record that is not the one written."""
    return gzip.compress(flipped(gzip.decompress(content)))


@pytest.fixture
def shard(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / SHARD
    write_shard(path, [raw_example(picture, 1) for picture in pictures(1, IMAGES)])
    return path


def read(path: pathlib.Path) -> tuple[list[str], int]:
    """What is said of a shard that no manifest lists, and how many of its images were read."""
    reader = reading.ReadShard({}, "")
    reader.setup()
    given = list(reader.process(reading.Shard(str(path), "")))
    tagged = [each for each in given if isinstance(each, beam.pvalue.TaggedOutput)]
    said = [each.value for each in tagged if each.tag == reading.BROKEN]
    return said, sum(each.tag == reading.VALUES for each in tagged)


def failing(error: tf.errors.OpError) -> Callable[..., object]:
    """In place of `TFRecordDataset`: a file whose reading fails."""

    class Failing:
        def __init__(self, *_) -> None:
            pass

        def as_numpy_iterator(self):
            raise error

    return Failing


UNAVAILABLE = tf.errors.UnavailableError(None, None, "the connection to the bucket was lost")


def test_a_whole_file_is_read_to_its_end(shard: pathlib.Path) -> None:
    assert read(shard) == ([], IMAGES)


@pytest.mark.parametrize("damage", [cut, flipped, flipped_inside])
def test_a_torn_file_is_named_and_read_as_far_as_it_can_be(
    shard: pathlib.Path, damage: Callable[[bytes], bytes]
) -> None:
    shard.write_bytes(damage(shard.read_bytes()))
    (sentence,), images = read(shard)
    assert images < IMAGES
    assert sentence.startswith(f"{SHARD} is torn: {images} records can be read, then ")


def test_an_error_that_is_not_the_files_is_raised_and_not_held_against_the_span(
    shard: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tf.data, "TFRecordDataset", failing(UNAVAILABLE))
    with pytest.raises(tf.errors.UnavailableError, match="the connection to the bucket was lost"):
        read(shard)


class TestSample:
    """The images that the model in service is asked about."""

    @pytest.mark.parametrize("damage", [cut, flipped, flipped_inside])
    def test_a_torn_file_gives_what_can_be_read_and_the_next_goes_on(
        self, shard: pathlib.Path, tmp_path: pathlib.Path, damage: Callable[[bytes], bytes]
    ) -> None:
        whole = tmp_path / "eval-00000-of-00001.tfrecord.gz"
        whole.write_bytes(shard.read_bytes())
        shard.write_bytes(damage(shard.read_bytes()))
        _, readable = read(shard)
        assert len(caption_fit.sample([str(shard), str(whole)], 100)) == readable + IMAGES

    def test_an_error_that_is_not_the_files_is_raised(
        self, shard: pathlib.Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tf.data, "TFRecordDataset", failing(UNAVAILABLE))
        with pytest.raises(tf.errors.UnavailableError):
            caption_fit.sample([str(shard)], 100)
