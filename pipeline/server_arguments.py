"""Arguments of commands that ask a caption server: which one, and how it is reached."""

import argparse
import pathlib
from typing import Any

from pipeline.errors import UserError


def add_arguments(group: Any) -> None:
    """Declares them on a parser or on a group of one."""
    group.add_argument("--server", default="127.0.0.1:8500", metavar="HOST:PORT", help="default: %(default)s")
    group.add_argument("--model", default="captioner", metavar="NAME", help="default: %(default)s")
    group.add_argument(
        "--label",
        metavar="NAME",
        help="the version with this label, if the server's config gives any; the canary of a root is the "
        "model captioner-canary",
    )
    group.add_argument(
        "--timeout",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="of each request, attempts that are repeated included; default: %(default)g",
    )
    group.add_argument("--tls", action="store_true", help="encrypted; so are all options --tls-...")
    group.add_argument("--tls-ca", metavar="FILE", help="certificates of authorities to trust, PEM")
    group.add_argument(
        "--tls-cert", metavar="FILE", help="certificate of this client, PEM, if the server asks"
    )
    group.add_argument("--tls-key", metavar="FILE", help="its key, PEM")
    group.add_argument(
        "--tls-server-name", metavar="NAME", help="name in the server's certificate, if not that of --server"
    )
    group.add_argument("--token-file", metavar="FILE", help="file with the bearer token to show")
    group.add_argument(
        "--plaintext-token",
        action="store_true",
        help="send the token to another machine without TLS, because the network itself is protected",
    )


def client_of(args: argparse.Namespace, kind: Any) -> Any:
    """Returns a client for the server that the arguments name.

    Args:
      args: with what `add_arguments` declares.
      kind: CaptionClient or AsyncCaptionClient.

    Raises:
      UserError: a value that cannot be right, or a file that cannot be read.
    """
    from serving.client_channel import TlsOptions

    if not args.timeout > 0:
        raise UserError(f"--timeout must be more than 0 seconds; got {args.timeout:g}")
    tls = (args.tls_ca, args.tls_cert, args.tls_key, args.tls_server_name)
    try:
        return kind(
            args.server,
            model=args.model,
            label=args.label,
            timeout_s=args.timeout,
            tls=TlsOptions(*tls) if args.tls or any(tls) else None,
            token=None
            if args.token_file is None
            else pathlib.Path(args.token_file).read_text("utf-8").strip(),
            plaintext_token=args.plaintext_token,
        )
    except ValueError as error:
        raise UserError(str(error)) from error
    except OSError as error:
        raise UserError(f"cannot read {error.filename}: {error.strerror}") from error
