"""The kfp client, connected: it adds a deadline on every request, and leaves nothing in the home folder."""

import dataclasses
import os
import pathlib
from typing import Any

from pipeline import kfp_errors
from pipeline.errors import UserError

# Where the server is for a pod of the cluster, in a plain installation.
_IN_CLUSTER = "http://ml-pipeline.kubeflow.svc.cluster.local:8888"
# Of one attempt: to connect and to wait for the next byte, in seconds. The client itself would wait for ever.
_DEADLINE_S = (10, 60)


@dataclasses.dataclass(frozen=True)
class Access:
    """Where the server is and who asks.

    Attributes:
      endpoint: its URL; empty in a pod of the cluster (`in_cluster`), where its name is known.
      namespace: the user's, if the server has several users.
      token_file: file with a bearer token; read again when the server no longer takes the one before.
      cookies: the header of that name, as a browser has it after signing in.
      iap_client_id: of Google's Identity-Aware Proxy; the kfp client gets a token for it.
      in_cluster: show the token of the pod's service account, if one was projected for Kubeflow Pipelines.
      ssl_ca_cert: file with certificates of authorities to trust, PEM.
    """

    endpoint: str = ""
    namespace: str = ""
    token_file: str = ""
    cookies: str = ""
    iap_client_id: str = ""
    in_cluster: bool = False
    ssl_ca_cert: str = ""

    @property
    def url(self) -> str:
        """The server's address, without a slash at its end."""
        return (self.endpoint or _IN_CLUSTER).rstrip("/")


def connect(access: Access) -> Any:
    """Returns a kfp client; it has asked the server how it is.

    Raises:
      UserError: the kfp client is not installed, or something in `access` cannot be right.
      Exception: whatever the kfp client raises; see `kfp_errors.in_words`.
    """
    try:
        import kfp
        from kfp.client.set_volume_credentials import ServiceAccountTokenVolumeCredentials
    except ImportError as error:
        raise kfp_errors.not_installed(error) from error

    class Client(kfp.Client):
        def get_kfp_healthz(self, sleep_duration: int = 0) -> Any:
            # Once: the client asks five times with pauses, and then no longer knows what was wrong.
            return self._healthz_api.healthz_service_get_healthz(_request_timeout=_DEADLINE_S)

        def set_user_namespace(self, namespace: str) -> None:
            # Not into ~/.config/kfp, which would decide for later commands and other servers.
            self._context_setting["namespace"] = namespace

    if not access.url.startswith(("http://", "https://")):
        raise UserError(f"--endpoint takes an address with http:// or https://; got {access.url!r}")
    if access.ssl_ca_cert:
        _read(access.ssl_ca_cert)
    client = Client(
        host=access.url,
        client_id=access.iap_client_id or None,
        existing_token=_token(access.token_file) if access.token_file else None,
        cookies=access.cookies or None,
        ssl_ca_cert=access.ssl_ca_cert or None,
        credentials=ServiceAccountTokenVolumeCredentials()
        if access.in_cluster and os.path.exists(_service_account_token())
        else None,
    )
    _guard(client._run_api.api_client.rest_client, access.url)
    return client


def _service_account_token() -> str:
    from kfp import client

    return os.environ.get(client.KF_PIPELINES_SA_TOKEN_ENV) or client.KF_PIPELINES_SA_TOKEN_PATH


def _guard(transport: Any, endpoint: str) -> None:
    """Gives every request a deadline, and refuses answers that are pages: the client takes them for empty."""
    send = transport.request

    def request(method: str, url: str, **options: Any) -> Any:
        response = send(method, url, **options | {"_request_timeout": _DEADLINE_S})
        if response.data.lstrip().startswith(b"<"):
            raise kfp_errors.web_page(endpoint)
        return response

    transport.request = request


def _token(path: str) -> str:
    token = _read(path).strip()
    if not token:  # the client would ask without one
        raise UserError(f"expected a bearer token in {path}; the file is empty")
    return token


def _read(path: str) -> str:
    try:
        return pathlib.Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}") from error
