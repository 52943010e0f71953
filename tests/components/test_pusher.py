"""The AtomicPusher: a version is there as a whole or not at all."""

import os
import pathlib
import shutil
import time
from collections.abc import Iterator

import pytest
from tfx.types import standard_artifacts, standard_component_specs

from components.baseline import in_service
from components.pusher import executor, moving


def _push(
    tmp_path: pathlib.Path,
    blessed: bool,
    graph: bytes = b"graph",
    canary: bool = False,
    force: bool = False,
    keep: int = 0,
    alone: bool = False,
    serving: pathlib.Path | None = None,
) -> standard_artifacts.PushedModel:
    model, blessing = standard_artifacts.Model(), standard_artifacts.ModelBlessing()
    pushed = standard_artifacts.PushedModel()
    model.uri, blessing.uri, pushed.uri = (str(tmp_path / name) for name in ("model", "blessing", "pushed"))
    saved_model = tmp_path / "model" / "Format-Serving"
    (saved_model / "variables").mkdir(parents=True, exist_ok=True)
    (saved_model / "saved_model.pb").write_bytes(graph)
    (saved_model / "variables" / "variables.index").write_bytes(b"weights")
    (tmp_path / "pushed").mkdir(exist_ok=True)
    blessing.set_int_custom_property("blessed", int(blessed))
    executor.Executor().Do(
        {
            standard_component_specs.MODEL_KEY: [model],
            standard_component_specs.MODEL_BLESSING_KEY: [blessing],
        },
        {standard_component_specs.PUSHED_MODEL_KEY: [pushed]},
        {
            executor.SERVING_DIR: str(serving or tmp_path / "serving"),
            executor.CANARY: int(canary),
            executor.FORCE: int(force),
            executor.KEEP: keep,
            executor.ALONE: int(alone),
        },
    )
    return pushed


def test_a_blessed_model_becomes_a_numbered_version(tmp_path: pathlib.Path):
    pushed = _push(tmp_path, blessed=True)
    (version,) = (tmp_path / "serving").iterdir()
    assert version.name.isdecimal()
    assert (version / "saved_model.pb").read_bytes() == b"graph"
    assert (version / "variables" / "variables.index").read_bytes() == b"weights"
    assert pushed.get_string_custom_property("pushed_destination") == str(version)


def test_a_model_that_is_not_blessed_leaves_the_serving_folder_alone(tmp_path: pathlib.Path):
    pushed = _push(tmp_path, blessed=False)
    assert pushed.get_int_custom_property("pushed") == 0
    assert not list(tmp_path.glob("serving/*"))


@pytest.mark.parametrize("alone", [True, False])
def test_a_version_never_shows_while_it_is_copied(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, alone: bool
):
    def copy_and_die(source: str, target: str, **_: object) -> None:
        pathlib.Path(target).mkdir(parents=True)
        raise KeyboardInterrupt  # as a kill in the middle of the copy

    monkeypatch.setattr(executor.executor.io_utils, "copy_dir", copy_and_die)
    with pytest.raises(KeyboardInterrupt):
        _push(tmp_path, blessed=True)
    assert not [path for path in (tmp_path / "serving").iterdir() if path.name.isdecimal()]

    monkeypatch.undo()
    _push(tmp_path, blessed=True)
    left, version = sorted((tmp_path / "serving").iterdir())
    assert version.name.isdecimal()
    assert left.is_dir(), "it may be another push that is under way"
    if not alone:
        later = time.time() + 2 * 3600
        monkeypatch.setattr(moving.time, "time", lambda: later)
    _push(tmp_path, blessed=True, graph=b"another", alone=alone)
    assert not left.exists(), "what the killed push left is cleaned up"


def test_two_pushes_at_once_do_not_meet(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    copy = executor.executor.io_utils.copy_dir

    def copy_while_another_pushes(source: str, target: str, **options: list[str]) -> None:
        copy(source, target, **options)
        monkeypatch.setattr(executor.executor.io_utils, "copy_dir", copy)
        _push(tmp_path / "other", blessed=True, graph=b"another", serving=tmp_path / "serving")

    monkeypatch.setattr(executor.executor.io_utils, "copy_dir", copy_while_another_pushes)
    _push(tmp_path, blessed=True)
    graphs = {path.read_bytes() for path in tmp_path.glob("serving/*/saved_model.pb")}
    assert graphs == {b"graph", b"another"}


def test_versions_go_up_though_a_clock_goes_back(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    for folder, version in (("serving", 10), ("serving-canary", 11), ("serving-rolled-back", 12)):
        (tmp_path / folder / str(version)).mkdir(parents=True)
        (tmp_path / folder / str(version) / "saved_model.pb").write_bytes(b"old")
    monkeypatch.setattr(executor.executor.time, "time", lambda: 5.0)
    pushed = _push(tmp_path, blessed=True)
    assert pushed.get_string_custom_property("pushed_version") == "13", "no number stands for two models"
    assert (tmp_path / "serving" / "13" / "saved_model.pb").read_bytes() == b"graph"


def test_a_canary_lies_where_no_server_takes_it_for_everybody(tmp_path: pathlib.Path):
    first = _push(tmp_path, blessed=True, canary=True)
    assert first.get_string_custom_property("pushed_destination").startswith(f"{tmp_path}/serving/")
    second = _push(tmp_path, blessed=True, graph=b"another", canary=True)
    version = second.get_string_custom_property("pushed_version")
    assert [path.name for path in (tmp_path / "serving-canary").iterdir()] == [version]
    assert [path.read_bytes() for path in tmp_path.glob("serving/*/saved_model.pb")] == [b"graph"]


def test_a_model_in_service_or_on_trial_is_not_pushed_again(tmp_path: pathlib.Path):
    for graph in (b"graph", b"another"):
        first = _push(tmp_path, blessed=True, graph=graph, canary=True)
        again = _push(tmp_path, blessed=True, graph=graph)
        assert again.get_int_custom_property("pushed_before") == 1
        for key in ("pushed_destination", "pushed_version"):
            assert again.get_string_custom_property(key) == first.get_string_custom_property(key)
    assert len(list(tmp_path.glob("serving*/*/saved_model.pb"))) == 2


def test_a_rolled_back_model_is_pushed_again_only_by_force(tmp_path: pathlib.Path):
    _push(tmp_path, blessed=True, graph=b"first")
    bad = _push(tmp_path, blessed=True, graph=b"bad").get_string_custom_property("pushed_version")
    (tmp_path / "serving-rolled-back").mkdir()
    (tmp_path / "serving" / bad).rename(tmp_path / "serving-rolled-back" / bad)
    refused = _push(tmp_path, blessed=True, graph=b"bad")
    assert refused.get_int_custom_property("pushed") == 0
    assert refused.get_string_custom_property("rolled_back_version") == bad
    assert _push(tmp_path, blessed=True, graph=b"good").get_int_custom_property("pushed") == 1
    forced = _push(tmp_path, blessed=True, graph=b"bad", force=True)
    assert forced.get_int_custom_property("pushed") == 1
    assert int(forced.get_string_custom_property("pushed_version")) > int(bad)


def test_force_does_not_push_what_was_not_blessed(tmp_path: pathlib.Path):
    assert _push(tmp_path, blessed=False, force=True).get_int_custom_property("pushed") == 0


def _versions(folder: pathlib.Path) -> list[bytes]:
    """The graphs of the versions, the oldest first."""
    paths = sorted(folder.glob("*/saved_model.pb"), key=lambda path: int(path.parent.name))
    return [path.read_bytes() for path in paths]


def test_only_the_newest_versions_are_kept(tmp_path: pathlib.Path):
    for graph in (b"1", b"2", b"3"):
        _push(tmp_path, blessed=True, graph=graph, keep=2)
    assert _versions(tmp_path / "serving") == [b"2", b"3"]
    (tmp_path / "serving" / "1" / "variables").mkdir(parents=True)  # of a removal that was killed
    _push(tmp_path, blessed=True, graph=b"4", keep=2)
    assert _versions(tmp_path / "serving") == [b"3", b"4"]
    assert not (tmp_path / "serving" / "1").exists()


def test_the_version_that_was_in_service_is_kept_for_a_rollback(tmp_path: pathlib.Path):
    for graph in (b"1", b"2", b"3"):
        _push(tmp_path, blessed=True, graph=graph, keep=1)
    assert _versions(tmp_path / "serving") == [b"2", b"3"]


def test_canaries_are_counted_apart(tmp_path: pathlib.Path):
    for graph in (b"1", b"2", b"3"):
        _push(tmp_path, blessed=True, graph=graph, keep=1, canary=True)
    assert _versions(tmp_path / "serving") == [b"1"]
    assert _versions(tmp_path / "serving-canary") == [b"3"]


@pytest.fixture
def bucket(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """What `test://` names: as a bucket, it has no folders and renames files one by one, in any order."""

    def local(path: str) -> pathlib.Path:
        return pathlib.Path(str(path).replace("test://", f"{tmp_path}/"))

    class Bucket:
        exists = staticmethod(lambda path: local(path).exists())
        rmtree = staticmethod(lambda path: shutil.rmtree(local(path)))

        @staticmethod
        def makedirs(path: str) -> None:
            local(path).mkdir(parents=True, exist_ok=True)

        @staticmethod
        def rename(source: str, target: str, overwrite: bool = False) -> None:
            assert local(source).is_file(), "a folder is nothing that can be renamed at once"
            local(source).rename(local(target))

        @staticmethod
        def walk(top: str) -> Iterator[tuple[str, list[str], list[str]]]:
            for folder, names, files in os.walk(local(top)):
                yield folder.replace(f"{tmp_path}/", "test://"), names, files

    monkeypatch.setattr(moving, "fileio", Bucket)
    return tmp_path


def _model(folder: pathlib.Path) -> None:
    (folder / "variables").mkdir(parents=True)
    for name in ("a", "saved_model.pb", "variables/variables.index", "zz"):
        (folder / name).write_text(name)


def test_in_a_bucket_a_version_is_whole_when_it_can_be_seen(
    bucket: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    _model(bucket / "aside" / "7")
    moved, rename = [], moving.fileio.rename

    def note(source: str, target: str, **options: bool) -> None:
        moved.append(os.path.basename(target))
        assert not in_service.versions(str(bucket / "serving")), "not before the last file"
        rename(source, target, **options)

    monkeypatch.setattr(moving.fileio, "rename", note)
    moving.into_place("test://aside/7", "test://serving/7")
    assert moved[-1] == "saved_model.pb"
    assert sorted(moved) == ["a", "saved_model.pb", "variables.index", "zz"]
    assert in_service.versions(str(bucket / "serving")) == ["7"]
    assert (bucket / "serving" / "7" / "variables" / "variables.index").exists()
    assert not (bucket / "aside" / "7").exists()
