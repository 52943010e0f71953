"""Reading COCO annotation files."""

import json

import pytest

from pipeline.errors import UserError
from pipeline.importers.coco import read_coco
from pipeline.importers.records import Reason, split_by_hash


def annotations(names: dict[int, str], captions: list[tuple[int, str]]) -> str:
    return json.dumps(
        {
            "images": [{"id": number, "file_name": name} for number, name in names.items()],
            "annotations": [{"id": i, "image_id": n, "caption": c} for i, (n, c) in enumerate(captions)],
        }
    )


TRAIN = annotations({1: "one.jpg", 2: "two.jpg"}, [(1, "A cat."), (1, "The cat\n"), (2, "A dog.")])
VAL = annotations({3: "three.jpg"}, [(3, "A bird.")])
OFFICIAL = {
    "annotations/captions_train2014.json": TRAIN,
    "annotations/captions_val2014.json": VAL,
    "train2014/one.jpg": "-",
    "train2014/two.jpg": "-",
    "val2014/three.jpg": "-",
}


def test_the_official_files(write_files):
    folder = write_files(OFFICIAL)
    source = read_coco(folder)
    assert [(e.image_id, e.split, e.captions) for e in source.entries] == [
        ("1", "train", ("A cat.", "The cat")),
        ("2", "train", ("A dog.",)),
        ("3", "eval", ("A bird.",)),
    ]
    assert source.entries[2].image.path == str(folder / "val2014" / "three.jpg")
    assert (source.captions_read, source.rejections) == (4, [])


def test_karpathys_splits_win(write_files):
    names = {"one.jpg": "restval", "two.jpg": "test", "three.jpg": "val"}
    karpathy = {"images": [{"filename": name, "split": split} for name, split in names.items()]}
    source = read_coco(write_files(OFFICIAL | {"dataset_coco.json": json.dumps(karpathy)}))
    assert [entry.split for entry in source.entries] == ["train", "test", "eval"]


def test_annotations_of_ones_own_are_split_by_id(write_files):
    folder = write_files({"mine.json": TRAIN, "pictures/one.jpg": "-", "pictures/two.jpg": "-"})
    source = read_coco(folder, [folder / "mine.json"], folder / "pictures")
    assert {e.image_id: e.split for e in source.entries} == {n: split_by_hash(n) for n in "12"}
    assert source.entries[0].image.path == str(folder / "pictures" / "one.jpg")


def test_what_is_wrong_is_set_aside(write_files):
    text = annotations(
        {1: "one.jpg", 4: "four.jpg"},
        [(1, "A cat."), (1, " "), (9, "Of no image."), (1, "half a \ud83d pair")],
    )
    source = read_coco(write_files({"captions_train2014.json": text, "captions_val2014.json": TRAIN}))
    assert [(r.reason, r.path) for r in source.rejections] == [
        (Reason.EMPTY_CAPTION, "captions_train2014.json:annotations[1]"),
        (Reason.BAD_ROW, "captions_train2014.json:annotations[2]"),
        (Reason.CAPTION_NOT_UTF8, "captions_train2014.json:annotations[3]"),
        (Reason.DUPLICATE_ID, "captions_val2014.json"),
        (Reason.BAD_ROW, "captions_val2014.json:annotations[0]"),
        (Reason.BAD_ROW, "captions_val2014.json:annotations[1]"),
        (Reason.NO_CAPTIONS, source.rejections[6].path),
    ]
    assert source.rejections[6].path.endswith("four.jpg")
    assert [entry.image_id for entry in source.entries] == ["1", "2"]


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({"one.jpg": "-"}, "lacks the captions"),
        ({"captions_val2017.json": "[]"}, "not a COCO captions file"),
        ({"captions_val2017.json": "{"}, "not a COCO captions file"),
    ],
)
def test_other_folders_are_refused(write_files, files, complaint):
    with pytest.raises(UserError, match=complaint):
        read_coco(write_files(files))


def test_objects_and_people_are_counted_where_instances_are_known(write_files):
    marks = [{"image_id": 1, "category_id": category} for category in (1, 1, 18)]
    marks.append({"image_id": 2, "category_id": 1, "iscrowd": 1})
    instances = {"annotations/instances_train2014.json": json.dumps({"annotations": marks})}
    source = read_coco(write_files(OFFICIAL | instances))
    assert {entry.image_id: (entry.objects, entry.people) for entry in source.entries} == {
        "1": (3, 2),
        "2": (11, 11),  # a crowd is more than ten
        "3": (None, None),  # of val there is no such file
    }


def test_a_broken_instances_file_is_named(write_files):
    folder = write_files(OFFICIAL | {"annotations/instances_train2014.json": '{"annotations": [{}]}'})
    with pytest.raises(
        UserError, match=r"instances_train2014.json is not a COCO instances file.*Move it away"
    ):
        read_coco(folder)
