"""A feature's values in a few numbers, as pages show them."""

import dataclasses
from typing import Self

from components.drift.statistics import Statistics


@dataclasses.dataclass(frozen=True)
class Summary:
    """How many images have the feature, and the mean, the least and the greatest of its values."""

    images: int
    mean: float
    least: float
    most: float

    @classmethod
    def by_feature(cls, statistics: Statistics) -> dict[str, Self]:
        """Returns the summary of each feature that there are statistics of."""
        return {
            feature.path.step[0]: cls(
                feature.num_stats.common_stats.num_non_missing,
                feature.num_stats.mean,
                feature.num_stats.min,
                feature.num_stats.max,
            )
            for dataset in statistics.datasets
            for feature in dataset.features
        }

    @property
    def shown(self) -> str:
        """The mean."""
        return _short(self.mean)

    @property
    def range(self) -> str:
        """`164 to 500`."""
        return f"{_short(self.least)} to {_short(self.most)}"


def _short(value: float) -> str:
    """Three digits that matter, or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
