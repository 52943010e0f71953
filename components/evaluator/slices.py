"""The slices that captions are judged by: what is known of an image beside its features."""

from collections.abc import Mapping, Sequence
from typing import Final

from models import features
from models.metrics.tokenizer import tokenize

SOURCE: Final = "source"
SPAN: Final = "span"
CAPTION_LENGTH: Final = "caption_length"
OBJECTS: Final = "objects"
PEOPLE: Final = "people"

# By name, what they are.
SLICES: Final = {
    SOURCE: "data set",
    SPAN: "span of the data",
    CAPTION_LENGTH: "words in people's captions",  # their mean
    OBJECTS: "objects in the image",
    PEOPLE: "people in the image",
}

_LENGTHS: Final = ((8, "up to 8"), (12, "9 to 12"))
_LONG: Final = "13 or more"
_COUNTS: Final = ((0, "0"), (1, "1"), (2, "2"), (5, "3 to 5"))
_MANY: Final = "6 or more"


def slices_of(features_of_image: Mapping[str, Sequence], references: Sequence[str]) -> dict[str, str]:
    """Returns the value of each slice that an image is in.

    Args:
      features_of_image: values of its Example's features; those not known are missing or empty.
      references: its captions.
    """
    found = {}
    for name, feature in ((SOURCE, features.SOURCE), (SPAN, features.SPAN)):
        values = features_of_image.get(feature, ())
        if len(values):
            value = values[0]
            found[name] = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    for name, feature in ((OBJECTS, features.OBJECTS), (PEOPLE, features.PEOPLE)):
        values = features_of_image.get(feature, ())
        if len(values):
            found[name] = _bin(int(values[0]), _COUNTS, _MANY)
    mean = sum(len(tokenize(reference)) for reference in references) / len(references)
    return found | {CAPTION_LENGTH: _bin(round(mean), _LENGTHS, _LONG)}


def _bin(value: int, bounds: Sequence[tuple[int, str]], rest: str) -> str:
    return next((name for bound, name in bounds if value <= bound), rest)
