"""TLS: the server's certificate, read again when its files change, and which callers it lets in."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import grpc
from absl import logging

from serving.watching import Watch


@dataclasses.dataclass(frozen=True)
class Pem:
    """Key, certificate chain and, for mutual TLS, the authorities whose callers are let in; PEM."""

    key: bytes
    certificate: bytes
    client_ca: bytes | None = None


class Certificate:
    """A server's certificate from files: those of `tls_*` options, or an SSL config of TensorFlow Serving."""

    def __init__(self, files: Sequence[str], read: Any):
        """`read()` -> Pem; `files` are what it reads. Raises OSError, or ValueError for a wrong file."""
        self._files = files
        self._watch = Watch(*files)
        self._read = read
        self._pem: Pem = read()
        self._check(self._pem)

    def credentials(self) -> grpc.ServerCredentials:
        """Returns gRPC's credentials; each new connection gets the certificate that is there by then."""
        return grpc.dynamic_ssl_server_credentials(
            _configuration(self._pem), self._changed, require_client_authentication=self.asks_callers
        )

    @property
    def asks_callers(self) -> bool:
        """Whether callers need a certificate of their own."""
        return self._pem.client_ca is not None

    def _changed(self) -> Any:
        """Called by gRPC for each connection: the new configuration; None to go on with the present one."""
        if not self._watch.changed():
            return None
        try:
            pem = self._read()
            self._check(pem)
            if (pem.client_ca is None) == self.asks_callers:
                # gRPC keeps what it was told at the start: a file that asks for more would be believed.
                raise ValueError("whether callers need a certificate changes only when the server starts")
        except (OSError, ValueError) as error:
            logging.error("The certificate in use stays: %s", error)
            return None
        self._pem = pem
        logging.info("The certificate was read again")
        return _configuration(pem)

    def _check(self, pem: Pem) -> None:
        """Finds a wrong file now: gRPC would only drop every connection."""
        import ssl
        import tempfile

        with tempfile.NamedTemporaryFile() as both:
            both.write(pem.certificate.rstrip() + b"\n" + pem.key)
            both.flush()
            try:
                ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(both.name, password="")
                if pem.client_ca is not None:
                    ssl.create_default_context(cadata=pem.client_ca.decode("ascii"))
            except (ssl.SSLError, UnicodeDecodeError, ValueError) as error:
                raise ValueError(
                    f"{', '.join(self._files)}: expected a certificate and its key in PEM, the key without "
                    f"a password: {error}"
                ) from error


def from_files(certificate: str, key: str, client_ca: str | None) -> Certificate:
    """The certificate, key and authorities of three files. Raises OSError, ValueError."""

    def read() -> Pem:
        return Pem(_bytes(key), _bytes(certificate), _bytes(client_ca) if client_ca else None)

    return Certificate([file for file in (certificate, key, client_ca) if file], read)


def from_ssl_config(path: str) -> Certificate:
    """What TensorFlow Serving's SSL config says. Raises OSError, ValueError."""
    from serving.config.read import read_ssl

    def read() -> Pem:
        ssl = read_ssl(path)
        # As in TensorFlow Serving, authorities without client_verify ask nobody for a certificate.
        ca = ssl.custom_ca.encode() if ssl.client_verify else None
        return Pem(ssl.server_key.encode(), ssl.server_cert.encode(), ca)

    return Certificate([path], read)


def _bytes(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _configuration(pem: Pem) -> Any:
    return grpc.ssl_server_certificate_configuration([(pem.key, pem.certificate)], pem.client_ca)
