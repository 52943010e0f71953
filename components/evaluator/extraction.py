"""From TFMA's extracts to plain records: captions, slices, and CIDEr-D with document frequencies known."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from apache_beam.utils import shared

from components.evaluator.records import FILE_PREFIX, ImageRecord, Record
from components.evaluator.slices import slices_of
from models import features
from models.metrics import cider_d
from models.metrics.tokenizer import tokenize
from models.seen_captions import SeenCaptions

RECORD_KEY: Final = "record"
_STAGE: Final = "ExtractRecords"
_OUTPUT: Final = "records"

_OUTPUTS: Final = (
    features.CAPTION_OUTPUT,
    features.TOKEN_NLL_OUTPUT,
    features.TOKEN_CORRECT_OUTPUT,
    features.TOKEN_COUNT_OUTPUT,
)

Idf = tuple[Mapping[cider_d.Gram, float], int]


def with_records(extractors: list[Any], models: Mapping[str, str]) -> list[Any]:
    """Adds the records to TFMA's default extractors, before the keys of the slices are read.

    Args:
      extractors: of `tfma.default_extractors`; the last one reads the slice keys.
      models: SavedModel by the name of the model.
    """
    *before, slice_keys = extractors
    records = tfma.extractors.Extractor(stage_name=_STAGE, ptransform=_ExtractRecords(dict(models)))
    return [*before, records, slice_keys]


class _ExtractRecords(beam.PTransform):
    """Extracts -> extracts of `RECORD_KEY` and the slices' values; images and features end here."""

    def __init__(self, models: Mapping[str, str]):
        super().__init__()
        self._models = models

    def expand(self, extracts: beam.PCollection) -> beam.PCollection:
        records = extracts | "ReadExtracts" >> beam.Map(read_extracts, list(self._models))
        # CIDEr-D's first pass. Only the frequencies are ever in one place, never the captions.
        idf = records | "DocumentFrequencies" >> beam.CombineGlobally(DocumentFrequencies())
        return records | "ScoreCaptions" >> beam.ParDo(
            ScoreCaptions(self._models), beam.pvalue.AsSingleton(idf)
        )


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


class DocumentFrequencies(beam.CombineFn):
    """ImageRecords -> (idf by n-gram, number of images). The accumulator holds a count an n-gram."""

    def create_accumulator(self) -> tuple[Counter[cider_d.Gram], int]:
        return Counter(), 0

    def add_input(self, accumulator: tuple[Counter, int], record: ImageRecord) -> tuple[Counter, int]:
        frequencies, images = accumulator
        frequencies.update(cider_d.document_frequencies([[tokenize(text) for text in record.references]]))
        return frequencies, images + 1

    def merge_accumulators(self, accumulators: Iterable[tuple[Counter, int]]) -> tuple[Counter, int]:
        total: Counter[cider_d.Gram] = Counter()
        images = 0
        for frequencies, its_images in accumulators:
            total.update(frequencies)
            images += its_images
        return total, images

    def extract_output(self, accumulator: tuple[Counter, int]) -> Idf:
        frequencies, images = accumulator
        return cider_d.inverse_frequencies(frequencies, images) if images else {}, images


class ScoreCaptions(beam.DoFn):
    """Completes an ImageRecord: CIDEr-D of each caption, and whether it is novel."""

    def __init__(self, models: Mapping[str, str]):
        super().__init__()
        self._models = models
        self._handle = shared.Shared()

    def setup(self) -> None:
        """Reads what each model has learned from: once a worker, since it grows with the training data."""
        self._seen: _Seen = self._handle.acquire(lambda: _Seen(self._models))

    def process(self, record: ImageRecord, idf: Idf) -> Iterator[dict[str, Any]]:
        """Yields TFMA's extracts of one image."""
        weights, images = idf
        references = [tokenize(reference) for reference in record.references]
        scored = {}
        for name, mine in record.models.items():
            words = tokenize(mine.caption)
            seen = self._seen[name]
            scored[name] = dataclasses.replace(
                mine,
                cider_d=cider_d.caption_score(words, references, weights, images),
                novel=None if seen is None else words not in seen,
            )
        record = dataclasses.replace(record, models=scored)
        # As TFMA reads slice keys: a list of values a feature.
        slices = {name: [value] for name, value in record.slices.items()}
        yield {RECORD_KEY: record, tfma.FEATURES_KEY: slices}


class _Seen(dict[str, SeenCaptions | None]):
    """By model; a class of its own because Beam's `Shared` needs what can be weakly referred to."""

    def __init__(self, models: Mapping[str, str]):
        super().__init__({name: SeenCaptions.read(path) for name, path in models.items()})


def record_evaluator() -> Any:
    """Returns a TFMA evaluator that passes the records on to `record_writer`."""

    class _Collect(beam.PTransform):
        def expand(self, extracts: beam.PCollection) -> dict[str, beam.PCollection]:
            return {_OUTPUT: extracts | "ToLine" >> beam.Map(lambda e: e[RECORD_KEY].to_json())}

    return tfma.evaluators.Evaluator(stage_name="CollectRecords", run_after=_STAGE, ptransform=_Collect())


def record_writer(folder: str) -> Any:
    """Returns a TFMA writer of the records into `folder`."""

    class _Write(beam.PTransform):
        def expand(self, evaluation: dict[str, beam.PCollection]) -> Any:
            return evaluation[_OUTPUT] | "WriteLines" >> beam.io.WriteToText(
                f"{folder}/{FILE_PREFIX}", file_name_suffix=".jsonl.gz"
            )

    return tfma.writers.Writer(stage_name="WriteRecords", ptransform=_Write())
