"""What a scheduler's child processes do: `run` what `captioner run` does, or only `judge` the new spans.

SIGTERM is to them what Ctrl-C is to `captioner run`: what was done so far is on record, and the processes
that the run itself has started are ended.
"""

import argparse
import importlib.resources
import os
import signal
import sys
from collections.abc import Sequence

from pipeline import cli, configs_by_name
from pipeline.commands import run as run_command
from pipeline.config import PipelineConfig, override
from pipeline.errors import UserError


def main(argv: Sequence[str] | None = None) -> int:
    """Does the work that the first argument names; the others are those of `captioner run`."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    what, *arguments = sys.argv[1:] if argv is None else argv
    if what == "run":
        return cli.main(["run", *arguments])
    parser = argparse.ArgumentParser(prog="judge")
    run_command.add_arguments(parser)
    args = parser.parse_args(arguments)
    try:
        judge(override(configs_by_name.load(args.config), args.assignments), args.data, args.root)
    except UserError as error:
        print(f"captioner: error: {error}", file=sys.stderr)
        return 1
    return 0


def judge(config: PipelineConfig, data: str, root: str) -> None:
    """Judges the spans that were not judged yet, as a run would: the SpanExampleGen then takes that as it is.

    Raises:
      UserError: a run is under way in the root.
    """
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    from components.span_example_gen import records
    from components.span_example_gen import spans as spans_
    from components.span_example_gen.judge import Judge
    from components.span_example_gen.served_model import ServedModel
    from pipeline import run_pipeline
    from pipeline.paths import Paths

    paths = Paths(root)
    schema = importlib.resources.files("pipeline") / "schemas/raw/schema.pbtxt"
    with run_pipeline.lock(paths):
        spans = spans_.find(os.path.abspath(data))
        judge = Judge(
            config.spans,
            text_format.Parse(schema.read_text("utf-8"), schema_pb2.Schema()),
            ServedModel.find(paths.serving),
            paths.spans,
            beam.Pipeline(options=PipelineOptions(list(config.beam_args))),
        )
        for number, span in enumerate(spans):
            *before, this = records.read(paths.spans, spans[: number + 1])
            if this.record is None:
                judge.judge(span, [each for each in before if each.state == records.ACCEPTED])


if __name__ == "__main__":
    sys.exit(main())
