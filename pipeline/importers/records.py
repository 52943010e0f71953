"""What an importer hands to the writer: entries to import, and what was set aside on the way."""

import dataclasses
import enum
import hashlib
import os
from typing import Final, Protocol

TRAIN: Final = "train"
EVAL: Final = "eval"
TEST: Final = "test"
SPLITS: Final = (TRAIN, EVAL, TEST)


class Reason(enum.StrEnum):
    """Why an image or a caption was set aside."""

    # Images.
    MISSING_IMAGE = "missing_image"
    EMPTY_FILE = "empty_file"
    UNREADABLE = "unreadable"
    NOT_AN_IMAGE = "not_an_image"
    TRUNCATED = "truncated"
    TOO_MANY_PIXELS = "too_many_pixels"
    NO_CAPTIONS = "no_captions"
    DUPLICATE_ID = "duplicate_id"
    OUTSIDE_FOLDER = "outside_folder"
    # Captions, or the rows they came in.
    EMPTY_CAPTION = "empty_caption"
    CAPTION_NOT_UTF8 = "caption_not_utf8"
    DUPLICATE_CAPTION_ID = "duplicate_caption_id"
    BAD_ROW = "bad_row"

    @property
    def is_caption(self) -> bool:
        """Whether one caption was lost, and not a whole image."""
        return self in _OF_CAPTIONS


_OF_CAPTIONS: Final = frozenset(
    (Reason.EMPTY_CAPTION, Reason.CAPTION_NOT_UTF8, Reason.DUPLICATE_CAPTION_ID, Reason.BAD_ROW)
)


@dataclasses.dataclass(frozen=True)
class Rejection:
    """One thing set aside.

    Attributes:
      path: the file at fault (the image, or the captions file with its line).
      image_id: the image concerned, empty where none could be told.
      reason: its class, for counting.
      detail: one sentence for a person.
    """

    path: str
    image_id: str
    reason: Reason
    detail: str


class BadImage(Exception):
    """The image cannot be imported; `reason` and the message go to rejected.jsonl."""

    def __init__(self, reason: Reason, detail: str):
        super().__init__(detail)
        self.reason = reason


class ImageFile(Protocol):
    """Where the bytes of one image come from. Instances are pickled to Beam's workers."""

    @property
    def path(self) -> str:
        """Names the image to a person."""
        ...

    def read(self) -> bytes:
        """Returns the bytes of the image file. Raises OSError."""
        ...


@dataclasses.dataclass(frozen=True)
class FileOnDisk:
    """An image file that every Beam worker can open."""

    path: str

    def read(self) -> bytes:
        with open(self.path, "rb") as file:
            return file.read()


@dataclasses.dataclass(frozen=True)
class Entry:
    """One image to import.

    Attributes:
      image_id: unique in the source.
      image: gives the bytes.
      captions: as written, at least one.
      split: one of SPLITS.
      objects, people: how many are in the image; None where the source does not tell.
    """

    image_id: str
    image: ImageFile
    captions: tuple[str, ...]
    split: str
    objects: int | None = None
    people: int | None = None


@dataclasses.dataclass(frozen=True)
class Source:
    """A data set as found on disk, before any image was opened.

    Attributes:
      name: written into each example.
      entries: what to import.
      rejections: what was set aside while reading captions and lists.
      captions_read: captions met, the rejected ones included.
      unlisted: images that are whole but belong to no split of the official lists; left out, not faulty.
      side_files: further text files for the span folder, by name.
    """

    name: str
    entries: list[Entry]
    rejections: list[Rejection] = dataclasses.field(default_factory=list)
    captions_read: int = 0
    unlisted: int = 0
    side_files: dict[str, str] = dataclasses.field(default_factory=dict)


def stable_hash(image_id: str) -> int:
    """A 64-bit hash that is the same in every process and version."""
    return int.from_bytes(hashlib.sha256(os.fsencode(image_id)).digest()[:8], "big")


def split_by_hash(image_id: str, shares: tuple[int, int, int] = (8, 1, 1)) -> str:
    """Puts an image into a split by its id alone: a picture keeps its split in every later import.

    Args:
      image_id: any text.
      shares: relative sizes of train, eval and test.
    """
    place = stable_hash(image_id) % sum(shares)
    if place < shares[0]:
        return TRAIN
    return EVAL if place < shares[0] + shares[1] else TEST
