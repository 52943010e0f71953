"""`captioner metrics` on COCO's file formats."""

import json
import pathlib

import pytest

from models.metrics import meteor
from models.metrics.scores import score_captions
from pipeline import cli

REFERENCES = {
    "annotations": [{"image_id": 1, "caption": "A dog runs."}, {"image_id": 2, "caption": "Two cats."}]
}
CAPTIONS = [{"image_id": 2, "caption": "two cats sleep"}, {"image_id": 1, "caption": "a dog runs"}]


@pytest.fixture(autouse=True)
def without_java(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meteor, "find", lambda: meteor.Unavailable("Java was not found"))


@pytest.fixture
def files(tmp_path: pathlib.Path) -> list[str]:
    (tmp_path / "refs.json").write_text(json.dumps(REFERENCES))
    (tmp_path / "hyps.json").write_text(json.dumps(CAPTIONS))
    return ["metrics", "--references", str(tmp_path / "refs.json"), "--captions", str(tmp_path / "hyps.json")]


def test_the_numbers_are_those_of_the_metrics(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*files, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    expected = score_captions(["a dog runs", "two cats sleep"], [["A dog runs."], ["Two cats."]])
    assert {key: found[key] for key in expected} == expected
    assert (found["images"], found["images_left_out"]) == (2, 0)
    assert (found["meteor"], found["meteor_not_computed"]) == (None, "Java was not found")


def test_a_person_reads_names_and_what_was_not_computed(
    files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*files, "--training", files[2]]) == 0
    said = capsys.readouterr().out
    assert "CIDEr-D" in said
    assert "METEOR                      not computed: Java was not found" in said
    assert "Share of novel captions     0.5000" in said


def test_a_smaller_corpus_must_be_asked_for(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    pathlib.Path(files[4]).write_text(json.dumps(CAPTIONS[:1]))
    assert cli.main(files) == 1
    assert "1 of 2 images have references and no caption: 1" in capsys.readouterr().err
    assert cli.main([*files, "--subset"]) == 0
    assert capsys.readouterr().out.startswith("1 images without a caption were left out.")


def test_a_missing_file_is_named(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    files[2] = "nowhere.json"
    assert cli.main(files) == 1
    assert "nowhere.json" in capsys.readouterr().err
