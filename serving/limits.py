"""What a request may ask for. Beyond it: INVALID_ARGUMENT, with the limit in the text."""

import dataclasses
from typing import Any

from models import features
from serving import image_header
from serving.errors import invalid
from serving.scheduling import Arrays


@dataclasses.dataclass(frozen=True)
class Limits:
    """Attributes:
    message_bytes: largest request.
    images: most images a request.
    pixels: most pixels an image, as its header says; decoding takes 12 bytes a pixel.
    beam_width, captions: largest values of the options of these names.
    """

    message_bytes: int = 32 << 20
    images: int = 64
    pixels: int = 50_000_000
    beam_width: int = 32
    captions: int = 32

    def check_message(self, request: Any) -> None:
        """Raises ServingError if the message is too large."""
        size = request.ByteSize()
        if size > self.message_bytes:
            raise invalid(f"a request has at most {self.message_bytes} bytes; got {size}. Send fewer images")

    def check_rows(self, rows: int) -> None:
        """Raises ServingError for too many rows, or none."""
        if not 1 <= rows <= self.images:
            raise invalid(f"a request has from 1 to {self.images} rows; got {rows}")

    def check_inputs(self, inputs: Arrays) -> None:
        """Raises ServingError if an image or an option is too large, or all rows together."""
        # One value of a message may stand for every row: a small message, and much memory for the model.
        total = sum(len(row) for array in inputs.values() if array.dtype == object for row in array.flat)
        if total > self.message_bytes:
            raise invalid(f"a request has at most {self.message_bytes} bytes; its rows have {total}")
        for name in ("beam_width", "captions"):
            limit = getattr(self, name)
            if name in inputs and (inputs[name] > limit).any():
                raise invalid(f"{name} is at most {limit}; got {inputs[name].max()}")
        images = inputs.get(features.IMAGE_BYTES_INPUT)
        for row, data in enumerate(() if images is None else images.ravel().tolist()):
            image = image_header.read(data)
            if image.width * image.height > self.pixels:
                raise invalid(
                    f"an image has at most {self.pixels} pixels; image {row} has {image.width} x "
                    f"{image.height}. "
                    "Send it smaller: the model looks at 299 x 299"
                )
