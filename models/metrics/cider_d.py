"""CIDEr-D as coco-caption computes it: n 1..4, sigma 6, clipped, IDF from the evaluated references, times 10.

Vedantam, Zitnick and Parikh, "CIDEr: consensus-based image description evaluation", CVPR 2015. coco-caption
reports this as "CIDEr".
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from models.metrics.bleu import ngrams

MAX_ORDER: Final = 4
_SIGMA: Final = 6.0

Gram = tuple[str, ...]
# By order: the weights of a caption's n-grams and the length of that vector.
_Vector = list[tuple[dict[Gram, float], float]]


def document_frequencies(references: Iterable[Sequence[Sequence[str]]]) -> Counter[Gram]:
    """Returns, for each n-gram, the number of images with it in a reference."""
    frequencies: Counter[Gram] = Counter()
    for of_image in references:
        frequencies.update(
            {gram for words in of_image for order in range(1, MAX_ORDER + 1) for gram in ngrams(words, order)}
        )
    return frequencies


def inverse_frequencies(frequencies: Mapping[Gram, int], images: int) -> dict[Gram, float]:
    """Returns log(images / frequency) of each n-gram."""
    log_images = math.log(images)
    logs = {count: log_images - math.log(count) for count in set(frequencies.values())}
    return {gram: logs[count] for gram, count in frequencies.items()}


def _vector(words: Sequence[str], idf: Mapping[Gram, float], unseen: float) -> _Vector:
    vector: _Vector = []
    for order in range(1, MAX_ORDER + 1):
        weights: dict[Gram, float] = {}
        for gram in ngrams(words, order):
            weights[gram] = weights.get(gram, 0.0) + idf.get(gram, unseen)
        vector.append((weights, math.sqrt(sum(w * w for w in weights.values()))))
    return vector


def length_penalty(candidate: Sequence[str], reference: Sequence[str]) -> float:
    """Returns the factor, in (0, 1], for a difference in length."""
    # coco-caption takes the number of bigrams for the length.
    difference = max(len(candidate) - 1, 0) - max(len(reference) - 1, 0)
    return math.exp(-(difference**2) / (2 * _SIGMA**2))


def caption_score(
    candidate: Sequence[str],
    references: Sequence[Sequence[str]],
    idf: Mapping[Gram, float],
    images: int,
) -> float:
    """Returns CIDEr-D of one tokenised caption, in [0, 10].

    Args:
      candidate: its words.
      references: the words of each reference.
      idf: `inverse_frequencies` of the corpus; an n-gram of no reference counts as seen once.
      images: in the corpus.
    """
    if not references:
        raise ValueError("CIDEr-D needs at least one reference a caption; got none")
    unseen = math.log(images)
    vector = _vector(candidate, idf, unseen)
    total = 0.0
    for reference in references:
        similarity = 0.0
        for (weights, norm), (their_weights, their_norm) in zip(
            vector, _vector(reference, idf, unseen), strict=True
        ):
            if norm and their_norm:
                product = 0.0
                for gram, weight in weights.items():
                    theirs = their_weights.get(gram)
                    if theirs is not None:
                        product += min(weight, theirs) * theirs
                similarity += product / (norm * their_norm)
        total += similarity * length_penalty(candidate, reference)
    return 10.0 * total / MAX_ORDER / len(references)


def caption_scores(
    candidates: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]
) -> list[float]:
    """Returns CIDEr-D of each tokenised caption, in [0, 10].

    Raises ValueError where the two differ in number, or a caption has no reference.
    """
    if not candidates and not references:
        return []
    images = len(references)
    idf = inverse_frequencies(document_frequencies(references), images)
    return [caption_score(c, r, idf, images) for c, r in zip(candidates, references, strict=True)]


def cider_d(candidates: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]) -> float:
    """Returns the mean CIDEr-D of tokenised captions; NaN without captions.

    The same in any order of the captions, to the last bit. One image alone scores 0: every n-gram is then in
    every document. Raises ValueError where the two differ in number, or a caption has no reference.
    """
    scores = caption_scores(candidates, references)
    return math.fsum(scores) / len(scores) if scores else math.nan
