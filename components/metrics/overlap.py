"""BLEU-1..4, ROUGE-L and CIDEr-D as TFMA metrics: the numbers of `models.metrics`, whatever the bundles."""

import math
from collections import Counter

from components.metrics.base import CaptionMetric, Family
from components.metrics.combiners import CountCombiner, SumCombiner
from components.metrics.records import Record
from models.metrics import bleu, cider_d, rouge_l
from models.metrics.tokenizer import tokenize


def _bleu_counts(record: Record) -> tuple[int, ...]:
    return bleu.statistics(tokenize(record.caption), [tokenize(r) for r in record.references]).flat()


def _rouge_and_one(record: Record) -> tuple[float, ...]:
    score = rouge_l.caption_score(tokenize(record.caption), [tokenize(r) for r in record.references])
    return (score, 1)


def _tokenized(record: Record) -> tuple[str, ...]:
    """The caption, then its references, each as one string of words: a tenth of the memory of lists."""
    return tuple(" ".join(tokenize(text)) for text in (record.caption, *record.references))


_BLEU = Family("bleu", _bleu_counts, SumCombiner)
_ROUGE = Family("rouge_l", _rouge_and_one, SumCombiner)
# The weight of a word depends on all references, so CIDEr-D keeps the words of the slice (about 400 bytes an
# image) until they are all there.
_CORPUS = Family("corpus", _tokenized, CountCombiner)


class Bleu1(CaptionMetric):
    key = "bleu_1"
    family = _BLEU

    @staticmethod
    def value(combined: tuple[int, ...]) -> float:
        return bleu.score(bleu.BleuStatistics.from_flat(combined))[0]


class Bleu2(CaptionMetric):
    key = "bleu_2"
    family = _BLEU

    @staticmethod
    def value(combined: tuple[int, ...]) -> float:
        return bleu.score(bleu.BleuStatistics.from_flat(combined))[1]


class Bleu3(CaptionMetric):
    key = "bleu_3"
    family = _BLEU

    @staticmethod
    def value(combined: tuple[int, ...]) -> float:
        return bleu.score(bleu.BleuStatistics.from_flat(combined))[2]


class Bleu4(CaptionMetric):
    key = "bleu_4"
    family = _BLEU

    @staticmethod
    def value(combined: tuple[int, ...]) -> float:
        return bleu.score(bleu.BleuStatistics.from_flat(combined))[3]


class RougeL(CaptionMetric):
    key = "rouge_l"
    family = _ROUGE

    @staticmethod
    def value(combined: tuple[float, ...]) -> float:
        total, images = combined
        return total / images if images else math.nan


class CiderD(CaptionMetric):
    key = "cider_d"
    family = _CORPUS

    @staticmethod
    def value(combined: Counter[tuple[str, ...]]) -> float:
        candidates, references = [], []
        for caption, *its_references in combined.elements():
            candidates.append(caption.split())
            references.append([reference.split() for reference in its_references])
        return cider_d.cider_d(candidates, references)
