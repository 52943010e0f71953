"""The model in service, as far as new spans are judged by it."""

import dataclasses
import hashlib
import os
from typing import Final, Self

from tfx.dsl.io import fileio

from components.baseline import in_service
from models import encoder_identity
from models.features import ACTION_WORDS

_ASSETS: Final = "assets"


@dataclasses.dataclass(frozen=True)
class ServedModel:
    """A model in service.

    Attributes:
      name: `VERSION-DIGEST`.
      path: of its SavedModel.
      encoder: fingerprint of its image encoder.
      vocabulary: file of the words it knows, one a line; empty without one.
      vocabulary_digest: equal for the same words, in whatever order; empty without a file of them.
    """

    name: str
    path: str
    encoder: str
    vocabulary: str
    vocabulary_digest: str

    @classmethod
    def find(cls, serving_dir: str) -> Self | None:
        """Returns the newest version in a serving directory; None without one."""
        version = in_service.newest_version(serving_dir)
        if version is None:
            return None
        path = os.path.join(serving_dir, version)
        assets = os.path.join(path, _ASSETS)
        # The vocabulary is the one asset of our models.
        names = sorted(fileio.listdir(assets)) if fileio.isdir(assets) else []
        vocabulary = os.path.join(assets, names[0]) if names else ""
        return cls(
            in_service.identity(path),
            path,
            encoder_identity.read(path),
            vocabulary,
            _digest(words(vocabulary)),
        )


def words(vocabulary: str) -> frozenset[str] | None:
    """The words in a file of `ServedModel.vocabulary`; None for no file."""
    if not vocabulary:
        return None
    with fileio.open(vocabulary, "rb") as file:
        lines = file.read().decode("utf-8").split("\n")
    return frozenset(lines) - frozenset(ACTION_WORDS)


def _digest(known: frozenset[str] | None) -> str:
    """Of the words alone: a new training may number the same words otherwise."""
    if known is None:
        return ""
    return hashlib.sha256("\n".join(sorted(known)).encode()).hexdigest()[:16]
