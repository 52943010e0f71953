"""CIDEr-D of many samples of the same images at once; `models.metrics.cider_d` is the specification.

With document frequencies known, a caption's score is made of sums over n-grams of counts x idf^2: the product
with each reference, and both lengths. So the counts stand in sparse matrices, made once, and a sample costs a
few products of them with its idf^2.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import scipy.sparse

from models.metrics.bleu import ngrams
from models.metrics.cider_d import MAX_ORDER, Gram, length_penalty

Words = Sequence[str]


class ResampledCiderD:
    """Scores systems on weighted images.

    Args:
      references: tokenised, of each of N images.
      systems: of each of S systems, a tokenised caption an image.

    Attributes:
      ngrams: different ones of the largest order's set, for an estimate of memory.
    """

    def __init__(self, references: Sequence[Sequence[Words]], systems: Sequence[Sequence[Words]]):
        self._orders = [_Order(order, references, systems) for order in range(1, MAX_ORDER + 1)]
        self._images = len(references)
        self.ngrams = max(order.size for order in self._orders)
        rows = [(image, reference) for image, of_image in enumerate(references) for reference in of_image]
        # Of a pair of caption and reference: length penalty, and share in the image's mean.
        self._shares = [
            np.array([length_penalty(system[image], words) / len(references[image]) for image, words in rows])
            for system in systems
        ]
        self._image_of_pair = scipy.sparse.csr_matrix(
            (np.ones(len(rows)), ([image for image, _ in rows], range(len(rows)))),
            shape=(self._images, len(rows)),
        )

    def score(self, weights: np.ndarray) -> np.ndarray:
        """Returns CIDEr-D of each system on each sample, float64 [M, S].

        Args:
          weights: how often each image is in each sample, float64 [M, N]; each row adds up to N.
        """
        images = weights.sum(axis=1)
        similarity: list[np.ndarray | float] = [0.0] * len(self._shares)
        for order in self._orders:
            squares = order.squared_idf(weights, images)
            reference_norms = np.sqrt(order.references @ squares)
            for number, (product, caption) in enumerate(zip(order.products, order.captions, strict=True)):
                norms = order.caption_of_pair(np.sqrt(caption @ squares)) * reference_norms
                with np.errstate(invalid="ignore", divide="ignore"):
                    similarity[number] += np.where(norms > 0, (product @ squares) / norms, 0.0)
        scores = [
            np.einsum("mn,nm->m", weights, self._image_of_pair @ (of_pairs * shares[:, None])) / images
            for of_pairs, shares in zip(similarity, self._shares, strict=True)
        ]
        return 10.0 / MAX_ORDER * np.stack(scores, axis=1)


class _Order:
    """The n-grams of one order: P pairs of image and reference, G different n-grams."""

    def __init__(self, order: int, references: Sequence[Sequence[Words]], systems: Sequence[Sequence[Words]]):
        places: dict[Gram, int] = {}

        def counted(words: Words) -> dict[int, int]:
            counts = Counter(ngrams(words, order))
            return {places.setdefault(gram, len(places)): count for gram, count in counts.items()}

        of_references = [[counted(words) for words in of_image] for of_image in references]
        of_systems = [[counted(words) for words in system] for system in systems]
        self.size = len(places)
        self._pair_image = np.repeat(np.arange(len(references)), [len(of_image) for of_image in references])
        flat = [counts for of_image in of_references for counts in of_image]
        self._documents = self._matrix(
            (
                (gram, image, 1)
                for image, of_image in enumerate(of_references)
                for gram in {gram for counts in of_image for gram in counts}
            ),
            (self.size, len(references)),
        )
        self.references = self._squared(flat)
        self.captions = [self._squared(system) for system in of_systems]
        # min(weight, theirs) * theirs, as both have the same idf.
        self.products = [
            self._matrix(
                (
                    (pair, gram, min(count, theirs[gram]) * theirs[gram])
                    for pair, (image, theirs) in enumerate(zip(self._pair_image, flat, strict=True))
                    for gram, count in system[image].items()
                    if gram in theirs
                ),
                (len(flat), self.size),
            )
            for system in of_systems
        ]

    def caption_of_pair(self, per_image: np.ndarray) -> np.ndarray:
        """[N, M] -> [P, M]."""
        return per_image[self._pair_image]

    def squared_idf(self, weights: np.ndarray, images: np.ndarray) -> np.ndarray:
        """float64 [G, M]; an n-gram in no reference of the sample counts as in one."""
        frequencies = self._documents @ weights.T
        logs = np.log(np.maximum(np.arange(weights.shape[1] + 1), 1))
        idf = np.log(images) - logs[frequencies.astype(np.int64)]
        return idf * idf

    def _squared(self, counted: Sequence[dict[int, int]]) -> scipy.sparse.csr_matrix:
        return self._matrix(
            (
                (row, gram, count * count)
                for row, counts in enumerate(counted)
                for gram, count in counts.items()
            ),
            (len(counted), self.size),
        )

    @staticmethod
    def _matrix(entries: Iterable[tuple[int, int, int]], shape: tuple[int, int]) -> scipy.sparse.csr_matrix:
        """From (row, column, value)."""
        table = np.array(list(entries), np.int64).reshape(-1, 3)
        return scipy.sparse.csr_matrix((table[:, 2].astype(np.float64), (table[:, 0], table[:, 1])), shape)
