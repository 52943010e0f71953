"""From the server's options and TensorFlow Serving's config files to what the parts of the server take."""

import contextlib
import os
import pathlib

from serving import tls
from serving.config.read import ModelEntry, Monitoring, read_batching, read_models, read_monitoring
from serving.limits import Limits
from serving.options import ServerOptions
from serving.request_log import RequestLog
from serving.request_log_files import LogFiles
from serving.scheduling import BatchingOptions


def models(options: ServerOptions) -> tuple[ModelEntry, ...]:
    """Returns the models to serve. Raises OSError, ValueError."""
    if not options.model_config_file:
        return (ModelEntry(options.name, os.path.abspath(options.model_dir)),)
    entries = models_of(options.model_config_file)
    if not entries:
        raise ValueError(f"{options.model_config_file} lists no model")
    return entries


def models_of(path: str) -> tuple[ModelEntry, ...]:
    """Returns the models that a config lists, all of them in folders. Raises OSError, ValueError."""
    entries = read_models(path)
    for entry in entries:
        if not entry.base_path.startswith("/"):  # the reader lets absolute paths and URIs pass
            raise ValueError(
                f"{path}: {entry.name}: this server reads models from folders; got {entry.base_path}. Mount "
                "the bucket, or use TensorFlow Serving"
            )
    return entries


def batching(options: ServerOptions) -> BatchingOptions:
    """Returns how requests are batched. Raises OSError, ValueError."""
    if not options.batching_parameters_file:
        largest = options.batch_sizes[-1] if options.batch_sizes else options.max_batch
        return BatchingOptions(
            largest, options.batch_timeout_s, options.max_queued, options.batch_threads, options.batch_sizes
        )
    given = read_batching(options.batching_parameters_file)
    largest = given.max_batch_size
    if given.enable_large_batch_splitting and given.max_execution_batch_size is not None:
        largest = given.max_execution_batch_size
    return BatchingOptions(
        max_batch=largest,
        timeout_s=given.batch_timeout_s,
        max_queued=given.max_enqueued_batches * given.max_batch_size,
        threads=given.num_batch_threads or os.cpu_count() or 1,
        sizes=(*(size for size in given.allowed_batch_sizes if size < largest), largest)
        if given.allowed_batch_sizes
        else (),
    )


def limits(options: ServerOptions) -> Limits:
    """Returns what a request may ask for."""
    return Limits(
        message_bytes=options.max_message_bytes,
        images=options.max_images,
        pixels=options.max_pixels,
        beam_width=options.max_beam_width,
        captions=options.max_captions,
    )


def request_log(options: ServerOptions) -> RequestLog | None:
    """Returns the request log, which begins to write; None if none is wanted. Raises OSError."""
    if not options.request_log:
        return None
    folder = pathlib.Path(options.request_log)
    with contextlib.suppress(OSError):  # told of below
        folder.mkdir(parents=True, exist_ok=True)
    if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        raise OSError(f"--request-log must be a folder that can be written to; got {folder}")
    files = LogFiles(folder, options.request_log_bytes, options.request_log_files)
    return RequestLog(files, options.request_log_sample)


def certificate(options: ServerOptions) -> tls.Certificate | None:
    """Returns the server's certificate; None without TLS. Raises OSError, ValueError."""
    if options.ssl_config_file:
        return tls.from_ssl_config(options.ssl_config_file)
    if options.tls_cert:
        return tls.from_files(options.tls_cert, options.tls_key, options.tls_client_ca or None)
    return None


def monitoring(options: ServerOptions) -> Monitoring:
    """Returns whether metrics are served, and at which path. Raises OSError, ValueError."""
    if not options.monitoring_config_file:
        return Monitoring(enabled=options.monitoring_port != 0)
    given = read_monitoring(options.monitoring_config_file)
    if given.enabled and not options.monitoring_port:
        raise ValueError("--monitoring-config-file needs --monitoring-port, the port that answers")
    return given
