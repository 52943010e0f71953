"""Captions and references in files: COCO's result and annotation formats."""

import collections
import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

_SHOWN = 3  # ids in a message


def read_references(path: str | os.PathLike[str]) -> dict[str, list[str]]:
    """Reads references by image id.

    Args:
      path: JSON, either COCO's annotations (`{"annotations": [{"image_id": 1, "caption": "..."}, ...]}`) or
        `{"1": ["...", ...], ...}`.

    Raises:
      ValueError: the file has another form, or a reference is empty or not a string. The message names it.
      OSError: the file cannot be read.
    """
    content = _load(path)
    references: dict[str, list[str]] = collections.defaultdict(list)
    if isinstance(content, Mapping) and "annotations" in content:
        for image, caption in _rows(content["annotations"], path):
            references[image].append(_not_empty(caption, image, path))
    elif isinstance(content, Mapping):
        for image, captions in content.items():
            if not isinstance(captions, list) or not captions:
                got = "an empty one" if captions == [] else _kind(captions)
                raise ValueError(f"{path}: expected a list of references for image {image}; got {got}")
            for caption in captions:
                references[image].append(_not_empty(_text(caption, image, path), image, path))
    else:
        raise ValueError(
            f"{path}: expected COCO's annotation format, an object with 'annotations', or an object with a "
            f"list of references for each image id; got {_kind(content)}"
        )
    return dict(references)


def read_captions(path: str | os.PathLike[str]) -> dict[str, str]:
    """Reads a caption for each image id.

    Args:
      path: JSON, either COCO's results (`[{"image_id": 1, "caption": "..."}, ...]`) or `{"1": "...", ...}`.

    Raises:
      ValueError: the file has another form, an image has two captions, or one is not a string.
      OSError: the file cannot be read.
    """
    content = _load(path)
    if isinstance(content, Mapping):
        return {image: _text(caption, image, path) for image, caption in content.items()}
    if not isinstance(content, list):
        raise ValueError(f"{path}: expected COCO's result format, a list; got {_kind(content)}")
    rows = list(_rows(content, path))
    captions = dict(rows)
    if len(captions) < len(rows):
        twice = [
            image for image, count in collections.Counter(image for image, _ in rows).items() if count > 1
        ]
        raise ValueError(
            f"{path}: expected one caption an image; {len(twice)} images have several: {_some(twice)}"
        )
    return captions


def pair(
    captions: Mapping[str, str], references: Mapping[str, list[str]], subset: bool = False
) -> tuple[list[str], list[list[str]]]:
    """Puts captions and references into the same order, that of the references.

    Args:
      captions: by image id.
      references: by image id.
      subset: leave out images without a caption, instead of refusing them.

    Raises:
      ValueError: an image has a caption and no reference, or the reverse; or nothing is left. A corpus never
        becomes smaller in silence, because that changes its scores.
    """
    if unknown := [image for image in captions if not references.get(image)]:
        raise ValueError(
            f"{len(unknown)} of {len(captions)} captions are of images without references: {_some(unknown)}. "
            "Check that both files are of the same images and name them alike"
        )
    missing = [image for image in references if image not in captions]
    if missing and not subset:
        raise ValueError(
            f"{len(missing)} of {len(references)} images have references and no caption: {_some(missing)}. "
            "Caption them (an empty caption scores 0), or score only those that have one with --subset"
        )
    images = [image for image in references if image in captions]
    if not images:
        raise ValueError("there is no image with both a caption and references")
    return [captions[image] for image in images], [references[image] for image in images]


def _load(path: str | os.PathLike[str]) -> Any:
    with open(path, "rb") as file:
        try:
            return json.load(file, object_pairs_hook=_no_key_twice)
        except ValueError as error:  # also of bytes that are not UTF-8
            raise ValueError(f"{path}: expected JSON; {error}") from error


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON's objects, but an image given twice is an error and not the last of the two."""
    counts = collections.Counter(key for key, _ in pairs)
    if twice := [key for key, count in counts.items() if count > 1]:
        raise ValueError(f"these keys are there several times: {_some(twice)}")
    return dict(pairs)


def _rows(rows: Any, path: Any) -> Iterable[tuple[str, str]]:
    if not isinstance(rows, list):
        raise ValueError(f"{path}: expected a list of objects with image_id and caption; got {_kind(rows)}")
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping) or not {"image_id", "caption"} <= set(row):
            raise ValueError(
                f"{path}: expected an object with image_id and caption as row {number}; got {row!r:.80}"
            )
        image = row["image_id"]
        if isinstance(image, bool) or not isinstance(image, int | str):
            raise ValueError(
                f"{path}: expected a number or a string as image_id of row {number}; got {image!r:.80}"
            )
        yield str(image), _text(row["caption"], str(image), path)


def _text(caption: Any, image: str, path: Any) -> str:
    if not isinstance(caption, str):
        raise ValueError(f"{path}: expected a string as caption of image {image}; got {_kind(caption)}")
    return caption


def _not_empty(reference: str, image: str, path: Any) -> str:
    if not reference.strip():
        raise ValueError(f"{path}: a reference of image {image} is empty; remove it or write it")
    return reference


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__


def _some(ids: list[str]) -> str:
    return ", ".join(ids[:_SHOWN]) + (", ..." if len(ids) > _SHOWN else "")
