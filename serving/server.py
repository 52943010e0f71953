"""The embedded caption server: TensorFlow Serving's protocol over gRPC, for a laptop, CI and small services.

    python -m serving.server --model-dir ROOT/serving/captioner --port 8500

Importing this module imports no TensorFlow: command lines are checked, and TensorFlow's own log is silenced,
before it loads.
"""

import argparse
import asyncio
import contextlib
import logging as std_logging
import os
import pathlib
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import Final

from serving import logs
from serving.options import ServerOptions, add_arguments, options_from

_THREADS_END_S: Final = 1.0  # idle ones end at once


def run(options: ServerOptions) -> None:
    """Serves until SIGTERM or SIGINT. Raises ValueError for wrong options, OSError if the port is taken."""
    logs.configure(options.log_format)
    with contextlib.nullcontext() if options.verbose else _silenced():
        _start_tensorflow()
    # Here, not above: it imports TensorFlow.
    from serving import embedded

    async def until_signalled() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        if options.until_eof:
            asyncio.get_running_loop().add_reader(0, at_eof, stop)
        await embedded.serve(options, stop, listening=announce_port)
        _end_threads()

    def at_eof(stop: asyncio.Event) -> None:
        if not os.read(0, 1024):
            asyncio.get_running_loop().remove_reader(0)
            stop.set()

    def announce_port(port: int) -> None:
        if options.port_file:
            _write_whole(pathlib.Path(options.port_file), str(port))

    asyncio.run(until_signalled())


def _end_threads() -> None:
    """Ends the process if a thread would keep it: native code, such as a load, cannot be interrupted."""
    until = time.monotonic() + _THREADS_END_S
    for thread in threading.enumerate():
        if thread is threading.current_thread() or thread.daemon:
            continue
        thread.join(max(0.0, until - time.monotonic()))
        if thread.is_alive():
            std_logging.getLogger("absl").warning("Not waiting for the thread %s", thread.name)
            std_logging.shutdown()
            sys.stdout.flush()
            os._exit(0)


def _start_tensorflow() -> None:
    """Imports TensorFlow and makes it say all that it says once a process."""
    import tensorflow as tf

    with tf.compat.v1.Session(graph=tf.Graph()) as session, session.graph.as_default():
        session.run(tf.constant(0))


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """Keeps native code off standard error, and shows what it wrote if the block fails.

    TensorFlow 2.21 writes its greetings there whatever TF_CPP_MIN_LOG_LEVEL says
    (github.com/tensorflow/tensorflow/issues/100442).
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    std_logging.getLogger("tensorflow").setLevel("ERROR")  # deprecation of the session loader
    sys.stderr.flush()
    real = os.dup(2)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            yield
        except BaseException:
            aside.seek(0)
            os.write(real, aside.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(real, 2)
            os.close(real)


def _write_whole(path: pathlib.Path, text: str) -> None:
    """Writes aside and renames, so that whoever waits for the file never reads half of it."""
    aside = path.with_name(path.name + ".tmp")
    aside.write_text(text)
    aside.rename(path)


def main(argv: list[str] | None = None) -> int:
    """Command line of `python -m serving.server`."""
    parser = argparse.ArgumentParser(
        prog="python -m serving.server", description="Serves captions over gRPC."
    )
    add_arguments(parser)
    try:
        run(options_from(parser.parse_args(argv)))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
