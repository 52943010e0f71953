"""SpanExampleGen: judges new spans, and outputs the Examples of the newest accepted ones."""

import apache_beam as beam
from tfx import v1 as tfx
from tfx.dsl.component.experimental.annotations import BeamComponentParameter

from components.span_example_gen import executor
from components.span_example_gen import spans as spans_


@tfx.dsl.components.component(use_beam=True)
def SpanExampleGen(
    schema: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Schema],
    examples: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.Examples],
    judgements: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.ExampleAnomalies],
    data_dir: tfx.dsl.components.Parameter[str],
    records_dir: tfx.dsl.components.Parameter[str],
    serving_dir: tfx.dsl.components.Parameter[str],
    config: tfx.dsl.components.Parameter[str],
    spans: tfx.dsl.components.Parameter[str] = spans_.NEWEST,
    code_version: tfx.dsl.components.Parameter[str] = "",
    beam_pipeline: BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    """Judges each span that is new, once and the oldest first, and outputs the window of accepted ones.

    Identical on every orchestrator: the spans are found by the component, not by a resolver. The model in
    service is looked up when a span is to be judged and is no input, so that a push is no reason to compute
    anything of the same data again.

    Args:
      schema: of the raw Examples; a span with anomalies against it is refused.
      examples: splits `train` and `eval`: the window's own files, hard-linked where that is possible. Custom
        property `span` is the newest span.
      judgements: holds `judgements.json`: a list of what is known of each span, the oldest first
        (`records.Judgement.to_dict`), with `used`: whether it is in the window.
      data_dir: folder of the spans.
      records_dir: folder of the judgements, kept between runs.
      serving_dir: the directory with a numbered folder for each version in service.
      config: JSON of `config.SpansConfig`.
      spans: `executor.identify(data_dir, records_dir)`, taken when the run is planned, so that a cached
        answer is used as long as there are the same spans. `newest` looks when the component runs, which is
        right only where nothing is cached.
      code_version: changes when code that matters does; only tells TFX's cache.
      beam_pipeline: given by TFX.

    Raises:
      ValueError: a bad config; no span is accepted (each is named with the reason), or the window lacks a
        split.
      FileNotFoundError: the spans were changed since the run was planned.
    """
    del code_version
    executor.generate(
        schema, examples, judgements, data_dir, records_dir, serving_dir, config, spans, beam_pipeline
    )
