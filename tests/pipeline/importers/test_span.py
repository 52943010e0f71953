"""Span folders appear whole or not at all."""

import pathlib
import signal
import subprocess
import sys

import pytest

from pipeline.errors import UserError
from pipeline.importers.span import choose_span, existing_spans, new_span


def make_span(data: pathlib.Path, wanted: str = "next") -> int:
    with new_span(data, wanted) as (folder, number):
        (folder / "file").write_text(f"of {number}")
    return number


def test_spans_count_up_from_one(tmp_path):
    assert [make_span(tmp_path / "data") for _ in range(3)] == [1, 2, 3]
    assert existing_spans(tmp_path / "data") == [1, 2, 3]
    assert (tmp_path / "data" / "span-0002" / "file").read_text() == "of 2"


def test_a_wanted_number_is_taken_and_next_follows_the_highest(tmp_path):
    assert make_span(tmp_path, "12") == 12
    assert make_span(tmp_path) == 13


def test_an_existing_span_is_an_error_with_a_remedy(tmp_path):
    make_span(tmp_path, "3")
    with pytest.raises(UserError, match=r"span-0003 exists.*--span 4"):
        make_span(tmp_path, "3")
    assert (tmp_path / "span-0003" / "file").read_text() == "of 3"


@pytest.mark.parametrize("wanted", ["0", "-1", "two", ""])
def test_other_numbers_are_refused(tmp_path, wanted):
    with pytest.raises(UserError, match="--span must be"):
        choose_span(tmp_path, wanted)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_nothing(tmp_path, error):
    def fail(folder: pathlib.Path) -> None:
        (folder / "file").write_text("half")
        raise error

    with pytest.raises(error), new_span(tmp_path / "new" / "data", "next") as (folder, _):
        fail(folder)
    assert list(tmp_path.iterdir()) == []


def test_an_error_spares_what_was_there(tmp_path):
    make_span(tmp_path)
    with pytest.raises(ValueError, match="stop"), new_span(tmp_path, "next"):
        raise ValueError("stop")
    assert [path.name for path in tmp_path.iterdir()] == ["span-0001"]


KILLED = """
import os, pathlib, signal, sys
from pipeline.importers.span import new_span
with new_span(pathlib.Path(sys.argv[1]), "next") as (folder, _):
    (folder / "file").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_import_leaves_no_span_and_does_not_stand_in_the_way(tmp_path):
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert existing_spans(tmp_path) == []
    assert list(tmp_path.glob("span-*")) == []
    assert make_span(tmp_path) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["span-0001"]


def test_two_imports_at_once_are_refused(tmp_path):
    with new_span(tmp_path, "next"), pytest.raises(UserError, match="Another import"):
        make_span(tmp_path)
    assert existing_spans(tmp_path) == [1]


def test_a_file_in_place_of_the_folder(tmp_path):
    (tmp_path / "data").write_text("")
    with pytest.raises(UserError, match="Cannot write"):
        make_span(tmp_path / "data")
