"""Corpus BLEU-1..4 as coco-caption computes it: clipped n-gram precision, closest reference length.

Papineni, Roukos, Ward and Zhu, "BLEU: a method for automatic evaluation of machine translation", ACL 2002.
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Self

MAX_ORDER: Final = 4

# coco-caption's guards against division by zero. They are kept so that small corpora agree, too: a corpus
# without a single matching 4-gram has a BLEU-4 near 1e-4 there, not 0.
_TINY: Final = 1e-15
_SMALL: Final = 1e-9


@dataclasses.dataclass(frozen=True)
class BleuStatistics:
    """Counts that add up over captions; BLEU is a function of their sum.

    Attributes:
      length: words of the candidates.
      reference_length: words of the references closest in length, the shorter one where two are as close.
      correct: by order, candidate n-grams found in a reference, clipped to the most in any one reference.
      guessed: by order, candidate n-grams.
    """

    length: int = 0
    reference_length: int = 0
    correct: tuple[int, ...] = (0,) * MAX_ORDER
    guessed: tuple[int, ...] = (0,) * MAX_ORDER

    def __add__(self, other: Self) -> "BleuStatistics":
        return BleuStatistics(
            self.length + other.length,
            self.reference_length + other.reference_length,
            tuple(a + b for a, b in zip(self.correct, other.correct, strict=True)),
            tuple(a + b for a, b in zip(self.guessed, other.guessed, strict=True)),
        )

    def flat(self) -> tuple[int, ...]:
        """Returns the counts as one tuple, for accumulators that add element by element."""
        return (self.length, self.reference_length, *self.correct, *self.guessed)

    @classmethod
    def from_flat(cls, values: Sequence[int]) -> Self:
        """Inverse of `flat`."""
        return cls(values[0], values[1], tuple(values[2 : 2 + MAX_ORDER]), tuple(values[2 + MAX_ORDER :]))


def ngrams(words: Sequence[str], order: int) -> Iterator[tuple[str, ...]]:
    """Yields the n-grams of `words` of one order, repeated ones repeatedly."""
    return zip(*(words[i:] for i in range(order)), strict=False)


def statistics(candidate: Sequence[str], references: Sequence[Sequence[str]]) -> BleuStatistics:
    """Returns the counts of one caption against its references, all of them tokenised.

    Raises ValueError without references.
    """
    if not references:
        raise ValueError("BLEU needs at least one reference a caption; got none")
    length = len(candidate)
    correct = []
    for order in range(1, MAX_ORDER + 1):
        counts = Counter(ngrams(candidate, order))
        best: dict[tuple[str, ...], int] = {}
        for reference in references:
            found: Counter[tuple[str, ...]] = Counter(g for g in ngrams(reference, order) if g in counts)
            for gram, count in found.items():
                best[gram] = max(best.get(gram, 0), count)
        correct.append(sum(min(count, counts[gram]) for gram, count in best.items()))
    return BleuStatistics(
        length=length,
        reference_length=min((abs(len(r) - length), len(r)) for r in references)[1],
        correct=tuple(correct),
        guessed=tuple(max(0, length - order) for order in range(MAX_ORDER)),
    )


def score(total: BleuStatistics) -> tuple[float, ...]:
    """Returns BLEU-1..4 of summed statistics. NaN for an empty corpus: no captions, no score."""
    if not total.reference_length and not total.length:
        return (math.nan,) * MAX_ORDER
    ratio = (total.length + _TINY) / (total.reference_length + _SMALL)
    brevity = math.exp(1 - 1 / ratio) if ratio < 1 else 1.0
    scores = []
    product = 1.0
    for order, (correct, guessed) in enumerate(zip(total.correct, total.guessed, strict=True), start=1):
        product *= (correct + _TINY) / (guessed + _SMALL)
        scores.append(product ** (1 / order) * brevity)
    return tuple(scores)


def corpus_bleu(
    candidates: Iterable[Sequence[str]], references: Iterable[Sequence[Sequence[str]]]
) -> tuple[float, ...]:
    """Returns BLEU-1..4 of tokenised captions, each with its references.

    Raises ValueError where the two differ in number, or a caption has no reference.
    """
    total = BleuStatistics()
    for candidate, its_references in zip(candidates, references, strict=True):
        total = total + statistics(candidate, its_references)
    return score(total)
