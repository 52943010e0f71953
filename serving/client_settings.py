"""Settings of a client."""

import dataclasses
from typing import Final

from models import features
from serving import client_channel

DEFAULT_ADDRESS: Final = "127.0.0.1:8500"
# Half of what the server puts in a batch: more in one call would only wait there, against one deadline.
MAX_BATCH: Final = 8
MAX_REQUEST_BYTES: Final = 32 << 20  # as the embedded server takes them


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a client is told once, for all its calls.

    Attributes:
      address: `host:port`.
      model: name of the model on the server.
      version, label: which version answers, by number or by a label that the server's config gives; the
        newest without either.
      timeout_s: seconds for a call, all its attempts together.
      max_batch: most pictures a call; longer lists are split.
      max_message_bytes: largest request; larger ones are split.
      tls: None: no encryption.
      token: sent as `authorization: Bearer TOKEN`; None: none.
      plaintext_token: send the token without TLS to other machines too, because the network protects it (a
        service mesh does).

    Raises:
      ValueError: a value that cannot be right.
    """

    address: str = DEFAULT_ADDRESS
    model: str = features.MODEL_NAME
    version: int | None = None
    label: str | None = None
    timeout_s: float = 30.0
    max_batch: int = MAX_BATCH
    max_message_bytes: int = MAX_REQUEST_BYTES
    tls: client_channel.TlsOptions | None = None
    token: str | None = dataclasses.field(default=None, repr=False)
    plaintext_token: bool = False

    def __post_init__(self) -> None:
        if not self.timeout_s > 0 or self.max_batch < 1:
            raise ValueError(
                f"expected timeout_s > 0 and max_batch >= 1; got timeout_s={self.timeout_s} and "
                f"max_batch={self.max_batch}"
            )
        if not 0 < self.max_message_bytes <= client_channel.MAX_MESSAGE_BYTES:
            raise ValueError(
                f"max_message_bytes: expected 1 to {client_channel.MAX_MESSAGE_BYTES}; "
                f"got {self.max_message_bytes}"
            )
        if self.version is not None and self.label is not None:
            raise ValueError(
                f"expected a version or a label; got both, version={self.version} and label={self.label!r}"
            )

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Metadata of every call. Raises ValueError for a token that cannot or must not be sent."""
        return client_channel.token_metadata(self.token, self.address, self.tls, self.plaintext_token)
