"""What an image file says of itself in its first bytes, read before anything is decoded."""

import dataclasses
import io
from typing import Final

import imagesize

# What TensorFlow decodes; other bytes get their status from the model.
_FORMATS: Final = {b"\xff\xd8": "jpeg", b"\x89PNG": "png", b"GIF8": "gif", b"BM": "bmp", b"RIFF": "webp"}
OTHER: Final = "other"


@dataclasses.dataclass(frozen=True)
class ImageHeader:
    """Attributes:
    format: `jpeg`, `png`, `gif`, `bmp`, `webp` or `other`, by the first bytes.
    width, height: pixels as stored; 0 where the header says nothing.
    """

    format: str
    width: int = 0
    height: int = 0


def read(data: bytes) -> ImageHeader:
    """Returns what the header of an image file says, of any bytes."""
    name = next((name for start, name in _FORMATS.items() if data.startswith(start)), OTHER)
    if name == OTHER:
        return ImageHeader(OTHER)
    width, height = imagesize.get(io.BytesIO(data))
    return ImageHeader(name, int(width), int(height)) if min(width, height) > 0 else ImageHeader(name)
