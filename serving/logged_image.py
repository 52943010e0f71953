"""What the request log keeps of an image, and how it is read again."""

import dataclasses
import json
import pathlib
from typing import Any, Final, Self

from serving import request_log_files

DAY_S: Final = 86_400.0
MOST_READ: Final = 100_000  # more say no more about a distribution
_NUMBER: Final = (int, float)


@dataclasses.dataclass(frozen=True)
class LoggedImage:
    """An image that was answered: numbers, and never its content, its caption or its sender.

    Attributes:
      time: when, in seconds since 1970.
      model, version, signature: that answered.
      format, width, height: as its header says; see `image_header.ImageHeader`.
      file_bytes: size of the file.
      status: `ok`, why it could not be captioned, or `refused` for any other reason.
      caption_words: of the first caption; None where the signature writes none or the image was refused.
      log_prob: of that caption, in nats; likewise.
    """

    time: float
    model: str
    version: int
    signature: str
    format: str
    width: int
    height: int
    file_bytes: int
    status: str
    caption_words: int | None = None
    log_prob: float | None = None

    def to_json(self) -> str:
        """Returns one line of JSON."""
        return json.dumps(dataclasses.asdict(self), separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, line: str | bytes) -> Self:
        """Inverse of `to_json`. Raises ValueError for anything else, half a line included."""
        fields: Any = json.loads(line)
        if not isinstance(fields, dict) or fields.keys() != _TYPES.keys():
            raise ValueError(f"expected an object with {', '.join(_TYPES)}; got {line[:80]!r}")
        for name, types in _TYPES.items():
            if type(fields[name]) not in types:  # not isinstance: a bool is an int
                expected = " or ".join(each.__name__ for each in types)
                raise ValueError(f"{name} must be {expected}; got {fields[name]!r}")
        return cls(**fields)


_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "time": _NUMBER,
    "model": (str,),
    "version": (int,),
    "signature": (str,),
    "format": (str,),
    "width": (int,),
    "height": (int,),
    "file_bytes": (int,),
    "status": (str,),
    "caption_words": (int, type(None)),
    "log_prob": (*_NUMBER, type(None)),
}


@dataclasses.dataclass(frozen=True)
class ReadLog:
    """Attributes:
    images: ordered by time.
    unreadable: lines that are none of the log's.
    """

    images: list[LoggedImage]
    unreadable: int = 0


def read(folder: pathlib.Path, days: float, most: int = MOST_READ) -> ReadLog:
    """Returns the newest images of a log.

    Args:
      folder: of one server, or one with a folder for each of several.
      days: images that are older than the newest one by more are left out.
      most: of the newest images.
    """
    images: list[LoggedImage] = []
    unreadable = 0
    for lines in request_log_files.whole_lines(folder):
        for line in lines:
            try:
                images.append(LoggedImage.from_json(line))
            except ValueError:
                unreadable += 1
        if len(images) >= most:
            break
    images.sort(key=lambda image: image.time)
    since = images[-1].time - days * DAY_S if images else 0.0
    return ReadLog([image for image in images[-most:] if image.time >= since], unreadable)
