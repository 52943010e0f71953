"""The vocabulary: which words are learned, in which order, and the file that holds them.

The rules are the 2017 original's. A word is eligible when at least `min_images` different images have it in
a caption and the word vectors know it. A caption is kept when all its words are eligible and there are at
most `max_tokens`. The vocabulary is the words of the kept captions: action words, then stop words, then the
rest, each by falling frequency (ties by the alphabet, so that the order is one and the same everywhere).

A vocabulary that grows from a known one begins with all of its words, eligible for that, in their order; the
new ones follow, stop words among the rest. A frozen one is the known one.
"""

import collections
import dataclasses
import os
import uuid
from collections.abc import Iterable, Sequence
from typing import Self

import apache_beam as beam
import numpy as np
import tensorflow as tf
import tensorflow_transform.beam as tft_beam

from models import word_vectors
from models.config import CorpusConfig
from models.features import ACTION_WORDS
from models.stop_words import STOP_WORDS

Image = tuple[str, list[list[str]]]  # image id, captions as words


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """Words by id.

    Attributes:
      words: every word, the action words first; the id of a word is its place.
      base_size: how many leading words are action or stop words (the one-hot part of the hybrid
        representation).
    """

    words: tuple[str, ...]
    base_size: int

    @classmethod
    def load(cls, path: str, corpus: CorpusConfig) -> Self:
        """Reads the file that Transform wrote, one word a line."""
        with tf.io.gfile.GFile(path) as lines:
            words = tuple(line.rstrip("\n") for line in lines)
        stop_words = STOP_WORDS if corpus.stop_words == "english" else frozenset()
        base_size = len(ACTION_WORDS)
        while base_size < len(words) and words[base_size] in stop_words:
            base_size += 1
        return cls(words, base_size)

    def __len__(self) -> int:
        return len(self.words)


def split_words(caption: str) -> list[str]:
    """The corpus rule for words; `models.preprocessing.words_of` is the same in TensorFlow."""
    return caption.lower().split()


def known_words(path: str, corpus: CorpusConfig) -> tuple[str, ...]:
    """The words to begin with, of the vocabulary file at `path` (empty: there is none)."""
    return Vocabulary.load(path, corpus).words if path and corpus.vocabulary != "rebuild" else ()


def eligible_words(
    image_counts: dict[str, int], corpus: CorpusConfig, known: Sequence[str] = (), in_list: bool | None = None
) -> frozenset[str]:
    """Words in enough images and in the word list, from a count of different images a word; and the known.

    `in_list` is `word_vectors.available(corpus)` of the machine that decides, not of an engine's worker.
    """
    old = frozenset(known) - frozenset(ACTION_WORDS)
    if old and corpus.vocabulary == "frozen":
        return old
    listed = None
    if word_vectors.available(corpus) if in_list is None else in_list:
        vectors = word_vectors.load(corpus.word_vectors, corpus.word_list_size)
        # Else a file of another language would only leave a small vocabulary, without a word about it.
        vectors.require_most([word for word, images in image_counts.items() if images >= corpus.min_images])
        listed = vectors.rows
    return old | frozenset(
        word
        for word, images in image_counts.items()
        if images >= corpus.min_images and (listed is None or word in listed) and word not in ACTION_WORDS
    )


def is_kept(words: Sequence[str], eligible: frozenset[str], corpus: CorpusConfig) -> bool:
    """Whether a caption is learned from."""
    if not 0 < len(words) <= corpus.max_tokens:
        return False
    return not corpus.drop_captions_with_rare_words or all(word in eligible for word in words)


def order_words(counts: dict[str, int], corpus: CorpusConfig, known: Sequence[str] = ()) -> list[str]:
    """The vocabulary file's lines, from the words' frequencies in the kept captions and the known words."""
    if known:
        new = counts.keys() - set(known)
        return [*known, *sorted(new, key=lambda word: (-counts[word], word))]
    stop_words = STOP_WORDS if corpus.stop_words == "english" else frozenset()
    by_frequency = sorted(counts, key=lambda word: (word not in stop_words, -counts[word], word))
    return [*ACTION_WORDS, *by_frequency]


def build(images: Iterable[Image], corpus: CorpusConfig, known: Sequence[str] = ()) -> list[str]:
    """The vocabulary in one pass in memory: the specification that `BuildVocabulary` must equal."""
    images = list(images)
    seen_in: dict[str, set[str]] = collections.defaultdict(set)
    for image_id, captions in images:
        for word in {word for words in captions for word in words}:
            seen_in[word].add(image_id)
    eligible = eligible_words({word: len(ids) for word, ids in seen_in.items()}, corpus, known)
    counts = collections.Counter(
        word
        for _, captions in images
        for words in captions
        if is_kept(words, eligible, corpus)
        for word in words
        if word in eligible
    )
    return order_words(counts, corpus, known)


class _CountImages(beam.CombineFn):
    """word -> up to `enough` image ids: exact where it matters, and small whatever the corpus."""

    def __init__(self, enough: int):
        self._enough = enough

    def create_accumulator(self) -> dict[str, set[str]]:
        return {}

    def add_input(self, accumulator, image: Image):
        image_id, captions = image
        for word in {word for words in captions for word in words}:
            ids = accumulator.setdefault(word, set())
            if len(ids) < self._enough:
                ids.add(image_id)
        return accumulator

    def merge_accumulators(self, accumulators):
        merged: dict[str, set[str]] = {}
        for accumulator in accumulators:
            for word, ids in accumulator.items():
                merged.setdefault(word, set()).update(ids)
        return merged

    def extract_output(self, accumulator) -> dict[str, int]:
        return {word: len(ids) for word, ids in accumulator.items()}


class _CountWords(beam.CombineFn):
    def create_accumulator(self) -> collections.Counter[str]:
        return collections.Counter()

    def add_input(self, accumulator, words: Iterable[str]):
        accumulator.update(words)
        return accumulator

    def merge_accumulators(self, accumulators):
        return sum(accumulators, collections.Counter())

    def extract_output(self, accumulator) -> dict[str, int]:
        return dict(accumulator)


class BuildVocabulary(tft_beam.experimental.PTransformAnalyzer):
    """Beam form of `build`: batches of (image ids, captions joined by newlines) -> the file's path."""

    def __init__(self, corpus: CorpusConfig, known: Sequence[str] = ()):
        super().__init__()
        self._corpus = corpus
        self._known = tuple(known)

    def expand(self, batches: beam.PCollection) -> beam.PCollection:
        corpus, known = self._corpus, self._known
        images = batches | "Images" >> beam.FlatMap(_images_of_batch)
        eligible = (
            images
            | "CountImages" >> beam.CombineGlobally(_CountImages(corpus.min_images))
            | "Eligible" >> beam.Map(eligible_words, corpus, known, word_vectors.available(corpus))
        )
        return (
            images
            | "KeptWords" >> beam.FlatMap(_kept_words, beam.pvalue.AsSingleton(eligible), corpus)
            | "CountWords" >> beam.CombineGlobally(_CountWords())
            | "Write" >> beam.Map(_write, self.base_temp_dir, corpus, known)
        )


def _images_of_batch(batch: tuple[np.ndarray, np.ndarray]) -> Iterable[Image]:
    for image_id, joined in zip(*batch, strict=True):
        captions = joined.decode("utf-8").split("\n")
        yield image_id.decode("utf-8"), [split_words(caption) for caption in captions]


def _kept_words(image: Image, eligible: frozenset[str], corpus: CorpusConfig) -> Iterable[list[str]]:
    for words in image[1]:
        if is_kept(words, eligible, corpus):
            yield [word for word in words if word in eligible]


def _write(counts: dict[str, int], directory: str, corpus: CorpusConfig, known: Sequence[str]) -> np.ndarray:
    if not counts and known:
        raise ValueError(
            f"no training caption has only words of the vocabulary (corpus.vocabulary={corpus.vocabulary}: "
            f"the {len(known)} of the model in service); set corpus.vocabulary=rebuild, or "
            "corpus.drop_captions_with_rare_words=false"
        )
    if not counts:
        raise ValueError(
            "the vocabulary is empty: no training caption has only words that are seen in at least "
            f"{corpus.min_images} images and are in the word list; lower corpus.min_images, or set "
            "corpus.drop_captions_with_rare_words=false"
        )
    # A folder of its own, so that the asset is plainly named "vocabulary".
    path = os.path.join(directory, uuid.uuid4().hex, "vocabulary")
    with beam.io.filesystems.FileSystems.create(path, "text/plain") as file:
        file.write("".join(f"{word}\n" for word in order_words(counts, corpus, known)).encode("utf-8"))
    return np.array(path.encode("utf-8"), dtype=object)
