"""Accumulators of the caption metrics. Merging them is associative and commutative, in any bundles."""

from collections import Counter
from collections.abc import Hashable, Iterable
from typing import Any

import apache_beam as beam
import tensorflow_model_analysis as tfma

Numbers = tuple[float, ...]


class SumCombiner(beam.CombineFn):
    """Adds up tuples of numbers, position by position. Size of the accumulator: that of one tuple."""

    def __init__(self, key: tfma.metrics.MetricKey) -> None:
        self._key = key

    def create_accumulator(self) -> Numbers:
        return ()

    def add_input(self, accumulator: Numbers, measurement: Numbers) -> Numbers:
        if not accumulator:
            return measurement
        return tuple(a + b for a, b in zip(accumulator, measurement, strict=True))

    def merge_accumulators(self, accumulators: Iterable[Numbers]) -> Numbers:
        total: Numbers = ()
        for accumulator in accumulators:
            if accumulator:
                total = self.add_input(total, accumulator)
        return total

    def extract_output(self, accumulator: Numbers) -> dict[tfma.metrics.MetricKey, Any]:
        return {self._key: accumulator}


class CountCombiner(beam.CombineFn):
    """Counts equal measurements. Size of the accumulator: that of the distinct measurements."""

    def __init__(self, key: tfma.metrics.MetricKey) -> None:
        self._key = key

    def create_accumulator(self) -> Counter[Hashable]:
        return Counter()

    def add_input(self, accumulator: Counter[Hashable], measurement: Hashable) -> Counter[Hashable]:
        accumulator[measurement] += 1
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[Counter[Hashable]]) -> Counter[Hashable]:
        total: Counter[Hashable] = Counter()
        for accumulator in accumulators:
            total.update(accumulator)
        return total

    def extract_output(self, accumulator: Counter[Hashable]) -> dict[tfma.metrics.MetricKey, Any]:
        return {self._key: accumulator}
