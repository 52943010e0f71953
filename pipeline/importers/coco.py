"""COCO captions: annotation files and folders of images."""

import collections
import dataclasses
import json
import pathlib
import re
from collections.abc import Sequence
from typing import Any, Final

from pipeline.errors import UserError
from pipeline.importers.flickr import KARPATHY_SPLITS, read_karpathy
from pipeline.importers.reading import CaptionCollector, read_text, require_folder
from pipeline.importers.records import EVAL, TRAIN, Reason, Source, split_by_hash

_KARPATHY_FILE: Final = "dataset_coco.json"
# captions_train2014.json, captions_val2017.json: their pictures lie in train2014/, val2017/.
_OFFICIAL: Final = re.compile(r"captions_((train|val)\w*)\.json")
# instances_train2014.json beside captions_train2014.json: the objects in its pictures. 1 is a person; what is
# marked as a crowd is more than ten.
_PERSON: Final = 1
_CROWD: Final = 11
_OFFICIAL_SPLITS: Final = {"train": TRAIN, "val": EVAL}


def read_coco(
    source: pathlib.Path,
    annotations: Sequence[pathlib.Path] = (),
    images: pathlib.Path | None = None,
    shares: tuple[int, int, int] = (8, 1, 1),
) -> Source:
    """Reads caption annotation files and finds their images.

    The splits are Karpathy's where `dataset_coco.json` lies in the folder; else those of the official file
    names (train, and val as eval); else by hash. Where `instances_*.json` lies beside `captions_*.json`,
    objects and people are counted.

    Args:
      source: the folder.
      annotations: JSON files in COCO's format; by default all `captions_*.json` in the folder or its
        `annotations` folder.
      images: folder of all images; by default `train2014/` beside `captions_train2014.json` and so on, or
        `images/`, or the folder itself.
      shares: sizes of train, eval and test where neither decides.

    Raises:
      UserError: no annotations are found, or a file is not in COCO's format.
    """
    require_folder(source, "the folder with annotations/ and the images")
    paths = list(annotations) or sorted(
        [*source.glob("captions_*.json"), *source.glob("annotations/captions_*.json")]
    )
    if not paths:
        raise UserError(
            f"{source} lacks the captions: expected captions_*.json there or in annotations/. "
            "Name other files with --annotations FILE."
        )
    karpathy = source / _KARPATHY_FILE
    lists: dict[str, str] = {}
    if karpathy.exists():
        lists = {image["filename"]: KARPATHY_SPLITS[image["split"]] for image in read_karpathy(karpathy)}

    collector = CaptionCollector()
    places: dict[str, pathlib.Path] = {}
    splits: dict[str, str | None] = {}
    counts: dict[str, tuple[int, int]] = {}
    for path in paths:
        official = _OFFICIAL.fullmatch(path.name)
        folders = [images] if images else _image_folders(source, official[1] if official else "")
        content = _read_annotations(path)
        found = _count_instances(path)
        mine: set[str] = set()
        for image in content["images"]:
            image_id = str(image["id"])
            if image_id in places:
                collector.reject(
                    path.name,
                    image_id,
                    Reason.DUPLICATE_ID,
                    f"its second file is {image['file_name']}",
                )
                continue
            mine.add(image_id)
            if found is not None:
                counts[image_id] = found[image_id]
            places[image_id] = _find_image(folders, str(image["file_name"]))
            if lists:
                splits[image_id] = lists.get(places[image_id].name)
            elif official:
                splits[image_id] = _OFFICIAL_SPLITS[official[2]]
            else:
                splits[image_id] = split_by_hash(image_id, shares)
        for number, annotation in enumerate(content["annotations"]):
            where = f"{path.name}:annotations[{number}]"
            if str(annotation["image_id"]) in mine:
                collector.add(str(annotation["image_id"]), str(annotation["caption"]), where)
            else:
                collector.add_bad_row(where, f"there is no image {annotation['image_id']} in this file")
    source_ = collector.finish("coco", places, splits.__getitem__)
    entries = [
        dataclasses.replace(entry, objects=counts[entry.image_id][0], people=counts[entry.image_id][1])
        if entry.image_id in counts
        else entry
        for entry in source_.entries
    ]
    return dataclasses.replace(source_, entries=entries)


def _count_instances(captions: pathlib.Path) -> dict[str, tuple[int, int]] | None:
    """Objects and people by image id, (0, 0) where none is marked; None where there is no such file."""
    path = captions.with_name(captions.name.replace("captions_", "instances_", 1))
    if path == captions or not path.exists():
        return None
    objects: collections.Counter[str] = collections.Counter()
    people: collections.Counter[str] = collections.Counter()
    try:
        for annotation in json.loads(read_text(path))["annotations"]:
            image_id = str(annotation["image_id"])
            count = _CROWD if annotation.get("iscrowd") else 1
            objects[image_id] += count
            people[image_id] += count * (annotation["category_id"] == _PERSON)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} is not a COCO instances file ({type(error).__name__}: {error}): expected "
            '{"annotations": [{"image_id", "category_id"}]}. Move it away to import without counts.'
        ) from error
    return collections.defaultdict(lambda: (0, 0), {name: (objects[name], people[name]) for name in objects})


def _image_folders(source: pathlib.Path, name: str) -> list[pathlib.Path]:
    return [
        path for path in (source / name, source / "images" / name, source / "images", source) if path.is_dir()
    ]


def _find_image(folders: list[pathlib.Path], name: str) -> pathlib.Path:
    """The first place where the file is; if nowhere, the first where it should be."""
    for folder in folders:
        if (folder / name).exists():
            return folder / name
    return folders[0] / name


def _read_annotations(path: pathlib.Path) -> dict[str, Any]:
    try:
        content = json.loads(read_text(path))
        for image in content["images"]:
            image["id"], image["file_name"]
        for annotation in content["annotations"]:
            annotation["image_id"], annotation["caption"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is not a COCO captions file ({type(error).__name__}: {error}): expected "
            '{"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}]}.'
        ) from error
    return content
