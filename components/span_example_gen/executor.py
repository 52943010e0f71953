"""What the SpanExampleGen does: new spans are judged, the accepted ones make the window."""

import dataclasses
import json
import os
from collections.abc import Sequence

import apache_beam as beam
from absl import logging
from tfx import types
from tfx.dsl.io import fileio
from tfx.utils import io_utils

from components.span_example_gen import records, window
from components.span_example_gen import spans as spans_
from components.span_example_gen.config import SpansConfig
from components.span_example_gen.judge import Judge
from components.span_example_gen.served_model import ServedModel
from components.span_example_gen.spans import Span


def identify(data_dir: str, records_dir: str) -> str:
    """Returns a name for the spans that may be learned from, without reading an image.

    It is what `SpanExampleGen` takes as `spans`; see `spans.identify`.
    """
    return spans_.identify(data_dir, records.refused(records_dir, spans_.find(data_dir)))


def judge_new(judge: Judge, spans: Sequence[Span]) -> list[records.Record]:
    """Judges those that were not judged yet, the oldest first: each is compared with those before it.

    What is known is read once, so that one new span after years of them costs no more than one after a few. A
    person's word that comes in meanwhile holds from the next call on.

    Returns the new records.
    """
    made: list[records.Record] = []
    accepted: list[records.Judgement] = []
    for known in records.read(judge.records_dir, spans):
        if known.record is None:
            record = _judge(judge, known.span, accepted)
            made.append(record)
            known = dataclasses.replace(known, record=record)
        if known.state == records.ACCEPTED:
            accepted.append(known)
    return made


def _judge(judge: Judge, span: Span, accepted: Sequence[records.Judgement]) -> records.Record:
    logging.info("%s is new, and is judged.", span.name)
    record = judge.judge(span, list(accepted))
    logging.info("%s is %s.", span.name, record.state)
    for sentence in record.warnings:
        logging.warning("%s: %s", span.name, sentence)
    return record


def generate(
    schema: types.Artifact,
    examples: types.Artifact,
    judgements: types.Artifact,
    data_dir: str,
    records_dir: str,
    serving_dir: str,
    config: str,
    planned: str,
    beam_pipeline: beam.Pipeline,
) -> None:
    """See `component.SpanExampleGen`."""
    options = SpansConfig.from_json(config)
    found = spans_.resolve(data_dir, planned, records.refused(records_dir, spans_.find(data_dir)))
    if any(each.record is None for each in records.read(records_dir, found)):
        judge = Judge(
            options,
            io_utils.SchemaReader().read(io_utils.get_only_uri_in_dir(schema.uri)),
            ServedModel.find(serving_dir),
            records_dir,
            beam_pipeline,
        )
        judge_new(judge, found)
    known = records.read(records_dir, found)
    for each in known:
        for sentence in each.why:
            logging.warning("%s is refused: %s", each.span.name, sentence)
    chosen = window.choose(known, options.window)
    window.fill(examples, chosen)
    used = {span.number for span in chosen}
    fileio.makedirs(judgements.uri)
    with fileio.open(os.path.join(judgements.uri, records.JUDGEMENTS), "w") as file:
        content = [each.to_dict() | {"used": each.span.number in used} for each in known]
        file.write(json.dumps(content, indent=2, sort_keys=True) + "\n")
