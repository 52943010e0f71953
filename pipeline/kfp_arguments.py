"""Arguments of commands that ask a server of Kubeflow Pipelines: where it is, who asks, and what for."""

import argparse
import os
import pathlib
from collections.abc import Callable
from typing import Any

from pipeline.errors import UserError

_ENDPOINT = "KF_PIPELINES_ENDPOINT"  # the kfp client's own


def add_access(group: Any, default: str | None = None) -> None:
    """Declares what `access` reads, on a parser or on a group of one.

    Args:
      group: where to.
      default: of all of them; `argparse.SUPPRESS` in a subcommand, where what stands before it counts too.
    """
    group.add_argument(
        "--endpoint", default=default, metavar="URL", help=f"of Kubeflow Pipelines; default: ${_ENDPOINT}"
    )
    group.add_argument(
        "--namespace", default=default, metavar="NAME", help="yours, if the server has several users"
    )
    group.add_argument(
        "--experiment", default=default, metavar="NAME", help="of runs and schedules; default: captioner"
    )
    group.add_argument(
        "--token-file", default=default, metavar="FILE", help="file with the bearer token to show"
    )
    group.add_argument(
        "--cookies",
        default=default,
        metavar="TEXT",
        help="as a browser sends them after signing in, e.g. 'authservice_session=...'; @FILE: what is "
        "in the file, so that other users of this machine do not see them",
    )
    group.add_argument(
        "--iap-client-id", default=default, metavar="ID", help="of Google's Identity-Aware Proxy"
    )
    group.add_argument(
        "--in-cluster",
        action="store_true",
        default=argparse.SUPPRESS if default else False,
        help="in a pod of the cluster: show its service account's token; --endpoint may be left out",
    )
    group.add_argument(
        "--ssl-ca-cert", default=default, metavar="FILE", help="certificates of authorities to trust, PEM"
    )


def add_serving(group: Any) -> None:
    """Declares `--serving`."""
    group.add_argument(
        "--serving", metavar="URI", help="of the pushed models; default: serving/captioner in --root"
    )


def add_job(group: Any) -> None:
    """Declares what a run or a schedule on a server is made of."""
    group.add_argument("--pipeline", metavar="FILE", help="what 'captioner compile' wrote")
    group.add_argument("--name", metavar="NAME", help="to be shown; default: the pipeline's")
    group.add_argument(
        "--service-account", default="", metavar="NAME", help="of Kubernetes, that the tasks run as"
    )


def experiment(args: argparse.Namespace) -> str:
    """Returns the name of the experiment."""
    return args.experiment or "captioner"


def access(args: argparse.Namespace) -> Any:
    """Returns the `pipeline.kfp_client.Access` that the arguments ask for.

    Raises:
      UserError: they do not say where the server is, or a file cannot be read.
    """
    from pipeline.kfp_client import Access

    endpoint = args.endpoint or os.environ.get(_ENDPOINT, "")
    if not endpoint and not args.in_cluster:
        raise UserError(
            "say where Kubeflow Pipelines is: --endpoint URL (http://localhost:8080 after 'kubectl -n "
            f"kubeflow port-forward service/ml-pipeline-ui 8080:80'), ${_ENDPOINT}, or --in-cluster in a pod"
        )
    return Access(
        endpoint=endpoint,
        namespace=args.namespace or "",
        token_file=args.token_file or "",
        cookies=_cookies(args.cookies or ""),
        iap_client_id=args.iap_client_id or "",
        in_cluster=args.in_cluster,
        ssl_ca_cert=args.ssl_ca_cert or "",
    )


def pipeline_arguments(args: argparse.Namespace, package: Any) -> dict[str, str | int]:
    """Returns what of a `Package` is changed by `--config`, `--set`, `--data`, `--serving` and `--root`.

    Raises:
      UserError: see `Package.arguments`.
    """
    from pipeline import configs_by_name

    config = configs_by_name.load(args.config) if args.config else None
    return package.arguments(args.assignments, config, args.data or "", args.serving or "", args.root or "")


def given(args: argparse.Namespace, *declare: Callable[[Any], None]) -> str:
    """Returns the options that `declare` declares and that are not in `args` as they are by default."""
    parser = argparse.ArgumentParser(add_help=False)
    for each in declare:
        each(parser)
    defaults = vars(parser.parse_args([]))
    return ", ".join(
        f"--{name.replace('_', '-')}" for name, value in defaults.items() if getattr(args, name) != value
    )


def _cookies(text: str) -> str:
    if not text.startswith("@"):
        return text
    try:
        return pathlib.Path(text[1:]).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the cookies in {text[1:]}: {error}") from error
