"""From TFMA's extracts to plain records: captions, slices, and CIDEr-D with document frequencies known."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import apache_beam as beam
import tensorflow_model_analysis as tfma

from components.evaluator.records import FILE_PREFIX, ImageRecord, read_extracts
from models.metrics import cider_d
from models.metrics.tokenizer import tokenize
from models.seen_captions import SeenCaptions

RECORD_KEY: Final = "record"
_STAGE: Final = "ExtractRecords"
_OUTPUT: Final = "records"

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

    def setup(self) -> None:
        """Reads what each model has learned from."""
        self._seen = {name: SeenCaptions.read(path) for name, path in self._models.items()}

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
