"""The AtomicPusher: a version is there as a whole or not at all."""

import pathlib

import pytest
from tfx.types import standard_artifacts, standard_component_specs

from components.pusher import executor


def _push(
    tmp_path: pathlib.Path, blessed: bool, graph: bytes = b"graph", canary: bool = False, force: bool = False
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
            executor.SERVING_DIR: str(tmp_path / "serving"),
            executor.CANARY: int(canary),
            executor.FORCE: int(force),
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


def test_a_version_never_shows_while_it_is_copied(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    def copy_and_die(source: str, target: str, **_: object) -> None:
        pathlib.Path(target).mkdir(parents=True)
        raise KeyboardInterrupt  # as a kill in the middle of the copy

    monkeypatch.setattr(executor.executor.io_utils, "copy_dir", copy_and_die)
    with pytest.raises(KeyboardInterrupt):
        _push(tmp_path, blessed=True)
    assert not [path for path in (tmp_path / "serving").iterdir() if path.name.isdecimal()]

    monkeypatch.undo()
    _push(tmp_path, blessed=True)
    (version,) = (tmp_path / "serving").iterdir()
    assert version.name.isdecimal(), "what the killed push left is cleaned up"


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
