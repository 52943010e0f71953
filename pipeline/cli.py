"""The `captioner` command: one module of `pipeline.commands` a subcommand, loaded when it is asked for."""

import argparse
import contextlib
import importlib
import os
import sys
from collections.abc import Sequence

from pipeline import quiet
from pipeline.errors import UserError

# In the order in which a user meets them. `import` is a keyword, hence the underscore.
_COMMANDS = {
    "doctor": "doctor",
    "import": "import_",
    "spans": "spans",
    "run": "run",
    "compile": "compile",
    "schedule": "schedule",
    "runs": "runs",
    "explain": "explain",
    "report": "report",
    "versions": "versions",
    "promote": "promote",
    "rollback": "rollback",
    "gc": "gc",
    "compare": "compare",
    "metrics": "metrics",
    "serve": "serve",
    "serving-config": "serving_config",
    "caption": "caption",
    "web": "web",
    "demo": "demo",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a subcommand; returns the exit status (1: the user can put it right, and was told how)."""
    args = _parser().parse_args(argv)
    if not args.verbose:
        # Read by TensorFlow's C++ code when it is imported, so it cannot wait.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    # A server's log is what its user wants to see; it keeps the noise out by itself.
    quietly = not args.verbose and args.command != "serve"
    try:
        with quiet.noise_to(os.devnull) if quietly else contextlib.nullcontext():
            return args.run(args)
    except UserError as error:
        if args.verbose:
            raise
        print(f"captioner: error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader (head, less) has seen enough. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("captioner: interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="captioner",
        description="Image captioning on TFX: import photos and captions, train and judge a captioner, "
        "serve it over gRPC and ask it.",
        epilog="Start with 'captioner doctor', then 'captioner demo'. "
        "'captioner COMMAND --help' explains a command.",
    )
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, module_name in _COMMANDS.items():
        command = importlib.import_module(f"pipeline.commands.{module_name}")
        subparser = subparsers.add_parser(name, help=command.HELP)
        command.add_arguments(subparser)
        if not any("--verbose" in action.option_strings for action in subparser._actions):
            subparser.add_argument(
                "--verbose", action="store_true", help="show the libraries' log lines and tracebacks"
            )
        subparser.set_defaults(run=command.run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
