"""What is known of an evaluated image, plain: references, slices, and what each model made of it."""

import dataclasses
import gzip
import json
import math
import os
from collections.abc import Iterable, Mapping
from typing import Any, Final, Self

import numpy as np
import tensorflow_model_analysis as tfma

from components.evaluator.slices import slices_of
from models import features
from models.metrics.bootstrap import Outcome
from models.metrics.tokenizer import tokenize

# TFMA's names of the two models.
CANDIDATE: Final = "candidate"
BASELINE: Final = "baseline"
# Beside the evaluation: an ImageRecord a line, gzipped.
FILE_PREFIX: Final = "records"
_OUTPUTS: Final = (
    features.CAPTION_OUTPUT,
    features.TOKEN_NLL_OUTPUT,
    features.TOKEN_CORRECT_OUTPUT,
    features.TOKEN_COUNT_OUTPUT,
)


@dataclasses.dataclass(frozen=True)
class Record:
    """An image as one model sees it.

    Attributes:
      caption: the model's best caption.
      token_nll: sum of -log p, in nats, over the tokens of all references that the model was asked for.
      token_correct: of these tokens, how many were the model's first choice.
      token_count: how many tokens these are; 0 where every reference was left out by the corpus rules.
      cider_d: of the caption, with document frequencies of all evaluated images; NaN before they are known.
      novel: whether no training caption reads like it; None where these are not known.
    """

    caption: str
    token_nll: float
    token_correct: float
    token_count: float
    cider_d: float = math.nan
    novel: bool | None = None


@dataclasses.dataclass(frozen=True)
class ImageRecord:
    """An evaluated image.

    Attributes:
      image_id: as imported.
      content_hash: of its file; empty where the data has none.
      references: the captions people wrote; at least one.
      slices: value by the name of the slice; see `components.evaluator.slices`.
      models: what each model made of it, by TFMA's name of the model.
    """

    image_id: str
    content_hash: str
    references: tuple[str, ...]
    slices: Mapping[str, str]
    models: Mapping[str, Record]

    def to_json(self) -> str:
        """Returns one line of JSON; a number that is not finite is written as JavaScript would."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str) -> Self:
        """Inverse of `to_json`."""
        fields = json.loads(line)
        fields["references"] = tuple(fields["references"])
        fields["models"] = {name: Record(**record) for name, record in fields["models"].items()}
        return cls(**fields)


def read_extracts(extracts: Mapping[str, Any], models: Iterable[str]) -> ImageRecord:
    """Returns an image's record.

    Args:
      extracts: TFMA's unbatched extracts with features, labels and predictions.
      models: names of the models that were asked.

    Raises:
      ValueError: the image has no reference, or a model's signature lacks an output.
    """
    models = list(models)
    known = extracts[tfma.FEATURES_KEY]
    references = _texts(_of_model(extracts[tfma.LABELS_KEY], models[0]))
    image_id = " ".join(_texts(known.get(features.IMAGE_ID, ())))
    if not references:
        raise ValueError(
            f"image {image_id or 'without id'} has no {features.CAPTIONS!r} to score a caption against; the "
            "importer rejects such images, so remove it from the eval split or caption it"
        )
    values = {name: list(_values(known.get(name, ()))) for name in features.SLICED}
    return ImageRecord(
        image_id,
        " ".join(_texts(known.get(features.CONTENT_HASH, ()))),
        references,
        slices_of(values, references),
        {name: _record(_of_model(extracts[tfma.PREDICTIONS_KEY], name), name) for name in models},
    )


def _record(outputs: Any, model: str) -> Record:
    if not isinstance(outputs, Mapping) or not set(_OUTPUTS) <= set(outputs):
        got = ", ".join(sorted(outputs)) if isinstance(outputs, Mapping) else type(outputs).__name__
        raise ValueError(
            f"the evaluated signature of the {model} must return {', '.join(_OUTPUTS)}; got {got}. Export "
            "the model again with this version"
        )
    nll, correct, count = (float(_values(outputs[name])[0]) for name in _OUTPUTS[1:])
    return Record(_text(_values(outputs[features.CAPTION_OUTPUT])[0]), nll, correct, count)


def _text(value: Any) -> str:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)


def _values(value: Any) -> np.ndarray:
    return np.ravel(np.asarray(value, dtype=object))


def _texts(value: Any) -> tuple[str, ...]:
    """Returns the strings of one image; TFMA pads images with fewer captions by empty ones or None."""
    return tuple(_text(v) for v in _values(value) if v is not None and len(v))


def _of_model(extract: Any, model: str) -> Any:
    """TFMA nests by the model's name only where it evaluates several models."""
    return extract[model] if isinstance(extract, Mapping) and model in extract else extract


def read(evaluation_uri: str) -> list[ImageRecord]:
    """Returns the records of an evaluation, ordered by image id; none where nothing was evaluated."""
    from tfx.dsl.io import fileio

    records = []
    for path in fileio.glob(os.path.join(evaluation_uri, f"{FILE_PREFIX}-*")):
        with fileio.open(path, "rb") as file:
            lines = gzip.decompress(file.read()).decode("utf-8").splitlines()
        records += [ImageRecord.from_json(line) for line in lines]
    return sorted(records, key=lambda record: (record.image_id, record.content_hash))


def outcome(records: Iterable[ImageRecord], model: str, with_cider_d: bool = False) -> Outcome:
    """Returns what `models.metrics.bootstrap` takes of a model; see there."""
    mine = [record.models[model] for record in records]
    return Outcome(
        [tokenize(record.caption) for record in mine],
        [record.token_nll for record in mine],
        [record.token_correct for record in mine],
        [record.token_count for record in mine],
        [record.cider_d for record in mine] if with_cider_d else None,
    )
