"""What goes wrong between the kfp client and its server, in a sentence with a remedy.

UserError
+-- ServerError   the server refused, failed or could not be reached; `passing` if asking again may help
"""

import contextlib
import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from pipeline.errors import UserError

_PORT_FORWARD = (
    "http://localhost:8080 after 'kubectl -n kubeflow port-forward service/ml-pipeline-ui 8080:80'"
)
_LONGEST_MESSAGE = 500  # characters: some of the server's messages hold the whole pipeline


class ServerError(UserError):
    """The server of Kubeflow Pipelines refused, failed or did not answer.

    Attributes:
      status: HTTP status; 0 when there was no answer.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status

    @property
    def passing(self) -> bool:
        """Whether it may go by itself, as when the server is restarted."""
        return self.status in (0, HTTPStatus.TOO_MANY_REQUESTS) or self.status >= 500


@contextlib.contextmanager
def in_words(endpoint: str, doing: str) -> Iterator[None]:
    """Turns what the kfp client raises into a ServerError, or a UserError where no server is to blame.

    Args:
      endpoint: the server's address, to be named.
      doing: what was asked of it, as in "the run" or "the deletion".
    """
    try:
        import google.auth.exceptions
        import kfp_server_api
        import urllib3.exceptions
    except ImportError as error:
        raise not_installed(error) from error
    try:
        yield
    except kfp_server_api.ApiException as error:
        status = error.status or 0
        raise ServerError(_refusal(endpoint, doing, status, error.body or ""), status) from error
    except urllib3.exceptions.HTTPError as error:
        raise ServerError(_no_answer(endpoint, doing, error)) from error
    except google.auth.exceptions.GoogleAuthError as error:
        raise UserError(
            f"no Google credentials to get a token for --iap-client-id ({_short(str(error))}); run 'gcloud "
            "auth application-default login', or set GOOGLE_APPLICATION_CREDENTIALS to a key's file"
        ) from error


def not_installed(error: ImportError) -> UserError:
    """The error for an installation without the kfp client."""
    return UserError(f"the kfp client is not installed ({error}); pip install 'tfx-captioner[kfp]' does")


def web_page(endpoint: str) -> ServerError:
    """The error for an answer that is a page for people."""
    return ServerError(
        f"{endpoint} answered with a web page, which is a sign-in page or another service: sign in with "
        "--cookies or --token-file, and give the address under which Kubeflow Pipelines itself is served "
        "(https://HOST/pipeline behind the Kubeflow dashboard)",
        HTTPStatus.UNAUTHORIZED,
    )


def _refusal(endpoint: str, doing: str, status: int, body: str) -> str:
    said = _said(body)
    begin = f"{endpoint} refused {doing} (HTTP {status})"
    if status == HTTPStatus.UNAUTHORIZED:
        return (
            f"{begin}: it does not know who asks, the token or the cookies are missing or have expired; give "
            "--token-file, --cookies, --iap-client-id or, in a pod, --in-cluster"
        )
    if status == HTTPStatus.FORBIDDEN:
        return (
            f"{begin}: {said or 'not allowed'}; ask the owner of the namespace for the role kubeflow-edit, "
            "or name another with --namespace"
        )
    if status == HTTPStatus.NOT_FOUND and not _details(body):  # of a thing that is missing there are some
        return (
            f"{endpoint} has no API of Kubeflow Pipelines 2 (HTTP 404 for {doing}); give the address under "
            f"which it is served: https://HOST/pipeline behind the Kubeflow dashboard, or {_PORT_FORWARD}"
        )
    if status == HTTPStatus.CONFLICT:
        return f"{begin}: {said or 'the name is taken'}; choose another name, or remove what has it"
    if status >= 500:
        return (
            f"{endpoint} failed at {doing} (HTTP {status}): {said or 'no reason given'}; try again, and if "
            "it stays look at 'kubectl -n kubeflow logs deploy/ml-pipeline'"
        )
    return f"{begin}: {said or 'no reason given'}"


def _said(body: str) -> str:
    """What the server says for people: the API and its upload service have different forms for it."""
    if body.lstrip().startswith("<"):
        return ""
    # The details are for people, the message is the chain of errors within the server.
    for holder in (_details(body), _json(body)):
        for key in ("error_message", "message", "error"):
            if isinstance(holder.get(key), str) and holder[key].strip():
                return _short(holder[key])
    return _short(body)


def _details(body: str) -> dict[str, Any]:
    """The first of an error's details, as gRPC has them; empty where there are none."""
    details = _json(body).get("details")
    return details[0] if isinstance(details, list) and details and isinstance(details[0], dict) else {}


def _json(body: str) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _short(text: str) -> str:
    line = " ".join(text.split()).rstrip(".")
    return line if len(line) <= _LONGEST_MESSAGE else f"{line[:_LONGEST_MESSAGE]}..."


def _no_answer(endpoint: str, doing: str, error: Exception) -> str:
    import urllib3.exceptions as urllib3_errors

    # After the last attempt urllib3 raises an error of its own and keeps what happened in `reason`.
    reason = getattr(error, "reason", None)
    cause = reason if isinstance(reason, Exception) else error
    if isinstance(cause, urllib3_errors.SSLError):
        return (
            f"the certificate of {endpoint} is not trusted ({_short(str(cause))}); give the file of the "
            "authority that signed it with --ssl-ca-cert"
        )
    if isinstance(cause, urllib3_errors.NameResolutionError):
        return f"no machine has the name in {endpoint}; correct --endpoint, or the network's name server"
    if isinstance(cause, urllib3_errors.NewConnectionError):
        return (
            f"nothing answers at {endpoint} (connection refused or no route); correct --endpoint, or use "
            f"{_PORT_FORWARD}"
        )
    if isinstance(cause, urllib3_errors.LocationValueError):
        return f"--endpoint takes an address such as http://localhost:8080; got {endpoint!r}"
    if isinstance(cause, urllib3_errors.ConnectTimeoutError):
        return f"{endpoint} cannot be reached: no connection in time; correct --endpoint, or the firewall"
    return (
        f"{endpoint} did not answer to the end at {doing} ({_short(str(cause))}); it may have been done all "
        "the same, so look before you repeat it"
    )
