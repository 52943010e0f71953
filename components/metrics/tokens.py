"""Teacher-forced token metrics: cross-entropy and accuracy over the tokens of the references."""

import math

from components.metrics.base import CaptionMetric, Family
from components.metrics.combiners import SumCombiner
from components.metrics.records import Record


def _token_sums(record: Record) -> tuple[float, ...]:
    return (record.token_nll, record.token_correct, record.token_count)


_TOKENS = Family("tokens", _token_sums, SumCombiner)


class TokenCrossEntropy(CaptionMetric):
    """Nats a token. Two models compare only if they share a vocabulary."""

    key = "token_cross_entropy"
    family = _TOKENS

    @staticmethod
    def value(combined: tuple[float, ...]) -> float:
        nll, _, count = combined
        return nll / count if count else math.nan


class TokenAccuracy(CaptionMetric):
    """Share of tokens that were the model's first choice."""

    key = "token_accuracy"
    family = _TOKENS

    @staticmethod
    def value(combined: tuple[float, ...]) -> float:
        _, correct, count = combined
        return correct / count if count else math.nan
