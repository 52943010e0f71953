"""Whether data have drifted: TFDV's Jensen-Shannon divergence of every feature's distribution."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Final

import numpy as np
import tensorflow_data_validation as tfdv
from scipy import special
from tensorflow_metadata.proto.v0 import schema_pb2

from components.drift.features import FEATURES
from components.drift.statistics import Counts, Statistics

_CHANCE: Final = 0.001  # share of the comparisons of equal data that go beyond the allowance for chance


@dataclasses.dataclass(frozen=True)
class Drift:
    """A feature compared.

    Attributes:
      feature: one of `features.FEATURES`.
      distance: Jensen-Shannon divergence in bits: 0 (equal) to 1 (nothing in common).
      threshold: above it the feature has drifted; the allowance for chance is in it.
      sentence: the above in plain English.
    """

    feature: str
    distance: float
    threshold: float
    sentence: str

    @property
    def drifted(self) -> bool:
        return self.distance > self.threshold


def compare(before: Statistics, after: Statistics, thresholds: float | Mapping[str, float]) -> list[Drift]:
    """Returns the features that have drifted, the farthest first; none if nothing has.

    Args:
      before, after: of `statistics`; what only one of them has is not compared.
      thresholds: for every feature alike, or by feature: others are then not looked at. What chance alone may
        make of that few images comes on top.
    """
    return [each for each in measure(before, after, thresholds) if each.drifted]


def measure(before: Statistics, after: Statistics, thresholds: float | Mapping[str, float]) -> list[Drift]:
    """Returns every feature compared, drifted or not, the farthest first. Arguments as for `compare`."""
    old, new = Counts.of(before), Counts.of(after)
    limits = {}
    for name in FEATURES:
        limit = thresholds.get(name) if isinstance(thresholds, Mapping) else thresholds
        if limit is not None and name in old.buckets and name in new.buckets:
            limits[name] = limit + chance(old, new, name)
    schema = schema_pb2.Schema()
    for name, limit in limits.items():
        feature = schema.feature.add(name=name, type=schema_pb2.FLOAT)
        feature.drift_comparator.jensen_shannon_divergence.threshold = limit
    # Counted anew: TFDV sees the features in `limits` alone, and all in the same buckets.
    anomalies = tfdv.validate_statistics(new.statistics(), schema, previous_statistics=old.statistics())
    found = []
    for info in anomalies.drift_skew_info:
        name = info.path.step[0]
        (measured,) = info.drift_measurements
        sentence = _sentence(name, measured.value, limits[name], old, new)
        found.append(Drift(name, measured.value, limits[name], sentence))
    return sorted(found, key=lambda each: (-each.distance, each.feature))


def chance(before: Counts, after: Counts, feature: str) -> float:
    """The divergence, in bits, that two samples of one distribution exceed in one of a thousand cases.

    With n and m images in k buckets, 8 / (1/n + 1/m) times the divergence in nats is nearly distributed as
    chi-squared with k - 1 degrees of freedom.
    """
    degrees = int(np.count_nonzero(before.buckets[feature] + after.buckets[feature])) - 1
    if degrees < 1:
        return 0.0
    quantile = float(special.chdtri(degrees, _CHANCE))
    images = [float(counts.moments[feature][0]) for counts in (before, after)]
    return quantile * sum(1 / n for n in images) / (8 * math.log(2))


def _sentence(feature: str, distance: float, limit: float, before: Counts, after: Counts) -> str:
    means = [counts.moments[feature][2] / counts.moments[feature][1] for counts in (before, after)]
    verb = "has drifted" if distance > limit else "has not drifted"
    return (
        f"{FEATURES[feature].title} ({feature}) {verb}: its distribution differs by {distance:.2f} "
        f"(Jensen-Shannon divergence; at most {limit:.2f} is allowed), its mean was {_number(means[0])} and "
        f"is {_number(means[1])}."
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
