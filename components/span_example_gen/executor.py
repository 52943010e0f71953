"""What the SpanExampleGen does: new spans are judged, the accepted ones make the window."""

import json
import os
from typing import Final

import apache_beam as beam
from absl import logging
from tfx import types
from tfx.dsl.io import fileio

from components.span_example_gen import records, window
from components.span_example_gen import spans as spans_
from components.span_example_gen.config import SpansConfig

JUDGEMENTS: Final = "judgements.json"


def identify(data_dir: str, records_dir: str) -> str:
    """Returns a name for the spans that there are and what people said of them, without reading an image.

    It is what `SpanExampleGen` takes as `spans`; see `spans.identify`.
    """
    return spans_.identify(data_dir, records.words(records_dir, spans_.find(data_dir)))


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
    del schema, serving_dir, beam_pipeline
    options = SpansConfig.from_json(config)
    found = spans_.resolve(data_dir, planned, records.words(records_dir, spans_.find(data_dir)))
    for each in records.read(records_dir, found):
        if each.record is None:
            record = records.Record(
                each.span.number, each.span.digest, records.ACCEPTED, checked_at=records.now()
            )
            records.write(records_dir, each.span, record)
    known = records.read(records_dir, found)
    for each in known:
        for sentence in each.why:
            logging.warning("%s is refused: %s", each.span.name, sentence)
    chosen = window.choose(known, options.window)
    window.fill(examples, chosen)
    used = {span.number for span in chosen}
    fileio.makedirs(judgements.uri)
    with fileio.open(os.path.join(judgements.uri, JUDGEMENTS), "w") as file:
        content = [each.to_dict() | {"used": each.span.number in used} for each in known]
        file.write(json.dumps(content, indent=2, sort_keys=True) + "\n")
