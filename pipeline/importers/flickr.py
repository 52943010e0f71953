"""Flickr8k and Flickr30k as their users have them on disk."""

import json
import pathlib
import re
import tarfile
from collections.abc import Callable
from typing import Any, Final

from pipeline.errors import UserError
from pipeline.importers.reading import (
    CaptionCollector,
    decode,
    find_first,
    list_files,
    read_text,
    require_folder,
)
from pipeline.importers.records import EVAL, TEST, TRAIN, Reason, Source, split_by_hash

_TOKEN_LINE: Final = re.compile(r"(?P<image>[^\t#]+)#(?P<number>\d+)\t(?P<caption>.*)")
_FLICKR8K_LISTS: Final = {
    "Flickr_8k.trainImages.txt": TRAIN,
    "Flickr_8k.devImages.txt": EVAL,
    "Flickr_8k.testImages.txt": TEST,
}
_FLICKR30K_TOKENS: Final = "results_20130124.token"
KARPATHY_SPLITS: Final = {"train": TRAIN, "restval": TRAIN, "val": EVAL, "test": TEST}


def read_flickr8k(source: pathlib.Path, shares: tuple[int, int, int] = (8, 1, 1)) -> Source:
    """Reads `Flickr8k.token.txt`, the images and the official lists (dev becomes eval).

    A list that is not there is done without; images that none of the lists names are left out. Without
    any list, images are split by hash.

    Args:
      source: the folder.
      shares: sizes of train, eval and test where there are no lists.

    Raises:
      UserError: captions or images are not there.
    """
    require_folder(source, "the folder with Flickr8k.token.txt and Flicker8k_Dataset")
    tokens = find_first(source, ["Flickr8k.token.txt", "Flickr8k_text/Flickr8k.token.txt"], "the captions")
    folder = find_first(source, ["Flicker8k_Dataset", "Flickr8k_Dataset", "images", "Images"], "the images")
    splits: dict[str, str] = {}
    for name, split in _FLICKR8K_LISTS.items():
        path = tokens.with_name(name)
        if path.exists():
            splits |= {line.strip(): split for line in read_text(path).splitlines() if line.strip()}
    collector = _read_tokens(read_text(tokens), tokens.name)
    return _join("flickr8k", collector, folder, splits, shares)


def read_flickr30k(source: pathlib.Path, shares: tuple[int, int, int] = (8, 1, 1)) -> Source:
    """Reads `results_20130124.token` (loose or in a tar.gz), the images and Karpathy's splits when given.

    Args:
      source: the folder; `dataset_flickr30k.json` in it gives the splits (images that it does not name are
        left out), otherwise images are split by hash.
      shares: sizes of train, eval and test without Karpathy's file.

    Raises:
      UserError: captions or images are not there, or a file is broken.
    """
    require_folder(source, f"the folder with {_FLICKR30K_TOKENS} and flickr30k-images")
    folder = find_first(source, ["flickr30k-images", "flickr30k_images", "images"], "the images")
    loose = source / _FLICKR30K_TOKENS
    text = read_text(loose) if loose.exists() else _read_tokens_in_archive(source)
    collector = _read_tokens(text, _FLICKR30K_TOKENS)
    lists = source / "dataset_flickr30k.json"
    splits = {}
    if lists.exists():
        splits = {image["filename"]: KARPATHY_SPLITS[image["split"]] for image in read_karpathy(lists)}
    return _join("flickr30k", collector, folder, splits, shares)


def read_karpathy(path: pathlib.Path) -> list[dict[str, Any]]:
    """Returns the `images` of one of Karpathy's `dataset_*.json`: filename, split, sentences and more.

    Raises UserError if the file is not one.
    """
    try:
        images = json.loads(read_text(path))["images"]
        for image in images:
            image["filename"], KARPATHY_SPLITS[image["split"]]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is not one of Karpathy's split files ({type(error).__name__}: {error}): expected "
            f'{{"images": [{{"filename": ..., "split": "train|restval|val|test", ...}}]}}.'
        ) from error
    return images


def _read_tokens(text: str, name: str) -> CaptionCollector:
    """Reads lines `image.jpg#0<TAB>caption`."""
    collector = CaptionCollector()
    seen: set[str] = set()
    # Not splitlines(): captions may hold the odd line separators that it also breaks at.
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r")
        where = f"{name}:{number}"
        if not line.strip():
            continue
        match = _TOKEN_LINE.fullmatch(line)
        if match is None:
            collector.add_bad_row(where, f"expected image.jpg#0<TAB>caption, got {line[:60]!r}")
        elif (key := f"{match['image']}#{match['number']}") in seen:
            collector.captions_read += 1
            collector.reject(where, match["image"], Reason.DUPLICATE_CAPTION_ID, f"a second {key}")
        else:
            seen.add(key)
            collector.add(match["image"], match["caption"], where)
    return collector


def _read_tokens_in_archive(source: pathlib.Path) -> str:
    archives = sorted(path for path in source.iterdir() if path.name.endswith((".tar.gz", ".tgz", ".tar")))
    # The captions' own archive is small: look there before reading through one of gigabytes.
    for path in sorted(archives, key=lambda path: path.stat().st_size):
        try:
            with tarfile.open(path) as archive:
                for member in archive:
                    if pathlib.PurePosixPath(member.name).name == _FLICKR30K_TOKENS and member.isfile():
                        file = archive.extractfile(member)
                        assert file is not None, "a regular member can be read"
                        return decode(file.read())
        except (tarfile.TarError, EOFError, OSError) as error:
            raise UserError(f"{path} cannot be read to its end ({error}). Download it again.") from error
    looked = ", ".join(path.name for path in archives) or "no tar archive"
    raise UserError(
        f"{source} lacks the captions: expected {_FLICKR30K_TOKENS}, loose or in a .tar.gz; found {looked}."
    )


def _join(
    name: str,
    collector: CaptionCollector,
    folder: pathlib.Path,
    splits: dict[str, str],
    shares: tuple[int, int, int],
) -> Source:
    split_of: Callable[[str], str | None] = splits.get
    if not splits:

        def split_of(image_id: str) -> str | None:
            return split_by_hash(image_id, shares)

    return collector.finish(name, list_files(folder), split_of, expected=splits)
