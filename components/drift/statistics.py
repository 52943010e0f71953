"""Statistics of the compared features, in TFDV's format, counted by Beam or in this process."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

import apache_beam as beam
import numpy as np
from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx.dsl.io import fileio

from components.drift.features import FEATURES

Statistics: TypeAlias = statistics_pb2.DatasetFeatureStatisticsList

# Of a feature, beside its counts: images that have it, values, their sum, sum of squares, least and greatest.
_IMAGES, _VALUES, _SUM, _SQUARES, _LEAST, _GREATEST = range(6)
_NOTHING: Final = (0.0, 0.0, 0.0, 0.0, np.inf, -np.inf)


class Counts:
    """Histograms and moments of the features of any number of images; can be added up."""

    def __init__(self) -> None:
        self.images = 0
        self.buckets: dict[str, np.ndarray] = {}
        self.moments: dict[str, np.ndarray] = {}

    def add(self, values: Mapping[str, Sequence[float]]) -> None:
        """Adds an image: the values of each feature that it has."""
        self.images += 1
        for name, given in values.items():
            numbers = np.asarray(given, np.float64)
            numbers = numbers[np.isfinite(numbers)]
            if not len(numbers):
                continue
            edges = np.asarray(FEATURES[name].edges, np.float64)
            places = np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, len(edges) - 2)
            moments = (1, len(numbers), numbers.sum(), (numbers**2).sum(), numbers.min(), numbers.max())
            self._add(name, np.bincount(places, minlength=len(edges) - 1), np.asarray(moments, np.float64))

    def merge(self, other: "Counts") -> None:
        """Adds all images of `other`."""
        self.images += other.images
        for name, buckets in other.buckets.items():
            self._add(name, buckets, other.moments[name])

    def beside(self, other: "Counts") -> None:
        """Adds features of `other` that were counted of the same images, or of some of them."""
        self.images = max(self.images, other.images)
        for name, buckets in other.buckets.items():
            self.buckets[name], self.moments[name] = buckets, other.moments[name]

    def _add(self, name: str, buckets: np.ndarray, moments: np.ndarray) -> None:
        mine = self.moments.get(name, np.asarray(_NOTHING))
        self.buckets[name] = self.buckets.get(name, 0.0) + buckets.astype(np.float64)
        self.moments[name] = np.concatenate(
            [
                mine[:_LEAST] + moments[:_LEAST],
                [min(mine[_LEAST], moments[_LEAST]), max(mine[_GREATEST], moments[_GREATEST])],
            ]
        )

    def statistics(self) -> Statistics:
        """As TFDV's statistics."""
        statistics = Statistics()
        dataset = statistics.datasets.add(num_examples=self.images)
        for name in FEATURES:  # in one order, so that equal data have equal bytes
            if name not in self.buckets:
                continue
            moments = self.moments[name]
            feature = dataset.features.add(type=statistics_pb2.FeatureNameStatistics.FLOAT)
            feature.path.step.append(name)
            numbers = feature.num_stats
            numbers.common_stats.num_non_missing = int(moments[_IMAGES])
            numbers.common_stats.num_missing = self.images - int(moments[_IMAGES])
            numbers.common_stats.tot_num_values = int(moments[_VALUES])
            numbers.common_stats.avg_num_values = moments[_VALUES] / moments[_IMAGES]
            numbers.mean = moments[_SUM] / moments[_VALUES]
            numbers.std_dev = max(0.0, moments[_SQUARES] / moments[_VALUES] - numbers.mean**2) ** 0.5
            numbers.min, numbers.max = moments[_LEAST], moments[_GREATEST]
            histogram = numbers.histograms.add(type=statistics_pb2.Histogram.STANDARD)
            edges = FEATURES[name].edges
            for low, high, count in zip(edges[:-1], edges[1:], self.buckets[name], strict=True):
                histogram.buckets.add(low_value=low, high_value=high, sample_count=count)
        return statistics

    @classmethod
    def of(cls, statistics: Statistics) -> "Counts":
        """Inverse of `statistics`; leaves out features that were counted in other buckets."""
        counts = cls()
        if not statistics.datasets:
            return counts
        dataset = statistics.datasets[0]
        counts.images = dataset.num_examples
        for feature in dataset.features:
            name, numbers = feature.path.step[0], feature.num_stats
            buckets = numbers.histograms[0].buckets
            edges = (*(bucket.low_value for bucket in buckets), buckets[-1].high_value)
            if name not in FEATURES or edges != FEATURES[name].edges:
                continue
            values = numbers.common_stats.tot_num_values
            counts.buckets[name] = np.asarray([bucket.sample_count for bucket in buckets])
            counts.moments[name] = np.asarray(
                (
                    numbers.common_stats.num_non_missing,
                    values,
                    numbers.mean * values,
                    (numbers.std_dev**2 + numbers.mean**2) * values,
                    numbers.min,
                    numbers.max,
                ),
                np.float64,
            )
        return counts


class Collect(beam.CombineFn):
    """The features of images (`features.Values`) -> `Counts`."""

    def create_accumulator(self) -> Counts:
        return Counts()

    def add_input(self, accumulator: Counts, values: Mapping[str, Sequence[float]]) -> Counts:
        accumulator.add(values)
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[Counts]) -> Counts:
        merged = Counts()
        for accumulator in accumulators:
            merged.merge(accumulator)
        return merged

    def extract_output(self, accumulator: Counts) -> Counts:
        return accumulator


def collect(images: Iterable[Mapping[str, Sequence[float]]]) -> Statistics:
    """Statistics of images whose features are at hand, e.g. of a log."""
    counts = Counts()
    for values in images:
        counts.add(values)
    return counts.statistics()


def merge(parts: Iterable[Statistics]) -> Statistics:
    """Statistics of all images of `parts` together, exact."""
    merged = Counts()
    for part in parts:
        merged.merge(Counts.of(part))
    return merged.statistics()


def without(statistics: Statistics, feature: str) -> Statistics:
    """The same without a feature."""
    counts = Counts.of(statistics)
    counts.buckets.pop(feature, None)
    return counts.statistics()


def write(path: str, statistics: Statistics) -> None:
    """Writes statistics to a file, as a serialized DatasetFeatureStatisticsList."""
    with fileio.open(path, "wb") as file:
        file.write(statistics.SerializeToString(deterministic=True))


def read(path: str) -> Statistics:
    """Reads what `write` wrote."""
    with fileio.open(path, "rb") as file:
        return Statistics.FromString(file.read())
