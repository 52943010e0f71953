"""Teacher-forced token metrics: cross-entropy and accuracy over the tokens of the references."""

import math

from components.evaluator.records import ImageRecord, Record
from components.metrics.base import CaptionMetric, Family
from components.metrics.combiners import SumCombiner


def _token_sums(_: ImageRecord, mine: Record) -> tuple[float, ...]:
    return (mine.token_nll, mine.token_correct, mine.token_count)


_TOKENS = Family("tokens", _token_sums, SumCombiner)


class TokenCrossEntropy(CaptionMetric):
    """Nats a token. Two models compare only if they share a vocabulary."""

    key = "token_cross_entropy"
    family = _TOKENS

    @classmethod
    def value(cls, combined: tuple[float, ...]) -> float:
        nll, _, count = combined
        return nll / count if count else math.nan


class TokenAccuracy(CaptionMetric):
    """Share of tokens that were the model's first choice."""

    key = "token_accuracy"
    family = _TOKENS

    @classmethod
    def value(cls, combined: tuple[float, ...]) -> float:
        _, correct, count = combined
        return correct / count if count else math.nan
