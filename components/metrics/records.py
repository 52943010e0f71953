"""What the metrics read of an evaluated image: the extracts of TFMA, made plain."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow_model_analysis as tfma

from models import features


@dataclasses.dataclass(frozen=True)
class Record:
    """One image as one model sees it.

    Attributes:
      caption: the model's best caption.
      references: the captions people wrote; at least one.
      token_nll: sum of -log p, in nats, over the tokens of all references that the model was asked for.
      token_correct: of these tokens, how many were the model's first choice.
      token_count: how many tokens these are; 0 where every reference was left out by the corpus rules.
    """

    caption: str
    references: tuple[str, ...]
    token_nll: float
    token_correct: float
    token_count: float


def _text(value: Any) -> str:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)


def _texts(value: Any) -> tuple[str, ...]:
    """Returns the strings of one image; TFMA pads images with fewer captions by empty ones or None."""
    return tuple(_text(v) for v in np.ravel(np.asarray(value, dtype=object)) if v is not None and len(v))


def _of_model(extract: Any, model_name: str) -> Any:
    """TFMA nests by model name only where it evaluates several models."""
    return extract[model_name] if isinstance(extract, Mapping) and model_name in extract else extract


def read_record(extracts: Mapping[str, Any], model_name: str) -> Record:
    """Returns one image's record.

    Args:
      extracts: unbatched extracts with labels and predictions.
      model_name: of the model spec; empty where only one model is evaluated.

    Raises:
      ValueError: the image has no reference, or the model's signature lacks an output.
    """
    references = _texts(_of_model(extracts[tfma.LABELS_KEY], model_name))
    if not references:
        image = _texts(extracts.get(tfma.FEATURES_KEY, {}).get(features.IMAGE_ID, ()))
        raise ValueError(
            f"image {', '.join(image) or 'without id'} has no {features.CAPTIONS!r} to score a caption "
            "against; the importer rejects such images, so remove it from the eval split or caption it"
        )
    outputs = _of_model(extracts[tfma.PREDICTIONS_KEY], model_name)
    needed = (
        features.CAPTION_OUTPUT,
        features.TOKEN_NLL_OUTPUT,
        features.TOKEN_CORRECT_OUTPUT,
        features.TOKEN_COUNT_OUTPUT,
    )
    if not isinstance(outputs, Mapping) or not set(needed) <= set(outputs):
        got = ", ".join(sorted(outputs)) if isinstance(outputs, Mapping) else type(outputs).__name__
        raise ValueError(
            f"the signature {features.EVAL_SIGNATURE!r} of model {model_name or 'candidate'!r} must return "
            f"{', '.join(needed)}; got {got}. Export the model again with this version"
        )
    return Record(
        caption=_text(np.ravel(np.asarray(outputs[features.CAPTION_OUTPUT], dtype=object))[0]),
        references=references,
        token_nll=float(np.ravel(outputs[features.TOKEN_NLL_OUTPUT])[0]),
        token_correct=float(np.ravel(outputs[features.TOKEN_CORRECT_OUTPUT])[0]),
        token_count=float(np.ravel(outputs[features.TOKEN_COUNT_OUTPUT])[0]),
    )


class MeasureRecord(tfma.metrics.Preprocessor):
    """Reduces an image to what one family of metrics needs, once and before slicing."""

    def __init__(self, family: str, measure: Any, model_name: str) -> None:
        super().__init__(name=f"{family}/{model_name}")
        self._measure = measure
        self._model_name = model_name

    def process(self, extracts: Mapping[str, Any]) -> Iterable[Any]:
        """Yields the family's measurement of one image."""
        yield self._measure(read_record(extracts, self._model_name))
