"""Bearer tokens: who may call. One token a line of a file, with a name before it if you like."""

import hashlib
import hmac
import pathlib
from collections.abc import Iterable
from typing import Any, Final

import grpc
from absl import logging

from serving.errors import ServingError
from serving.watching import Watch

_SCHEME: Final = "bearer "
_MIN_LENGTH: Final = 16  # fewer characters are guessed


class Tokens:
    """The tokens of a file, read again when it changes.

    A line is `TOKEN` or `NAME TOKEN`; empty lines and those that begin with # do not count. What is kept are
    digests, compared in constant time and all of them, so that an answer's time tells nothing.
    """

    def __init__(self, path: str):
        """Raises OSError, or ValueError for a file that holds no token or a wrong line."""
        self._path = pathlib.Path(path)
        self._watch = Watch(path)
        self._names = _read(self._path)

    def check(self, metadata: Iterable[tuple[str, Any]] | None) -> str:
        """Returns the name that belongs to the call's token. Raises ServingError UNAUTHENTICATED."""
        self._read_again()
        given = next((value for key, value in metadata or () if key == "authorization"), None)
        if given is None:
            raise _refused("this server wants a token: send the metadata 'authorization: Bearer TOKEN'")
        if not isinstance(given, str) or not given.lower().startswith(_SCHEME):
            raise _refused("expected the metadata 'authorization: Bearer TOKEN'; got another scheme")
        digest = _digest(given[len(_SCHEME) :].strip())
        matches = [name for known, name in self._names.items() if hmac.compare_digest(known, digest)]
        if not matches:
            raise _refused("this token is not known here")
        return matches[0]

    def _read_again(self) -> None:
        if not self._watch.changed():
            return
        try:
            self._names = _read(self._path)
            logging.info("Tokens were read again: %d", len(self._names))
        except (OSError, ValueError) as error:  # nobody is let in or locked out by a slip of an editor
            logging.error("The tokens known before stay in force: %s", error)


def _read(path: pathlib.Path) -> dict[bytes, str]:
    names = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) > 2 or len(words[-1]) < _MIN_LENGTH:
            raise ValueError(
                f"{path}:{number}: expected TOKEN or NAME TOKEN, the token of at least {_MIN_LENGTH} "
                "characters; make one with: openssl rand -hex 32"
            )
        names[_digest(words[-1])] = words[0] if len(words) == 2 else f"line {number}"
    if not names:
        raise ValueError(f"{path} holds no token; nobody could call. Put one a line")
    return names


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _refused(message: str) -> ServingError:
    return ServingError(grpc.StatusCode.UNAUTHENTICATED, message)
