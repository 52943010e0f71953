"""ROUGE-L as coco-caption computes it: longest common subsequence, beta 1.2, best precision and best recall.

Lin, "ROUGE: a package for automatic evaluation of summaries", 2004. Precision and recall may come from two
different references, which is coco-caption's choice and not Lin's.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Final

_BETA_SQUARED: Final = 1.2**2


def lcs_length(first: Sequence[str], second: Sequence[str]) -> int:
    """Returns the length of the longest common subsequence.

    One addition and a few bit operations a word, on integers with a bit for each word of `first`: Hyyrö,
    "Bit-parallel LCS-length computation revisited", 2004.
    """
    positions: dict[str, int] = {}
    for i, word in enumerate(first):
        positions[word] = positions.get(word, 0) | 1 << i
    ones = (1 << len(first)) - 1
    row = ones
    for word in second:
        matches = row & positions.get(word, 0)
        row = ((row + matches) | (row - matches)) & ones
    return len(first) - row.bit_count()


def caption_score(candidate: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Returns ROUGE-L of one tokenised caption, in [0, 1]; 0 for an empty one.

    Raises ValueError without references.
    """
    if not references:
        raise ValueError("ROUGE-L needs at least one reference a caption; got none")
    if not candidate:
        return 0.0
    common = [lcs_length(candidate, reference) for reference in references]
    precision = max(common) / len(candidate)
    recall = max(c / len(r) if r else 0.0 for c, r in zip(common, references, strict=True))
    if not precision or not recall:
        return 0.0
    return (1 + _BETA_SQUARED) * precision * recall / (recall + _BETA_SQUARED * precision)


def rouge_l(candidates: Iterable[Sequence[str]], references: Iterable[Sequence[Sequence[str]]]) -> float:
    """Returns the mean ROUGE-L of tokenised captions; NaN without captions.

    Raises ValueError where the two differ in number, or a caption has no reference.
    """
    scores = [caption_score(c, r) for c, r in zip(candidates, references, strict=True)]
    return math.fsum(scores) / len(scores) if scores else math.nan
