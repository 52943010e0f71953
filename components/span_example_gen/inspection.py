"""Looks at a new span, in one Beam pipeline, and keeps what it finds beside the span's record.

    RECORDS/span-0012/findings/tally.json           counts by name
    RECORDS/span-0012/findings/broken.json          a sentence for each of the first shards that are not whole
    RECORDS/span-0012/findings/statistics.pb        of `components.drift`
    RECORDS/span-0012/findings/raw_statistics.pb    TFDV's, without the images' bytes
    RECORDS/span-0012/findings/pictures-*.txt.gz    content hash, split and span of each image
    RECORDS/span-0012/findings/scores.json          of `caption_fit`, where a model is in service

Later spans are compared with these, so that old data are not read again. Nothing here grows with the data but
the list of pictures, which stays in Beam.
"""

import dataclasses
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Self

import apache_beam as beam
import tensorflow_data_validation as tfdv
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.runners.direct.direct_runner import SwitchingDirectRunner
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2
from tfx.dsl.io import fileio
from tfx_bsl.tfxio import tf_example_record

from components.drift import statistics as drift_statistics
from components.drift.features import FEATURE_MEAN
from components.span_example_gen import caption_fit, known_pictures, reading, records
from components.span_example_gen.served_model import ServedModel
from components.span_example_gen.spans import EVAL, SPLITS, TRAIN, Span
from components.statistics_gen.executor import options as statistics_options

_FOLDER: Final = "findings"
_TALLY: Final = "tally.json"
_BROKEN: Final = "broken.json"
_STATISTICS: Final = "statistics.pb"
_RAW_STATISTICS: Final = "raw_statistics.pb"
_PICTURES: Final = "pictures"
_SCORES: Final = "scores.json"

_NAMED: Final = 5  # shards that are named; the others are counted
_SAMPLED_SHARDS: Final = 64  # more are never needed for a sample of images

_KINDS: Final = {
    schema_pb2.BYTES: "bytes_list",
    schema_pb2.INT: "int64_list",
    schema_pb2.FLOAT: "float_list",
}


@dataclasses.dataclass(frozen=True)
class Findings:
    """What a span is like.

    Attributes:
      tally: counts by the names in `reading` and `known_pictures`.
      broken: sentences on shards that are not whole.
      statistics: of `components.drift`.
      raw_statistics: TFDV's, for the schema.
      scores: of `caption_fit`, by sample; empty without a model in service.
    """

    tally: Mapping[str, int]
    broken: Sequence[str]
    statistics: drift_statistics.Statistics
    raw_statistics: statistics_pb2.DatasetFeatureStatisticsList
    scores: Mapping[str, caption_fit.Scores]

    @property
    def images(self) -> int:
        """Records that can be read, an image each."""
        return self._total(reading.IMAGES)

    @property
    def captions(self) -> int:
        return self._total(reading.CAPTIONS)

    def _total(self, name: str) -> int:
        return sum(self.tally.get(name + split, 0) for split in SPLITS)

    @classmethod
    def read(cls, folder: str) -> Self:
        """Reads what `inspect` kept in a folder."""

        def text(name: str) -> Any:
            with fileio.open(os.path.join(folder, name)) as file:
                return json.loads(file.read())

        scores: Mapping[str, caption_fit.Scores] = {}
        if fileio.exists(os.path.join(folder, _SCORES)):
            with fileio.open(os.path.join(folder, _SCORES)) as file:
                scores = caption_fit.scores_of(file.read())
        return cls(
            text(_TALLY),
            text(_BROKEN),
            statistics_of(folder),
            drift_statistics.read(os.path.join(folder, _RAW_STATISTICS)),
            scores,
        )


def folder(records_dir: str, span: Span) -> str:
    """Where the findings of a span lie."""
    return os.path.join(records.folder(records_dir, span), _FOLDER)


def statistics_of(folder: str) -> drift_statistics.Statistics:
    """The compared features of a span, with the mean of the sample's features where a model was asked."""
    counts = drift_statistics.Counts.of(drift_statistics.read(os.path.join(folder, _STATISTICS)))
    path = os.path.join(folder, _SCORES)
    if fileio.exists(path):
        with fileio.open(path) as file:
            means = caption_fit.scores_of(file.read())["span"].feature_means
        sampled = drift_statistics.collect({FEATURE_MEAN: [mean]} for mean in means)
        counts.beside(drift_statistics.Counts.of(sampled))
    return counts.statistics()


def inspect(
    span: Span,
    schema: schema_pb2.Schema,
    earlier: Sequence[Span],
    model: ServedModel | None,
    fit_images: int,
    records_dir: str,
    pipeline: beam.Pipeline,
) -> Findings:
    """Looks at a span.

    Args:
      span: with at least one shard.
      schema: of the raw Examples.
      earlier: accepted spans before it that were looked at, the oldest first.
      model: in service, if there is one.
      fit_images: as in `config.SpansConfig`; 0: the model is not asked.
      records_dir: where all records are kept.
      pipeline: its runner and options are used.
    """
    target = folder(records_dir, span)
    if fileio.exists(target):  # of an attempt that was cut short, or of another content
        fileio.rmtree(target)
    fileio.makedirs(target)
    with _another(pipeline) as own:
        _looks(own, span, schema, [folder(records_dir, each) for each in earlier], model, target)
        if model is not None and fit_images:
            _asks(own, span, earlier, model, fit_images, target)
    return Findings.read(target)


def _looks(
    pipeline: beam.Pipeline,
    span: Span,
    schema: schema_pb2.Schema,
    earlier: Sequence[str],
    model: ServedModel | None,
    target: str,
) -> None:
    kinds = {feature.name: _KINDS[feature.type] for feature in schema.feature if feature.type in _KINDS}
    reader = reading.ReadShard(kinds, model.vocabulary if model else "")
    read = (
        pipeline
        | "Shards" >> beam.Create(reading.shards(span))
        | "Spread" >> beam.Reshuffle()
        | "Read"
        >> beam.ParDo(reader).with_outputs(
            reading.VALUES, reading.PICTURES, reading.TALLY, reading.BROKEN, main="examples"
        )
    )
    source = tf_example_record.TFExampleBeamRecord(
        physical_format="inmem", telemetry_descriptors=["SpanExampleGen"]
    )
    _ = (
        read["examples"]
        | "Decode" >> source.BeamSource()
        | "RawStatistics" >> tfdv.GenerateStatistics(statistics_options(schema))
        | "KeepRawStatistics" >> tfdv.WriteStatisticsToBinaryFile(os.path.join(target, _RAW_STATISTICS))
    )
    _ = (
        read[reading.VALUES]
        | "Count" >> beam.CombineGlobally(drift_statistics.Collect())
        | "Statistics" >> beam.Map(lambda counts: counts.statistics())
        | "KeepStatistics" >> tfdv.WriteStatisticsToBinaryFile(os.path.join(target, _STATISTICS))
    )
    _ = (
        read[reading.PICTURES]
        | "Lines" >> beam.Map(known_pictures.to_line, span=span.number)
        | "KeepPictures"
        >> beam.io.WriteToText(
            os.path.join(target, _PICTURES),
            file_name_suffix=".txt.gz",
            compression_type=CompressionTypes.GZIP,
        )
    )
    patterns = [os.path.join(each, f"{_PICTURES}-*") for each in earlier]
    known = read[reading.PICTURES] | "Known" >> known_pictures.CountKnown(patterns)
    _ = (
        (read[reading.TALLY], known)
        | beam.Flatten()
        | "Sum" >> beam.CombinePerKey(sum)
        | "Tally" >> beam.combiners.ToDict()
        | "KeepTally" >> _KeepJson(os.path.join(target, _TALLY))
    )
    _ = (
        read[reading.BROKEN]
        | "First" >> beam.combiners.Top.Smallest(_NAMED)
        | "KeepBroken" >> _KeepJson(os.path.join(target, _BROKEN))
    )


def _asks(
    pipeline: beam.Pipeline,
    span: Span,
    earlier: Iterable[Span],
    model: ServedModel,
    images: int,
    target: str,
) -> None:
    mine = [*span.paths(TRAIN), *span.paths(EVAL)][:_SAMPLED_SHARDS]
    # The newest are most like it, and the model has not learned from any.
    reference = [path for each in reversed(list(earlier)) for path in each.paths(EVAL)][:_SAMPLED_SHARDS]
    _ = (
        pipeline
        | "Question" >> beam.Create([caption_fit.Question(tuple(mine), tuple(reference), images)])
        | "Ask" >> beam.ParDo(caption_fit.AskModel(model.path))
        | "KeepScores" >> _write_whole(os.path.join(target, _SCORES))
    )


class _KeepJson(beam.PTransform):
    """Writes the one value of a collection to a file."""

    def __init__(self, path: str):
        super().__init__()
        self._path = path

    def expand(self, values: beam.PCollection) -> Any:
        return values | "Json" >> beam.Map(json.dumps, sort_keys=True) | "Write" >> _write_whole(self._path)


def _write_whole(path: str) -> beam.PTransform:
    return beam.io.WriteToText(path, shard_name_template="", append_trailing_newlines=False)


def _another(pipeline: beam.Pipeline) -> beam.Pipeline:
    """A pipeline of the same kind: TFX gives one, and each span has its own.

    Beam's direct runner stays in this process. It first tries Prism, a program that Beam downloads.
    """
    runner = pipeline.runner
    if isinstance(runner, SwitchingDirectRunner):
        runner = FnApiRunner()
    return beam.Pipeline(runner=runner, options=pipeline.options)
