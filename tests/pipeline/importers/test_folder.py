"""Reading a folder of images with a table of captions."""

import json

import pytest

from pipeline.errors import UserError
from pipeline.importers.folder import read_folder
from pipeline.importers.records import Reason, split_by_hash

IMAGES = {"a.jpg": "-", "sub/b.png": "-"}


def captions(source):
    return {entry.image_id: entry.captions for entry in source.entries}


def reasons(source):
    return [(rejection.reason, rejection.path) for rejection in source.rejections]


def test_csv_rows_of_a_file_are_its_captions(write_files):
    table = 'file,caption\na.jpg,"A cat, asleep"\nsub/b.png,A dog\na.jpg,"Two\nlines"\n'
    source = read_folder(write_files(IMAGES | {"captions.csv": table}))
    assert captions(source) == {"a.jpg": ("A cat, asleep", "Two\nlines"), "sub/b.png": ("A dog",)}
    assert {e.image_id: e.split for e in source.entries} == {n: split_by_hash(n) for n in IMAGES}
    assert source.rejections == []


def test_jsonl_does_the_same(write_files):
    rows = [{"file": "a.jpg", "caption": "A cat"}, {"file": "./sub//b.png", "caption": "Ein Hündchen"}]
    table = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    source = read_folder(write_files(IMAGES | {"captions.jsonl": table}))
    assert captions(source) == {"a.jpg": ("A cat",), "sub/b.png": ("Ein Hündchen",)}


def test_a_split_column_decides(write_files):
    table = "File, Caption, Split\na.jpg,A cat,test\nsub/b.png,A dog,val\na.jpg,Same cat,test\n"
    source = read_folder(write_files(IMAGES | {"captions.csv": table}))
    assert {e.image_id: e.split for e in source.entries} == {"a.jpg": "test", "sub/b.png": "eval"}


def test_bad_csv_rows_cost_only_themselves(write_files):
    table = (
        b"file,caption,split\n"
        b"a.jpg,A cat,\n"
        b"a.jpg,caf\xe9,\n"
        b"a.jpg, ,\n"
        b"a.jpg\n"
        b",no file,\n"
        b"a.jpg,one,train,too many\n"
        b"a.jpg,odd split,holdout\n"
        b"../c.jpg,outside,\n"
        b"/etc/c.jpg,outside,\n"
        b"gone.jpg,not there,\n"
    )
    source = read_folder(write_files(IMAGES | {"captions.csv": table}))
    assert captions(source) == {"a.jpg": ("A cat",)}
    assert reasons(source) == [
        (Reason.CAPTION_NOT_UTF8, "captions.csv:3"),
        (Reason.EMPTY_CAPTION, "captions.csv:4"),
        (Reason.BAD_ROW, "captions.csv:5"),
        (Reason.BAD_ROW, "captions.csv:6"),
        (Reason.BAD_ROW, "captions.csv:7"),
        (Reason.BAD_ROW, "captions.csv:8"),
        (Reason.OUTSIDE_FOLDER, "captions.csv:9"),
        (Reason.OUTSIDE_FOLDER, "captions.csv:10"),
        (Reason.MISSING_IMAGE, "gone.jpg"),
        (Reason.NO_CAPTIONS, source.rejections[-1].path),
    ]
    assert source.rejections[-1].image_id == "sub/b.png"


def test_bad_json_rows_cost_only_themselves(write_files):
    rows = ['{"file": "a.jpg", "caption": "A cat"}', "{", "[]", '{"file": 1, "caption": "x"}']
    rows.append('{"file": "a.jpg", "caption": "x", "split": [1]}')
    source = read_folder(write_files({"a.jpg": "-", "captions.jsonl": "\n".join(rows)}))
    assert captions(source) == {"a.jpg": ("A cat",)}
    assert reasons(source) == [(Reason.BAD_ROW, f"captions.jsonl:{line}") for line in (2, 3, 4, 5)]


def test_an_image_stays_in_one_split(write_files):
    table = "file,caption,split\na.jpg,A cat,train\na.jpg,The cat,test\n"
    source = read_folder(write_files({"a.jpg": "-", "captions.csv": table}))
    assert [(e.split, e.captions) for e in source.entries] == [("train", ("A cat",))]
    assert reasons(source) == [(Reason.BAD_ROW, "captions.csv:3")]


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        (IMAGES, "found none"),
        ({"one.csv": "", "two.jsonl": ""}, r"found one\.csv, two\.jsonl"),
        ({"captions.csv": "a.jpg,A cat\n"}, "must start with a header"),
        ({"captions.csv": ""}, "must start with a header"),
    ],
)
def test_other_folders_are_refused(write_files, files, complaint):
    with pytest.raises(UserError, match=complaint):
        read_folder(write_files(files))


def test_the_table_can_be_named(write_files):
    folder = write_files(IMAGES | {"one.csv": "file,caption\na.jpg,A cat\n", "two.csv": ""})
    assert captions(read_folder(folder, folder / "one.csv")) == {"a.jpg": ("A cat",)}
