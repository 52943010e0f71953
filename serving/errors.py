"""Errors of the server and of the client.

Server (becomes the gRPC status of one call):

    ServingError(code, message)

Client:

    CaptionError
    +-- ServerUnreachable    UNAVAILABLE: nobody listens there, or the server went away. Worth a retry.
    +-- ServerOverloaded     RESOURCE_EXHAUSTED: the server's queue is full. Worth a later try.
    +-- DeadlineExceeded     DEADLINE_EXCEEDED
    +-- ModelNotLoaded       NOT_FOUND: no such model, or none of its versions is loaded yet
    +-- NotAllowed           UNAUTHENTICATED, PERMISSION_DENIED: a token or a certificate is missing or wrong
    +-- RequestRefused       every other status: the request or the model is wrong; a retry cannot help
    |   +-- AttentionUnavailable   the model does not attend to regions
    +-- ImageError           one picture cannot be captioned; the others can
        +-- NoSuchFile
        +-- NotAnImage
        +-- TooLarge         more bytes or pixels than are read or than the server takes
        +-- OptionRefused    an option is beyond the bounds of this model

The text of those that came from a call ends with its request id, which is in the server's log.
"""

from typing import Any, Final

import grpc

_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}


def status_code(code: Any) -> grpc.StatusCode:
    """A status code as gRPC hands it over: an enum, its number, or None before one was set."""
    return code if isinstance(code, grpc.StatusCode) else _CODES.get(code, grpc.StatusCode.UNKNOWN)


class ServingError(Exception):
    """A refused or failed call, with the gRPC status that the caller gets."""

    def __init__(self, code: grpc.StatusCode, message: str):
        super().__init__(message)
        self.code = code
        self.message = message


def invalid(message: str) -> ServingError:
    """The request cannot be right for this model, now or later."""
    return ServingError(grpc.StatusCode.INVALID_ARGUMENT, message)


class CaptionError(Exception):
    """Base of all errors of the client.

    Attributes:
      request_id: id of the call in the server's log; None if nothing was asked.
    """

    request_id: str | None = None

    def __str__(self) -> str:
        text = super().__str__()
        return text if self.request_id is None else f"{text} (request id {self.request_id})"


class ServerUnreachable(CaptionError):
    """Nobody answers at the address."""


class ServerOverloaded(CaptionError):
    """The server refused the work because its queue is full."""


class DeadlineExceeded(CaptionError):
    """No answer in time."""


class ModelNotLoaded(CaptionError):
    """The server runs, but has no version of the model to answer with."""


class NotAllowed(CaptionError):
    """The server does not know the token, or it is not enough for this call."""


class RequestRefused(CaptionError):
    """The server answered with another error: `code` and `details` are its own."""

    def __init__(self, code: grpc.StatusCode, details: str, remedy: str = ""):
        super().__init__(f"the server answered {code.name}: {details}" + (f"; {remedy}" if remedy else ""))
        self.code = code
        self.details = details


class AttentionUnavailable(RequestRefused):
    """The model cannot tell where it looked."""


class ImageError(CaptionError):
    """One picture cannot be captioned."""


class NoSuchFile(ImageError):
    """The path or URL is no file that can be read."""


class NotAnImage(ImageError):
    """The bytes cannot be decoded as a picture."""


class TooLarge(ImageError):
    """More bytes or pixels than are read here, or than the server takes."""


class OptionRefused(ImageError):
    """An option of the request is beyond the bounds of this model; the text has the bounds."""
