"""Statistics of the compared features: whole images in, counts in fixed buckets out."""

import io
import math
import pathlib

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to
from PIL import Image

from components.drift import features, statistics
from models import features as names


def picture(width: int, height: int, grey: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), (grey, grey, grey)).save(file, "JPEG")
    return file.getvalue()


def numbers_of(counted: statistics.Statistics, feature: str):
    (found,) = (each for each in counted.datasets[0].features if each.path.step[0] == feature)
    return found.num_stats


class TestFeatures:
    def test_an_example_has_the_features_of_its_captions_and_its_image(self) -> None:
        example = tf.train.Example()
        example.features.feature[names.CAPTIONS].bytes_list.value.extend([b"A dog runs", b"a dog"])
        example.features.feature[names.IMAGE_ENCODED].bytes_list.value.append(picture(64, 48, 200))
        values = features.of_example(example, vocabulary={"a", "dog"})
        assert values.pop(features.BRIGHTNESS) == [pytest.approx(200, abs=1)]
        assert values == {
            features.CAPTION_WORDS: [3.0, 2.0],
            features.UNKNOWN_SHARE: [pytest.approx(0.2)],
            features.WIDTH: [64.0],
            features.HEIGHT: [48.0],
        }

    def test_without_a_vocabulary_no_word_is_unknown(self) -> None:
        assert features.of_captions(["a dog"]) == {features.CAPTION_WORDS: [2.0]}

    def test_what_is_no_image_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="cannot be decoded"):
            features.of_image(picture(64, 48, 200)[:200])

    def test_the_mean_is_that_of_all_regions(self) -> None:
        assert features.of_features(np.asarray([[1, 2], [3, 6]], np.float16)) == {"feature_mean": [3.0]}


def test_values_are_counted_in_the_buckets_of_the_feature() -> None:
    counted = statistics.collect([{"brightness": [0.0]}, {"brightness": [15.9, 16.0]}, {}])
    numbers = numbers_of(counted, "brightness")
    assert [bucket.sample_count for bucket in numbers.histograms[0].buckets][:3] == [2, 1, 0]
    assert counted.datasets[0].num_examples == 3
    assert numbers.common_stats.num_non_missing == 2
    assert numbers.common_stats.num_missing == 1
    assert numbers.common_stats.tot_num_values == 3
    assert (numbers.min, numbers.max) == (0.0, 16.0)
    assert numbers.mean == pytest.approx(31.9 / 3)


def test_values_outside_the_buckets_count_in_those_at_the_ends() -> None:
    numbers = numbers_of(statistics.collect([{"caption_words": [900.0]}, {"width": [3.0]}]), "caption_words")
    assert numbers.histograms[0].buckets[-1].sample_count == 1
    numbers = numbers_of(statistics.collect([{"width": [3.0]}]), "width")
    assert numbers.histograms[0].buckets[0].sample_count == 1


def test_what_is_no_number_is_not_counted() -> None:
    counted = statistics.collect([{"brightness": [math.nan]}, {"brightness": [9.0, math.inf]}])
    assert numbers_of(counted, "brightness").common_stats.tot_num_values == 1


def images(seed: int, count: int) -> list[features.Values]:
    random = np.random.default_rng(seed)
    return [
        {
            "caption_words": list(random.integers(3, 20, 5).astype(float)),
            "width": [float(random.integers(999))],
        }
        for _ in range(count)
    ]


def test_merged_parts_are_the_whole() -> None:
    one, other = images(1, 40), images(2, 60)
    whole, merged = (
        statistics.collect([*one, *other]),
        statistics.merge([statistics.collect(one), statistics.collect(other)]),
    )
    for feature in ("caption_words", "width"):
        ours, theirs = numbers_of(merged, feature), numbers_of(whole, feature)
        assert ours.histograms == theirs.histograms
        assert ours.mean == pytest.approx(theirs.mean)
        assert ours.std_dev == pytest.approx(theirs.std_dev)
        assert (ours.min, ours.max) == (theirs.min, theirs.max)
    assert merged.datasets[0].num_examples == 100


def test_features_counted_of_some_of_the_images_stand_beside_the_others() -> None:
    counts = statistics.Counts.of(statistics.collect(images(1, 4)))
    counts.beside(statistics.Counts.of(statistics.collect([{"brightness": [9.0]}] * 3)))
    assert counts.statistics().datasets[0].num_examples == 4
    assert numbers_of(counts.statistics(), "brightness").common_stats.num_missing == 1
    counts.beside(statistics.Counts.of(statistics.collect([{"feature_mean": [9.0]}] * 6)))
    assert numbers_of(counts.statistics(), "width").common_stats.num_missing == 2


def test_nothing_merged_is_nothing() -> None:
    assert statistics.merge([]).datasets[0].num_examples == 0


def test_a_feature_counted_in_other_buckets_is_left_out() -> None:
    counted = statistics.collect(images(1, 4))
    counted.datasets[0].features[0].num_stats.histograms[0].buckets[0].low_value = -1.0
    merged = statistics.merge([counted])
    assert [feature.path.step[0] for feature in merged.datasets[0].features] == ["width"]
    assert [
        feature.path.step[0] for feature in statistics.without(merged, "width").datasets[0].features
    ] == []


def test_beam_counts_the_same(tmp_path: pathlib.Path) -> None:
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        counted = (
            pipeline
            | beam.Create(images(1, 40))
            | beam.Reshuffle()
            | beam.CombineGlobally(statistics.Collect())
            | beam.Map(lambda counts: counts.statistics().datasets[0].features[0].num_stats.histograms[0])
        )
        expected = numbers_of(statistics.collect(images(1, 40)), "caption_words").histograms[0]
        assert_that(counted, equal_to([expected]))


def test_what_was_written_is_read(tmp_path: pathlib.Path) -> None:
    counted = statistics.collect(images(1, 4))
    statistics.write(str(tmp_path / "statistics.pb"), counted)
    assert statistics.read(str(tmp_path / "statistics.pb")) == counted
