"""The store of a run on this machine: a task finds its inputs, and leaves the files of its outputs."""

import pathlib

import pytest
from kfp.pipeline_spec import pipeline_spec_pb2

from pipeline import kubeflow_entrypoint
from pipeline.kubeflow_store import Store

ROOT = "minio://bucket/runs"


def artifact(name: str) -> pipeline_spec_pb2.RuntimeArtifact:
    return pipeline_spec_pb2.RuntimeArtifact(uri=f"{ROOT}/{name}")


@pytest.fixture
def container(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """The folder of the artifacts in a task's container."""
    monkeypatch.setitem(kubeflow_entrypoint._LAUNCHER_FOLDERS, "minio://", f"{tmp_path}/minio/")
    return tmp_path / "minio" / "bucket" / "runs"


@pytest.fixture
def store(container: pathlib.Path, tmp_path: pathlib.Path) -> Store:
    """Holds the outputs `model`, with a file in a folder and an empty folder, and `log`, which is a file."""
    store = Store(ROOT, tmp_path / "store")
    (container / "model" / "variables").mkdir(parents=True)
    (container / "model" / "variables" / "index").write_text("weights")
    (container / "model" / "empty").mkdir()
    (container / "log").write_text("line")
    store.upload([artifact("model"), artifact("log"), artifact("nothing")])
    return store


def test_the_files_of_outputs_are_kept_and_empty_folders_are_not(store: Store):
    assert (store.path(f"{ROOT}/model") / "variables" / "index").read_text() == "weights"
    assert store.path(f"{ROOT}/log").read_text() == "line"
    assert not (store.path(f"{ROOT}/model") / "empty").exists()


def test_the_next_task_finds_its_inputs_and_nothing_else(store: Store, container: pathlib.Path):
    store.download([artifact("model"), artifact("nothing")])
    assert [str(path.relative_to(container)) for path in sorted(container.rglob("*")) if path.is_file()] == [
        "model/variables/index"
    ]


def test_what_a_task_does_to_its_inputs_is_not_kept(store: Store, container: pathlib.Path):
    store.download([artifact("model")])
    (container / "model" / "variables" / "index").write_text("spoilt")
    store.download([artifact("model")])
    assert (container / "model" / "variables" / "index").read_text() == "weights"


def test_a_root_that_is_a_folder_is_left_to_the_tasks(tmp_path: pathlib.Path):
    store = Store(str(tmp_path), tmp_path / "store")
    (tmp_path / "model").write_text("weights")
    store.upload([artifact("model")])
    store.download([])
    assert (tmp_path / "model").read_text() == "weights"
    assert not (tmp_path / "store").exists()
    assert store.path(f"{tmp_path}/model") == tmp_path / "model"
