"""`captioner serve`: the embedded caption server."""

import argparse

from serving import options, server

HELP = "serve the newest pushed model over gRPC (TensorFlow Serving's protocol)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.description = (
        "Serves the newest version in a folder of pushed models and follows new ones, with TensorFlow "
        "Serving's gRPC protocol, the standard health service and reflection. Ctrl-C or SIGTERM lets running "
        "requests end."
    )
    options.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Serves until interrupted."""
    from pipeline.errors import UserError

    try:
        server.run(options.options_from(args))
    except (ValueError, OSError) as error:
        raise UserError(str(error)) from error
    return 0
