"""How clients reach a server: addresses, TLS, tokens, and the settings of gRPC's channels."""

import dataclasses
import ipaddress
import os
import pathlib
from typing import Any, Final

import grpc

from serving import wire

MAX_MESSAGE_BYTES: Final = 64 << 20
_KEEPALIVE_S: Final = 30.0
_KEEPALIVE_TIMEOUT_S: Final = 10.0

Path = str | os.PathLike[str]


@dataclasses.dataclass(frozen=True)
class TlsOptions:
    """TLS between client and server. Files are in PEM format, and read when a client is made.

    Attributes:
      ca: certificates of the authorities that the server's certificate may come from; None: those that gRPC
        brings.
      certificate, key: who the client is, for servers that ask (mutual TLS); both or none.
      server_name: name that the server's certificate must have, if it is not that of the address.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    server_name: str | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """Reads the files. Raises OSError, or ValueError for what is no PEM file or lacks its other half."""
        if (self.certificate is None) != (self.key is None):
            missing = "key" if self.key is None else "certificate"
            raise ValueError(f"TLS: expected certificate and key, or neither; the {missing} is missing")
        return grpc.ssl_channel_credentials(_pem(self.ca), _pem(self.key), _pem(self.certificate))


def token_metadata(
    token: str | None, address: str, tls: TlsOptions | None, plaintext_token: bool
) -> tuple[tuple[str, str], ...]:
    """Returns the metadata that carries a bearer token.

    Raises ValueError for what cannot be a token, and for one that others on the way could read: without TLS
    it goes to this machine only, unless `plaintext_token` says that something else protects it.
    """
    if token is None:
        return ()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("expected a token of printable ASCII characters without spaces; got another text")
    if tls is None and not plaintext_token and not is_loopback(address):
        raise ValueError(
            f"a token for {address} would be sent unencrypted: expected TLS (tls=TlsOptions(...), --tls), or "
            "plaintext_token=True (--plaintext-token) where the network itself protects it"
        )
    return (("authorization", f"Bearer {token}"),)


def is_loopback(address: str) -> bool:
    """Whether `address` ("host:port", "unix:path") stays on this machine."""
    if address.startswith(("unix:", "unix-abstract:")):
        return True
    host = address.rpartition("/")[2].rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def open_channel(kind: Any, address: str, timeout_s: float, tls: TlsOptions | None) -> Any:
    """Opens a channel of `kind`, the module `grpc` or `grpc.aio`.

    Raises what `TlsOptions.credentials` raises.
    """
    options = channel_options(timeout_s, tls)
    if tls is None:
        return kind.insecure_channel(address, options)
    return kind.secure_channel(address, tls.credentials(), options)


def predict(channel: Any) -> Any:
    """Returns the call Predict on `channel`."""
    return channel.unary_unary(
        wire.PREDICT,
        request_serializer=wire.PredictRequest.SerializeToString,
        response_deserializer=wire.PredictResponse.FromString,
    )


def channel_options(timeout_s: float, tls: TlsOptions | None) -> list[tuple[str, Any]]:
    """Settings of a channel whose calls take `timeout_s` at most."""
    options: list[tuple[str, Any]] = [
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.enable_retries", 0),  # the client does it, within one deadline
        # Else a refused connection is only tried again after a second.
        ("grpc.initial_reconnect_backoff_ms", 200),
        # A connection that a router dropped without a word is noticed and made anew. A server with gRPC's
        # defaults, as TensorFlow Serving is, closes a connection with "too_many_pings" at the third ping that
        # comes less than 5 minutes after the one before it with no answer of the server in between. So a call
        # has three pings at most, of which two count; and there are none between calls.
        ("grpc.keepalive_time_ms", int(1000 * max(_KEEPALIVE_S, timeout_s / 3))),
        ("grpc.keepalive_timeout_ms", int(1000 * _KEEPALIVE_TIMEOUT_S)),
        ("grpc.keepalive_permit_without_calls", 0),
    ]
    if tls is not None and tls.server_name is not None:
        options.append(("grpc.ssl_target_name_override", tls.server_name))
    return options


def _pem(path: Path | None) -> bytes | None:
    if path is None:
        return None
    data = pathlib.Path(path).read_bytes()
    if b"-----BEGIN " not in data:  # gRPC would take it and then fail to connect, without saying why
        raise ValueError(f"{os.fspath(path)}: expected a PEM file (-----BEGIN ...); got something else")
    return data
