"""Settings of the embedded server and the command line that gives them. Imports no TensorFlow."""

import argparse
import dataclasses
import os
from collections.abc import Callable
from typing import Any, Final

from models.features import MODEL_NAME
from serving import logs
from serving.precision import PRECISIONS

DEFAULT_PORT: Final = 8500
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


@dataclasses.dataclass(frozen=True)
class ServerOptions:
    """Settings of the server, one a flag; see `_FLAGS` for what they mean."""

    model_dir: str = ""
    name: str = MODEL_NAME
    model_config_file: str = ""
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    port_file: str = ""
    poll_s: float = 2.0
    precision: str = "auto"
    max_batch: int = 16
    batch_timeout_s: float = 0.005
    batch_sizes: tuple[int, ...] = ()
    max_queued: int = 128
    batch_threads: int = 2
    batching_parameters_file: str = ""
    max_images: int = 64
    max_pixels: int = 50_000_000
    max_message_bytes: int = 32 << 20
    max_beam_width: int = 32
    max_captions: int = 32
    max_calls: int = 512
    tls_cert: str = ""
    tls_key: str = ""
    tls_client_ca: str = ""
    ssl_config_file: str = ""
    token_file: str = ""
    monitoring_port: int = 0
    monitoring_host: str = ""
    monitoring_config_file: str = ""
    log_format: str = "text"
    log_calls: bool = True
    until_eof: bool = False
    request_log: str = ""
    request_log_sample: float = 0.01
    request_log_bytes: int = 16 << 20
    request_log_files: int = 10
    drain_s: float = 20.0
    verbose: bool = False

    @property
    def listens_wider(self) -> bool:
        """Whether other machines can reach it."""
        return self.host not in _LOOPBACK


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(int(size) for size in text.split(","))


@dataclasses.dataclass(frozen=True)
class _Flag:
    group: str
    flag: str
    field: str
    help: str
    metavar: str | None = None
    type: Callable[[str], Any] = str
    least: float | None = None


_MODELS, _BATCHES, _LIMITS = "models", "batches", "limits of a request"
_SECURITY, _WATCHING = "who may call", "logs and metrics"
_FLAGS: Final = (
    _Flag(_MODELS, "--model-dir", "model_dir", "folder of numbered model versions", "DIR"),
    _Flag(_MODELS, "--name", "name", "the model's name in requests"),
    _Flag(
        _MODELS,
        "--model-config-file",
        "model_config_file",
        "instead of --model-dir: models, version policies and labels, in TensorFlow Serving's format; read "
        "again when it changes",
        "FILE",
    ),
    _Flag(_MODELS, "--poll", "poll_s", "time between looks for new versions", "SECONDS", float, 0.01),
    _Flag(
        _MODELS,
        "--precision",
        "precision",
        "float32, bfloat16, or auto: bfloat16 where the processor computes in it",
    ),
    _Flag(_BATCHES, "--max-batch", "max_batch", "most images run together", "N", int, 1),
    _Flag(
        _BATCHES, "--batch-timeout", "batch_timeout_s", "longest wait for more images", "SECONDS", float, 0
    ),
    _Flag(
        _BATCHES,
        "--batch-sizes",
        "batch_sizes",
        "sizes that batches are filled up to, as in 1,2,4,8; for models that are compiled for each size",
        "N,N,...",
        _sizes,
    ),
    _Flag(
        _BATCHES,
        "--max-queued",
        "max_queued",
        "most images admitted and not yet answered; others are refused at once",
        "N",
        int,
        1,
    ),
    _Flag(_BATCHES, "--batch-threads", "batch_threads", "batches run at once", "N", int, 1),
    _Flag(
        _BATCHES,
        "--batching-parameters-file",
        "batching_parameters_file",
        "instead of the flags above: TensorFlow Serving's batching parameters",
        "FILE",
    ),
    _Flag(_LIMITS, "--max-images", "max_images", "most images a request", "N", int, 1),
    _Flag(_LIMITS, "--max-pixels", "max_pixels", "most pixels an image", "N", int, 1),
    _Flag(_LIMITS, "--max-message-bytes", "max_message_bytes", "largest request", "N", int, 1),
    _Flag(_LIMITS, "--max-beam-width", "max_beam_width", "widest beam that may be asked for", "N", int, 1),
    _Flag(_LIMITS, "--max-captions", "max_captions", "most captions that may be asked for", "N", int, 1),
    _Flag(_LIMITS, "--max-calls", "max_calls", "most calls under way, others are refused", "N", int, 1),
    _Flag(_SECURITY, "--host", "host", "address to listen on; 0.0.0.0 lets other machines call"),
    _Flag(_SECURITY, "--port", "port", "0 takes a free one", None, int),
    _Flag(_SECURITY, "--tls-cert", "tls_cert", "certificate chain, PEM; read again when it changes", "FILE"),
    _Flag(_SECURITY, "--tls-key", "tls_key", "its private key, PEM", "FILE"),
    _Flag(
        _SECURITY,
        "--tls-client-ca",
        "tls_client_ca",
        "let in only callers with a certificate of these authorities (mutual TLS)",
        "FILE",
    ),
    _Flag(
        _SECURITY,
        "--ssl-config-file",
        "ssl_config_file",
        "instead of --tls-...: TensorFlow Serving's SSL config",
        "FILE",
    ),
    _Flag(
        _SECURITY,
        "--token-file",
        "token_file",
        "let in only calls with one of these bearer tokens: TOKEN or NAME TOKEN a line; read again when it "
        "changes",
        "FILE",
    ),
    _Flag(
        _WATCHING,
        "--monitoring-port",
        "monitoring_port",
        "Prometheus metrics and /healthz over HTTP; 0: none",
        "PORT",
        int,
    ),
    _Flag(
        _WATCHING,
        "--monitoring-host",
        "monitoring_host",
        "address for these; as --host if not given",
        "HOST",
    ),
    _Flag(
        _WATCHING,
        "--monitoring-config-file",
        "monitoring_config_file",
        "TensorFlow Serving's monitoring config, for the path of the metrics",
        "FILE",
    ),
    _Flag(_WATCHING, "--log-format", "log_format", "text, or json: an object a line"),
    _Flag(
        _WATCHING,
        "--request-log",
        "request_log",
        "write numbers of a sample of the images there (size, format, words of the caption; never the image "
        "or the caption), for 'captioner report' to compare with the training data",
        "DIR",
    ),
    _Flag(
        _WATCHING,
        "--request-log-sample",
        "request_log_sample",
        "share of the images that is logged",
        "SHARE",
        float,
        0,
    ),
    _Flag(_WATCHING, "--request-log-bytes", "request_log_bytes", "largest file", "N", int, 1),
    _Flag(
        _WATCHING,
        "--request-log-files",
        "request_log_files",
        "most files; the oldest is removed",
        "N",
        int,
        1,
    ),
    _Flag(_WATCHING, "--port-file", "port_file", "write the port there once the server listens", "FILE"),
    _Flag(
        _WATCHING,
        "--drain",
        "drain_s",
        "time that running requests get after SIGTERM",
        "SECONDS",
        float,
        0,
    ),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the server's arguments."""
    default = ServerOptions()
    groups: dict[str, Any] = {}
    for flag in _FLAGS:
        group = groups.setdefault(flag.group, parser.add_argument_group(flag.group))
        value = getattr(default, flag.field)
        shown = "" if value in ("", ()) else "; default: %(default)s"
        group.add_argument(
            flag.flag,
            dest=flag.field,
            type=flag.type,
            default=value,
            metavar=flag.metavar or flag.field.rpartition("_")[2].upper(),
            help=flag.help + shown,
        )
    groups[_WATCHING].add_argument(
        "--no-log-calls", dest="log_calls", action="store_false", help="do not log a line a call"
    )
    groups[_WATCHING].add_argument(
        "--until-eof",
        action="store_true",
        help="stop when standard input ends: for a program whose server must not outlive it",
    )
    parser.add_argument("--verbose", action="store_true", help="show TensorFlow's log too")


def options_from(args: argparse.Namespace) -> ServerOptions:
    """Returns the options of a parsed command line. Raises ValueError for one that cannot be right."""
    known = {field.name for field in dataclasses.fields(ServerOptions)}
    options = ServerOptions(**{name: value for name, value in vars(args).items() if name in known})
    check(options)
    return options


def check(options: ServerOptions) -> None:
    """Raises ValueError for options that cannot be right, alone or together."""
    for flag in _FLAGS:
        value = getattr(options, flag.field)
        if flag.least is not None and not value >= flag.least:  # also true of NaN
            unit = f" {flag.metavar.lower()}" if flag.metavar == "SECONDS" else ""
            raise ValueError(f"{flag.flag} must be {flag.least:g} or more{unit}; got {value:g}")
    if options.request_log_sample > 1:
        raise ValueError(f"--request-log-sample is a share, at most 1; got {options.request_log_sample:g}")
    for name in ("port", "monitoring_port"):
        if not 0 <= getattr(options, name) <= 65535:
            flag_name = "--" + name.replace("_", "-")
            raise ValueError(f"{flag_name} must be from 0 to 65535; got {getattr(options, name)}")
    if bool(options.model_dir) == bool(options.model_config_file):
        raise ValueError("give either --model-dir or --model-config-file")
    if options.model_dir and not os.path.isdir(options.model_dir):
        raise ValueError(
            f"--model-dir must be an existing folder with one numbered folder a version; there is no folder "
            f"{options.model_dir!r}"
        )
    _check_choice("--precision", options.precision, PRECISIONS)
    _check_choice("--log-format", options.log_format, logs.FORMATS)
    if bool(options.tls_cert) != bool(options.tls_key):
        raise ValueError("--tls-cert and --tls-key belong together; only one is given")
    if options.tls_client_ca and not options.tls_cert:
        raise ValueError("--tls-client-ca needs --tls-cert and --tls-key")
    if options.tls_cert and options.ssl_config_file:
        raise ValueError("give either --tls-cert and --tls-key, or --ssl-config-file")


def _check_choice(flag: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{flag} must be one of {', '.join(choices)}; got {value!r}")
