"""Judges new spans before a run is planned, so that a bad one changes nothing of what is computed.

The SpanExampleGen would judge them, too: on Kubeflow, where nothing is planned, it does.
"""

import importlib.resources
import os

from components.span_example_gen import executor, records
from components.span_example_gen import spans as spans_
from components.span_example_gen.records import Record
from pipeline.config import PipelineConfig
from pipeline.paths import Paths


def judge_new(config: PipelineConfig, data: str, paths: Paths) -> list[Record]:
    """Judges the spans that were not judged yet, and returns what was found. Call it with the root's lock."""
    spans = spans_.find(os.path.abspath(data))
    if all(each.record is not None for each in records.read(paths.spans, spans)):
        return []
    # Slow to load, so only for spans that are new.
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    from components.span_example_gen.judge import Judge
    from components.span_example_gen.served_model import ServedModel
    from pipeline import pipeline as wiring

    schema = importlib.resources.files("pipeline") / "schemas/raw/schema.pbtxt"
    judge = Judge(
        config.spans,
        text_format.Parse(schema.read_text("utf-8"), schema_pb2.Schema()),
        ServedModel.find(paths.serving),
        paths.spans,
        beam.Pipeline(options=PipelineOptions(wiring.beam_args(config))),
    )
    return executor.judge_new(judge, spans)
