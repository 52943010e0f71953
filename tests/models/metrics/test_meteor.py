"""METEOR runs where Java and its archive are, and says plainly why it does not elsewhere."""

import pathlib
import shutil

import pytest

from models.metrics import meteor

available = isinstance(meteor.find(), pathlib.Path)


def test_without_java_it_is_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    found = meteor.meteor([[("a",)]], [[("a",)]])
    assert isinstance(found, meteor.Unavailable)
    assert "Java was not found" in found.reason


def test_without_its_archive_it_is_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/java")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    found = meteor.meteor([[("a",)]], [[("a",)]])
    assert isinstance(found, meteor.Unavailable)
    assert "extra 'meteor'" in found.reason


def test_a_program_that_ends_early_is_no_crash(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\nexit 1\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(meteor, "find", lambda: tmp_path / "meteor.jar")
    found = meteor.meteor([[("a",)]], [[("a",)]])
    assert isinstance(found, meteor.Unavailable)
    assert "ended early" in found.reason


def test_a_java_that_cannot_be_started_is_no_crash(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    monkeypatch.setattr(meteor, "find", lambda: tmp_path / "nowhere" / "meteor.jar")
    found = meteor.meteor([[("a",)]], [[("a",)]])
    assert isinstance(found, meteor.Unavailable)
    assert "Java could not be started" in found.reason


@pytest.mark.skipif(not available, reason="METEOR needs Java and the extra 'meteor'")
def test_each_system_is_scored_as_if_it_were_alone() -> None:
    references = [[("a", "dog", "runs"), ("the", "dog", "is", "running")], [("two", "|||", "men")]]
    good, bad, empty = [("a", "dog", "runs"), ("two", "men")], [("a", "cat"), ("women",)], [(), ()]
    together = meteor.meteor([good, bad, empty], references)
    assert isinstance(together, list)
    assert together == [meteor.meteor([system], references)[0] for system in (good, bad, empty)]
    assert together[0] > 0.9 > together[1] > together[2] == 0
