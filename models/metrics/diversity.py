"""How varied captions are: distinct n-grams, words used, captions that nobody wrote before.

Distinct-n is Li, Galley, Brockett, Gao and Dolan, "A diversity-promoting objective function for neural
conversation models", NAACL 2016: different n-grams / n-grams.
"""

import math
from collections.abc import Collection, Iterable, Sequence

from models.metrics.bleu import ngrams


def distinct_ngrams(captions: Iterable[Sequence[str]], order: int) -> float:
    """Returns distinct-`order` of tokenised captions, in (0, 1]; NaN without an n-gram of that order."""
    every = [gram for words in captions for gram in ngrams(words, order)]
    return len(set(every)) / len(every) if every else math.nan


def distinct_captions(captions: Iterable[Sequence[str]]) -> float:
    """Returns different tokenised captions / captions, in (0, 1]; NaN without captions.

    A model that says the same of every picture is near 0.
    """
    every = [tuple(words) for words in captions]
    return len(set(every)) / len(every) if every else math.nan


def vocabulary_used(captions: Iterable[Sequence[str]]) -> int:
    """Returns how many different words tokenised captions have."""
    return len({word for words in captions for word in words})


def novel_captions(captions: Sequence[Sequence[str]], training: Collection[Sequence[str]]) -> float:
    """Returns the share of tokenised captions that are not, word for word, a training caption.

    NaN without captions. A model that only repeats what it has read is near 0.
    """
    known = {tuple(words) for words in training}
    return sum(tuple(words) not in known for words in captions) / len(captions) if captions else math.nan


def mean_length(captions: Iterable[Sequence[str]]) -> float:
    """Returns words a tokenised caption; NaN without captions."""
    lengths = [len(words) for words in captions]
    return sum(lengths) / len(lengths) if lengths else math.nan
