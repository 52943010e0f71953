"""Files that are read again when they change."""

import os
import pathlib

import pytest

from serving import watching


@pytest.fixture(autouse=True)
def looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_LOOK_S", 0.0)


def test_each_change_is_told_once(tmp_path: pathlib.Path):
    file = tmp_path / "file"
    file.write_text("one")
    watch = watching.Watch(str(file))
    assert not watch.changed()
    file.write_text("another")
    assert watch.changed()
    assert not watch.changed()


def test_a_file_renamed_into_place_has_changed_though_its_time_and_size_are_the_same(tmp_path: pathlib.Path):
    file, other = tmp_path / "file", tmp_path / "other"
    file.write_text("one")
    os.utime(file, (1, 1))
    watch = watching.Watch(str(file))
    other.write_text("two")
    os.utime(other, (1, 1))
    other.rename(file)
    assert watch.changed()


def test_a_file_that_goes_and_comes_has_changed_twice(tmp_path: pathlib.Path):
    files = [tmp_path / "one", tmp_path / "two"]
    for file in files:
        file.write_text("text")
    watch = watching.Watch(*map(str, files))
    files[1].unlink()
    assert watch.changed()
    files[1].write_text("text")
    assert watch.changed()


def test_it_looks_at_most_once_a_second(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(watching, "_LOOK_S", 1.0)
    now = [10.0]
    monkeypatch.setattr(watching.time, "monotonic", lambda: now[0])
    watch = watching.Watch(str(tmp_path / "file"))
    (tmp_path / "file").write_text("text")
    assert not watch.changed()
    now[0] += 1
    assert watch.changed()
