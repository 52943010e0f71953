"""Errors of the server and of the client.

Server (becomes the gRPC status of one call):

    ServingError(code, message)

Client:

    CaptionError
    +-- ServerUnreachable    UNAVAILABLE: nobody listens there, or the server went away. Worth a retry.
    +-- ServerOverloaded     RESOURCE_EXHAUSTED: the server's queue is full. Worth a later try.
    +-- DeadlineExceeded     DEADLINE_EXCEEDED
    +-- ModelNotLoaded       NOT_FOUND: no such model, or none of its versions is loaded yet
    +-- RequestRefused       every other status: the request or the model is wrong; a retry cannot help
    +-- ImageError           one picture cannot be captioned; the others can
        +-- NoSuchFile
        +-- NotAnImage
"""

import grpc


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
    """Base of all errors of the client."""


class ServerUnreachable(CaptionError):
    """Nobody answers at the address."""


class ServerOverloaded(CaptionError):
    """The server refused the work because its queue is full."""


class DeadlineExceeded(CaptionError):
    """No answer in time."""


class ModelNotLoaded(CaptionError):
    """The server runs, but has no version of the model to answer with."""


class RequestRefused(CaptionError):
    """The server answered with another error: `code` and `details` are its own."""

    def __init__(self, code: grpc.StatusCode, details: str):
        super().__init__(f"the server answered {code.name}: {details}")
        self.code = code
        self.details = details


class ImageError(CaptionError):
    """One picture cannot be captioned."""


class NoSuchFile(ImageError):
    """The path is not a readable file."""


class NotAnImage(ImageError):
    """The bytes cannot be decoded as a picture."""
