"""The AtomicPusher: a version is there as a whole or not at all."""

import pathlib

import pytest
from tfx.proto import pusher_pb2
from tfx.types import standard_artifacts, standard_component_specs
from tfx.utils import proto_utils

from components.pusher import executor


def _push(tmp_path: pathlib.Path, blessed: bool) -> standard_artifacts.PushedModel:
    model, blessing = standard_artifacts.Model(), standard_artifacts.ModelBlessing()
    pushed = standard_artifacts.PushedModel()
    model.uri, blessing.uri, pushed.uri = (str(tmp_path / name) for name in ("model", "blessing", "pushed"))
    saved_model = tmp_path / "model" / "Format-Serving"
    (saved_model / "variables").mkdir(parents=True, exist_ok=True)
    (saved_model / "saved_model.pb").write_bytes(b"graph")
    (saved_model / "variables" / "variables.index").write_bytes(b"weights")
    (tmp_path / "pushed").mkdir(exist_ok=True)
    blessing.set_int_custom_property("blessed", int(blessed))
    destination = pusher_pb2.PushDestination(
        filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=str(tmp_path / "serving"))
    )
    executor.Executor().Do(
        {
            standard_component_specs.MODEL_KEY: [model],
            standard_component_specs.MODEL_BLESSING_KEY: [blessing],
        },
        {standard_component_specs.PUSHED_MODEL_KEY: [pushed]},
        {standard_component_specs.PUSH_DESTINATION_KEY: proto_utils.proto_to_json(destination)},
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
