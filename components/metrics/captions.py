"""How much was captioned, how long the captions are and how many are different."""

import math
from collections import Counter

from components.metrics.base import CaptionMetric, Family
from components.metrics.combiners import CountCombiner, SumCombiner
from components.metrics.records import Record
from models.metrics.tokenizer import tokenize


def _words_and_one(record: Record) -> tuple[float, ...]:
    return (len(tokenize(record.caption)), 1)


def _tokenized(record: Record) -> str:
    return " ".join(tokenize(record.caption))


_LENGTHS = Family("lengths", _words_and_one, SumCombiner)
_CAPTIONS = Family("captions", _tokenized, CountCombiner)


class Images(CaptionMetric):
    """Images evaluated."""

    key = "images"
    family = _LENGTHS

    @staticmethod
    def value(combined: tuple[float, ...]) -> float:
        return float(combined[1])


class MeanCaptionLength(CaptionMetric):
    """Words a caption."""

    key = "mean_caption_length"
    family = _LENGTHS

    @staticmethod
    def value(combined: tuple[float, ...]) -> float:
        words, captions = combined
        return words / captions if captions else math.nan


class DistinctCaptions(CaptionMetric):
    """Distinct captions / captions."""

    key = "distinct_captions"
    family = _CAPTIONS

    @staticmethod
    def value(combined: Counter[str]) -> float:
        total = combined.total()
        return len(combined) / total if total else math.nan
