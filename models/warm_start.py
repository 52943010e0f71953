"""Warm start: a new captioner begins with the weights of the one in service, mapped by variable and by word.

A model that another one may start from has `assets.extra/captioner.json` and `.weights.h5`, which servers
ignore. Keras 3 cannot read a SavedModel back.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
import tempfile
from collections.abc import Sequence
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf

from models import encoder_identity
from models.captioner import Captioner
from models.config import ModelConfig
from models.features import VOCABULARY_FILE
from models.representations.base import WordTable

_WEIGHTS: Final = os.path.join("assets.extra", "captioner.weights.h5")
_SHAPES: Final = os.path.join("assets.extra", "captioner.json")
# Options of a model that do not say what its weights mean.
_FREE: Final = ("preset", "mirror_regions", "train_vectors", "dropout")
# Tables that are computed from the words, not learned; a new model has its own.
_TABLES: Final = ("vectors", "code")


class ColdStart(ValueError):
    """Why a model cannot begin with another's weights, in a sentence."""


@dataclasses.dataclass(frozen=True)
class Shapes:
    """What has to be known of a captioner to build it again.

    Attributes:
      model: its config.
      features: (R, D) of the image features.
      words, base_words: `WordTable.size` and `.base_size`.
      vector_width: of the word vectors, 0 where it learned its own.
    """

    model: ModelConfig
    features: tuple[int, int]
    words: int
    base_words: int
    vector_width: int

    @classmethod
    def of(cls, model: ModelConfig, features: tuple[int, int], table: WordTable) -> "Shapes":
        """Returns those of a captioner of these."""
        width = 0 if table.vectors is None else table.vectors.shape[1]
        return cls(model, features, table.size, table.base_size, width)

    def build(self, more_words: int = 0, more_base_words: int = 0) -> Captioner:
        """Returns a captioner of these shapes with some words more, its weights not yet learned."""
        words = self.words + more_words
        table = WordTable(
            words,
            self.base_words + more_base_words,
            np.zeros((words, self.vector_width), np.float32) if self.vector_width else None,
            self.model.train_vectors,
            self.model.error_correction,
            self.model.hybrid_rest,
        )
        captioner = Captioner(self.model, table)
        captioner(np.zeros((1, *self.features), np.float32), np.zeros((1, 2), np.int32))
        return captioner


def write(model: Captioner, shapes: Shapes, path: str) -> None:
    """Puts what a later warm start needs beside the SavedModel in folder `path`."""
    tf.io.gfile.makedirs(os.path.join(path, "assets.extra"))
    with tempfile.TemporaryDirectory() as folder:
        weights = os.path.join(folder, "captioner.weights.h5")  # h5 is written to local files only
        model.save_weights(weights)
        tf.io.gfile.copy(weights, os.path.join(path, _WEIGHTS), overwrite=True)
    content = dataclasses.asdict(shapes) | {"model": json.loads(shapes.model.to_json())}
    with tf.io.gfile.GFile(os.path.join(path, _SHAPES), "w") as file:
        json.dump(content, file)


def digest(path: str) -> str:
    """Names what can be begun with in folder `path`, by its content; also where there is nothing."""
    content = hashlib.sha256()
    for name in (_SHAPES, _WEIGHTS, VOCABULARY_FILE):
        file_path = os.path.join(path, name)
        if tf.io.gfile.exists(file_path):
            with tf.io.gfile.GFile(file_path, "rb") as file:
                content.update(file.read())
    return content.hexdigest()


def read_shapes(path: str) -> Shapes:
    """Returns the shapes of the captioner in folder `path`. Raises ColdStart."""
    try:
        with tf.io.gfile.GFile(os.path.join(path, _SHAPES)) as file:
            content = json.loads(file.read())
        model = ModelConfig.from_json(json.dumps(content.pop("model")))
        return Shapes(model, tuple(content.pop("features")), **content)
    except tf.errors.NotFoundError as error:
        raise ColdStart("it was exported without its shapes, by an older version of this software") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ColdStart(f"its shapes cannot be read ({error}); another version of this software?") from error


def begin(model: Captioner, shapes: Shapes, words: Sequence[str], path: str, encoder: str) -> str:
    """Gives `model` what it can learn from the captioner in service, and returns a sentence about it.

    A variable that has a row a word gets the rows of the words that both know; every other one is copied
    whole. Those of another shape keep their initial weights (the bits of a code that has grown).

    Args:
      model: a built captioner of `shapes`.
      shapes: of `model`.
      words: its words by id.
      path: folder of the SavedModel in service.
      encoder: fingerprint of the image encoder that `model` gets its features of.

    Raises:
      ColdStart: decoder, representation or encoder have changed, or the words' codes have; or there is
        nothing to read. `model` is as it was.
    """
    old = read_shapes(path)
    _require_same(old, shapes, path, encoder)
    with tf.io.gfile.GFile(os.path.join(path, VOCABULARY_FILE)) as file:
        old_words = file.read().splitlines()
    if _has_codes(shapes.model) and list(words[: len(old_words)]) != old_words:
        raise ColdStart(
            "its words have other ids, and so other codes; corpus.vocabulary=grow or frozen would keep them"
        )
    source = _load(old, path)
    ids = {word: index for index, word in enumerate(old_words)}
    shared = [(ids[word], index) for index, word in enumerate(words) if word in ids]
    left = []
    axes = _word_axes(shapes)
    for variable, learned, (axis, base_only) in zip(model.weights, source.weights, axes, strict=True):
        if variable.name in _TABLES and not variable.trainable:
            continue
        values = learned.numpy()
        if axis is not None:
            limits = (old.base_words, shapes.base_words) if base_only else (len(old_words), len(words))
            rows = [pair for pair in shared if pair[0] < limits[0] and pair[1] < limits[1]]
            values = _with_rows(variable.numpy(), values, axis, rows)
        if values is None or values.shape != tuple(variable.shape):
            left.append(variable.path)
            continue
        variable.assign(values)
    sentence = f"warm start from {path}: {len(shared):,} of {len(words):,} words are known to it"
    return sentence + (f"; another shape, so learned anew: {', '.join(left)}" if left else "")


def _require_same(old: Shapes, new: Shapes, path: str, encoder: str) -> None:
    options = (_meaning(shapes.model) for shapes in (old, new))
    before, after = options
    changed = [f"model.{key} {before[key]} -> {after[key]}" for key in after if before.get(key) != after[key]]
    if changed:
        raise ColdStart(f"the model has changed: {', '.join(changed)}")
    if old.features != new.features or encoder_identity.read(path) != encoder:
        raise ColdStart("it was trained on another image encoder's features")
    if old.vector_width != new.vector_width:
        raise ColdStart(f"its word vectors have {old.vector_width} values; these {new.vector_width}")


def _meaning(config: ModelConfig) -> dict[str, Any]:
    options = dataclasses.asdict(config.resolve())
    return {key: value for key, value in options.items() if key not in _FREE}


def _has_codes(config: ModelConfig) -> bool:
    names = {config.input_representation, config.output_representation}
    return "binary_code" in names or ("hybrid" in names and config.hybrid_rest == "binary_code")


def _load(shapes: Shapes, path: str) -> keras.Model:
    model = shapes.build()
    with tempfile.TemporaryDirectory() as folder:
        weights = pathlib.Path(folder, "captioner.weights.h5")
        try:
            tf.io.gfile.copy(os.path.join(path, _WEIGHTS), str(weights))
            model.load_weights(weights)
        except (tf.errors.OpError, ValueError, OSError) as error:
            raise ColdStart(f"its weights cannot be read ({error})") from error
    return model


def _word_axes(shapes: Shapes) -> list[tuple[int | None, bool]]:
    """For each variable: the axis that counts words (None: none does), and whether only base words.

    Found by building models with a word more: no width that happens to equal a number of words misleads.
    """
    plain = [tuple(variable.shape) for variable in shapes.build().weights]
    word = [tuple(variable.shape) for variable in shapes.build(more_words=1).weights]
    base = [tuple(variable.shape) for variable in shapes.build(1, more_base_words=1).weights]
    found = []
    for shape, with_word, with_base in zip(plain, word, base, strict=True):
        axis = _grown(shape, with_word, shapes.words)
        base_axis = _grown(with_word, with_base, shapes.base_words)
        found.append((base_axis, True) if axis is None else (axis, False))
    return found


def _grown(shape: tuple[int, ...], more: tuple[int, ...], count: int) -> int | None:
    return next(
        (i for i, (a, b) in enumerate(zip(shape, more, strict=True)) if b == a + 1 == count + 1), None
    )


def _with_rows(
    target: np.ndarray, source: np.ndarray, axis: int, pairs: Sequence[tuple[int, int]]
) -> np.ndarray | None:
    """Returns `target` with rows of `source` along `axis`; None if other axes differ."""
    if np.delete(target.shape, axis).tolist() != np.delete(source.shape, axis).tolist():
        return None
    target = np.moveaxis(target.copy(), axis, 0)
    for before, after in pairs:
        target[after] = np.moveaxis(source, axis, 0)[before]
    return np.moveaxis(target, 0, axis)
