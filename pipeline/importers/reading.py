"""Shared by the readers of captions files: gathers captions by image and sets the bad ones aside."""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterable

from pipeline.errors import UserError
from pipeline.importers.records import Entry, FileOnDisk, Reason, Rejection, Source

IMAGE_SUFFIXES = frozenset([".jpg", ".jpeg", ".jpe", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff"])


def read_text(path: pathlib.Path) -> str:
    """Returns a text file. Bytes that are not UTF-8 come as lone surrogates, for `is_utf8` to find.

    Raises UserError if the file cannot be read.
    """
    try:
        return decode(path.read_bytes())
    except OSError as error:
        raise UserError(f"Cannot read {path} ({error.strerror}).") from error


def decode(data: bytes) -> str:
    """Decodes UTF-8, with or without a byte order mark; other bytes come as lone surrogates."""
    return data.decode("utf-8-sig", errors="surrogateescape")


def is_utf8(text: str) -> bool:
    """Whether decoded text came from valid UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(text: str) -> str:
    """Text for reports: what is not UTF-8 is written as an escape."""
    try:
        return text.encode(errors="surrogateescape").decode(errors="backslashreplace")
    except UnicodeEncodeError:  # a lone surrogate of a JSON escape, not of a byte
        return text.encode(errors="backslashreplace").decode()


@dataclasses.dataclass
class CaptionCollector:
    """Captions by image id, in the order of the file, and what was wrong with the others.

    Attributes:
      captions: by image id; an image all of whose captions were bad has an empty list.
      rejections: set aside so far.
      captions_read: captions met, bad ones included.
    """

    captions: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    rejections: list[Rejection] = dataclasses.field(default_factory=list)
    captions_read: int = 0

    def add(self, image_id: str, caption: str, where: str) -> None:
        """Takes one caption if it is good. `where` names file and line."""
        if not is_utf8(image_id):
            self.add_bad_row(where, f"the image's name is not UTF-8: {printable(image_id)!r}")
            return
        self.captions_read += 1
        mine = self.captions.setdefault(image_id, [])
        if not is_utf8(caption):
            self.reject(where, image_id, Reason.CAPTION_NOT_UTF8, f"the caption is {printable(caption)!r}")
        elif not caption.strip():
            self.reject(where, image_id, Reason.EMPTY_CAPTION, "the caption has no words")
        else:
            mine.append(caption.strip())

    def add_bad_row(self, where: str, detail: str) -> None:
        """Counts a row from which no image and caption could be read."""
        self.captions_read += 1
        self.reject(where, "", Reason.BAD_ROW, detail)

    def reject(self, path: str, image_id: str, reason: Reason, detail: str) -> None:
        """Sets something aside."""
        self.rejections.append(Rejection(printable(path), printable(image_id), reason, detail))

    def finish(
        self,
        name: str,
        images: dict[str, pathlib.Path],
        split_of: Callable[[str], str | None],
        expected: Iterable[str] = (),
    ) -> Source:
        """Joins the captions with the images.

        Args:
          name: of the source.
          images: path by image id: the files there are. Those with the suffix of an image ought to have
            captions.
          split_of: split of an image id; None leaves the image out.
          expected: further ids that ought to have captions, such as those of split lists.
        """
        entries = []
        unlisted = 0
        pictures = (name for name, path in images.items() if path.suffix.lower() in IMAGE_SUFFIXES)
        for image_id in dict.fromkeys((*self.captions, *pictures, *expected)):
            split = split_of(image_id)
            captions = tuple(self.captions.get(image_id, ()))
            if split is None:
                unlisted += 1
            elif image_id not in images:
                self.reject(image_id, image_id, Reason.MISSING_IMAGE, "there is no such file")
            elif not captions:
                path = str(images[image_id])
                self.reject(path, image_id, Reason.NO_CAPTIONS, "no usable caption belongs to it")
            else:
                entries.append(
                    Entry(image_id, FileOnDisk(os.path.abspath(images[image_id])), captions, split)
                )
        return Source(name, entries, self.rejections, self.captions_read, unlisted)


def list_files(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """Returns the files of a folder and its subfolders by their path in it; hidden ones are left out."""
    files = {}
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                path = pathlib.Path(root, name)
                files[path.relative_to(folder).as_posix()] = path
    return files


def require_folder(path: pathlib.Path, what: str) -> pathlib.Path:
    """Returns `path`. Raises UserError if it is not a folder."""
    if not path.is_dir():
        raise UserError(f"--source must be {what}; {path} is not a folder.")
    return path


def find_first(source: pathlib.Path, names: Iterable[str], what: str) -> pathlib.Path:
    """Returns the first of `names` that exists in `source`. Raises UserError if none does."""
    names = tuple(names)
    for name in names:
        if (source / name).exists():
            return source / name
    found = ", ".join(sorted(path.name for path in source.iterdir())[:8]) or "nothing"
    raise UserError(f"{source} lacks {what}: expected {' or '.join(names)} there, found {found}.")
