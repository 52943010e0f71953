"""What a scheduler's child processes do: `run` what `captioner run` does, or only `judge` the new spans.

SIGTERM is to them what Ctrl-C is to `captioner run`: what was done so far is on record, and the processes
that the run itself has started are ended.
"""

import argparse
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
    from pipeline import judging, run_pipeline
    from pipeline.paths import Paths

    paths = Paths(root)
    with run_pipeline.lock(paths):
        judging.judge_new(config, data, paths)


if __name__ == "__main__":
    sys.exit(main())
