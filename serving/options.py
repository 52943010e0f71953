"""Settings of the embedded server and the command line that gives them. Imports no TensorFlow."""

import argparse
import dataclasses
import os
from typing import Final

from models.features import MODEL_NAME

DEFAULT_PORT: Final = 8500


@dataclasses.dataclass(frozen=True)
class ServerOptions:
    """Settings of the server.

    Attributes:
      model_dir: folder with one numbered folder a version.
      name: the model's name in requests.
      host, port: address to listen on; port 0 takes a free one.
      port_file: file that gets the port as text, once the server listens.
      poll_s: seconds between looks at model_dir.
      max_batch, batch_timeout_s, max_queued, batch_threads: see `batching.BatchingOptions`.
      max_rows: most images a request.
      max_message_bytes: largest request and answer.
      drain_s: seconds that requests in flight get after SIGTERM.
      verbose: show TensorFlow's log.
    """

    model_dir: str
    name: str = MODEL_NAME
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    port_file: str | None = None
    poll_s: float = 2.0
    max_batch: int = 8
    batch_timeout_s: float = 0.005
    max_queued: int = 128
    batch_threads: int = 1
    max_rows: int = 64
    max_message_bytes: int = 64 << 20
    drain_s: float = 20.0
    verbose: bool = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the server's arguments."""
    default = ServerOptions("")
    parser.add_argument("--model-dir", required=True, metavar="DIR", help="folder of numbered model versions")
    parser.add_argument("--name", default=default.name, help="the model's name; default: %(default)s")
    parser.add_argument("--host", default=default.host, help="address to listen on; default: %(default)s")
    parser.add_argument(
        "--port", type=int, default=default.port, help="0 takes a free one; default: %(default)s"
    )
    parser.add_argument("--port-file", metavar="FILE", help="write the port there once the server listens")
    parser.add_argument(
        "--poll",
        dest="poll_s",
        type=float,
        default=default.poll_s,
        metavar="SECONDS",
        help="time between looks for new versions; default: %(default)s",
    )
    parser.add_argument(
        "--max-batch",
        type=int,
        default=default.max_batch,
        help="most images run together; default: %(default)s",
    )
    parser.add_argument(
        "--batch-timeout",
        dest="batch_timeout_s",
        type=float,
        default=default.batch_timeout_s,
        metavar="SECONDS",
        help="longest wait for more images; default: %(default)s",
    )
    parser.add_argument(
        "--max-queued",
        type=int,
        default=default.max_queued,
        help="most images admitted and not yet answered, others are refused; default: %(default)s",
    )
    parser.add_argument(
        "--batch-threads",
        type=int,
        default=default.batch_threads,
        help="batches run at once; default: %(default)s",
    )
    parser.add_argument(
        "--drain",
        dest="drain_s",
        type=float,
        default=default.drain_s,
        metavar="SECONDS",
        help="time that running requests get after SIGTERM; default: %(default)s",
    )
    parser.add_argument("--verbose", action="store_true", help="show TensorFlow's log too")


def options_from(args: argparse.Namespace) -> ServerOptions:
    """Returns the options of a parsed command line. Raises ValueError for one that cannot be right."""
    known = {field.name for field in dataclasses.fields(ServerOptions)}
    options = ServerOptions(**{name: value for name, value in vars(args).items() if name in known})
    if not os.path.isdir(options.model_dir):
        raise ValueError(
            f"--model-dir must be an existing folder with one numbered folder a version; there is no folder "
            f"{options.model_dir!r}"
        )
    if not 0 <= options.port <= 65535:
        raise ValueError(f"--port must be from 0 to 65535; got {options.port}")
    times = (
        ("--poll", options.poll_s),
        ("--drain", options.drain_s),
        ("--batch-timeout", options.batch_timeout_s),
    )
    for flag, seconds in times:
        if not seconds >= 0:  # also true of NaN
            raise ValueError(f"{flag} must be 0 or more seconds; got {seconds:g}")
    counts = (
        ("--max-batch", options.max_batch),
        ("--max-queued", options.max_queued),
        ("--batch-threads", options.batch_threads),
    )
    for flag, count in counts:
        if count < 1:
            raise ValueError(f"{flag} must be 1 or more; got {count}")
    return options
