"""`captioner spans`: what there is and why, and a person's word."""

import json
import pathlib

import pytest

from components.span_example_gen import executor, records, spans
from pipeline import cli
from pipeline.paths import Paths


@pytest.fixture
def data(tmp_path: pathlib.Path) -> pathlib.Path:
    for number in (1, 2, 3):
        folder = tmp_path / "data" / f"span-{number:04}"
        folder.mkdir(parents=True)
        (folder / "train-00000-of-00001.tfrecord.gz").write_text(f"pictures {number}")
    return tmp_path / "data"


@pytest.fixture
def root(tmp_path: pathlib.Path, data: pathlib.Path) -> pathlib.Path:
    """The first two spans are judged, the second is refused."""
    kept = Paths(str(tmp_path / "root")).spans
    first, second, _ = spans.find(str(data))
    at = "2026-03-01T06:07:08Z"
    records.write(
        kept,
        first,
        records.Record(1, first.digest, "accepted", warnings=("It is [dark].",), images=9, checked_at=at),
    )
    records.write(kept, second, records.Record(2, second.digest, "refused", reasons=("It is torn.",)))
    return tmp_path / "root"


def spans_command(root: pathlib.Path, data: pathlib.Path, *arguments: str) -> int:
    return cli.main(["spans", *arguments, "--root", str(root), "--data", str(data)])


def test_spans_are_listed_with_their_state_and_why(root, data, capfd) -> None:
    assert spans_command(root, data) == 0
    shown = capfd.readouterr().out
    lines = [line.split() for line in shown.splitlines()]
    assert ["1", "accepted", "9", "0", "2026-03-01", "06:07"] in lines
    assert ["3", "new"] in lines
    assert "span 2: refused: It is torn." in shown
    assert "span 1: note: It is [dark]." in shown
    assert "judged by the next 'captioner run'" in shown


def test_each_is_an_object_in_json(root, data, capfd) -> None:
    assert spans_command(root, data, "--json") == 0
    listed = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [each["state"] for each in listed] == ["accepted", "refused", "new"]
    assert listed[1]["reasons"] == ["It is torn."]


def test_a_persons_word_is_kept_and_the_next_run_follows(root, data, capfd) -> None:
    kept = Paths(str(root)).spans
    planned = executor.identify(str(data), kept)
    assert spans_command(root, data, "accept", "2", "--reason", "the copy is whole") == 0
    assert "span-0002 was refused and is accepted: the copy is whole" in capfd.readouterr().out
    assert executor.identify(str(data), kept) != planned, "no run of before is repeated from the cache"
    assert [each.state for each in records.read(kept, spans.find(str(data)))] == [
        "accepted",
        "accepted",
        "new",
    ]
    assert spans_command(root, data) == 0
    shown = capfd.readouterr().out
    assert "accepted, by a person" in shown
    assert "the copy is whole" in shown
    assert "span 2: found: It is torn." in shown


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["accept", "7", "--reason", "x"], "there is no span 7; there are 1, 2, 3"),
        (["refuse"], "none is given; there are 1, 2, 3"),
        (["refuse", "1"], "say why"),
    ],
)
def test_what_is_missing_is_told(root, data, capfd, arguments, told) -> None:
    assert spans_command(root, data, *arguments) == 1
    assert told in capfd.readouterr().err


def test_a_folder_that_is_not_there_is_told(root, tmp_path, capfd) -> None:
    assert spans_command(root, tmp_path / "nowhere") == 1
    assert "there is no folder" in capfd.readouterr().err
