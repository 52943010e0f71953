"""Files of captions and references: what is read, and that no corpus becomes smaller in silence."""

import json
import pathlib
from typing import Any

import pytest

from models.metrics.files import pair, read_captions, read_references


def written(tmp_path: pathlib.Path, content: Any) -> pathlib.Path:
    path = tmp_path / "file.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_cocos_annotations_are_read(tmp_path: pathlib.Path) -> None:
    rows = [{"image_id": 7, "id": n, "caption": text} for n, text in enumerate(("a dog", "The dog."))]
    path = written(tmp_path, {"images": [], "annotations": rows})
    assert read_references(path) == {"7": ["a dog", "The dog."]}


def test_lists_by_id_are_read(tmp_path: pathlib.Path) -> None:
    assert read_references(written(tmp_path, {"a": ["x", "y"]})) == {"a": ["x", "y"]}


def test_cocos_results_are_read(tmp_path: pathlib.Path) -> None:
    rows = [{"image_id": 7, "caption": "a dog"}, {"image_id": "b", "caption": ""}]
    assert read_captions(written(tmp_path, rows)) == {"7": "a dog", "b": ""}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "expected JSON"),
        ([1], "expected COCO's annotation format"),
        ({"a": "a dog"}, "expected a list of references for image a; got str"),
        ({"a": ["a dog", 3]}, "expected a string as caption of image a; got int"),
        ({"a": [" "]}, "a reference of image a is empty"),
        ({"a": []}, "expected a list of references for image a; got an empty one"),
        ('{"a": ["x"], "a": ["y"]}', "these keys are there several times: a"),
        ({"annotations": {}}, "expected a list of objects with image_id and caption; got dict"),
        ({"annotations": [{"image_id": 1}]}, "as row 0"),
        ({"annotations": [{"image_id": None, "caption": "x"}]}, "expected a number or a string as image_id"),
    ],
)
def test_references_of_another_form_are_refused(tmp_path: pathlib.Path, content: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_references(written(tmp_path, content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("nothing", "expected JSON"),
        ('{"a": "x", "a": "y"}', "these keys are there several times: a"),
        ("null", "expected COCO's result format, a list; got null"),
        ({"a": None}, "expected a string as caption of image a; got null"),
        (
            [{"image_id": 1, "caption": "x"}, {"image_id": "1", "caption": "y"}],
            "expected one caption an image; 1 images have several: 1",
        ),
    ],
)
def test_captions_of_another_form_are_refused(tmp_path: pathlib.Path, content: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_captions(written(tmp_path, content))


def test_bytes_that_are_no_text_are_refused(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(b'{"a": "\xff\xfe"}')
    with pytest.raises(ValueError, match="expected JSON"):
        read_captions(path)


def test_captions_and_references_are_paired_by_id_whatever_their_order() -> None:
    captions = {"b": "two", "a": "one"}
    assert pair(captions, {"a": ["1"], "b": ["2"]}) == (["one", "two"], [["1"], ["2"]])


def test_a_caption_of_an_unknown_image_is_refused() -> None:
    with pytest.raises(ValueError, match="1 of 2 captions are of images without references: z"):
        pair({"a": "one", "z": "?"}, {"a": ["1"]})
    with pytest.raises(ValueError, match="images without references: a"):
        pair({"a": "one"}, {"a": []})


def test_an_image_without_a_caption_is_refused_unless_a_subset_is_asked_for() -> None:
    references = {"a": ["1"], "b": ["2"]}
    with pytest.raises(ValueError, match=r"1 of 2 images have references and no caption: b.*--subset"):
        pair({"a": "one"}, references)
    assert pair({"a": "one"}, references, subset=True) == (["one"], [["1"]])
    with pytest.raises(ValueError, match="no image with both"):
        pair({}, references, subset=True)
