"""Carried out, and cut off at every step."""

import contextlib
import errno
import hashlib
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from components.image_featurizer import pruning
from components.image_featurizer.feature_store import FeatureReader, FeatureWriter
from pipeline.retention import collection, images, inventory, metadata, removal
from pipeline.retention.plan import Limits
from tests.pipeline.retention.conftest import ENCODER, Root


def digest(i: int) -> bytes:
    return hashlib.sha256(str(i).encode()).digest()


@pytest.fixture
def full(root: Root, monkeypatch: pytest.MonkeyPatch) -> Root:
    """Five runs, of which the first has pushed; and features of ten images, of which five are needed."""
    root.run(data="0", version=100)
    root.run(data="1", version=200)
    for i in range(2, 5):
        root.run(data=str(i))
    writer = FeatureWriter(str(pathlib.Path(root.paths.feature_store, ENCODER, "packs")), 8)
    for i in range(10):
        writer.add(digest(i), bytes(8))
    writer.flush()
    needed = np.array([digest(i) for i in range(5)], pruning.DIGEST)
    monkeypatch.setattr(images, "hashes", lambda _: needed)
    return root


def collect(root: Root) -> None:
    collection.collect(root.paths, Limits(1), ["data"])


def state(root: Root) -> dict[str, Any]:
    reader = FeatureReader(str(pathlib.Path(root.paths.feature_store, ENCODER, "packs")), 8)
    return {
        "reports": root.names(),
        "logs": sorted(path.name for path in pathlib.Path(root.paths.root, "logs").iterdir()),
        "folders": root.folders("Trainer"),
        "rows": root.executions(),
        "features": [i for i in range(10) if reader.find(digest(i))],
        "copies": len(reader),
        "aside": pathlib.Path(root.paths.root, inventory.REMOVING).exists(),
        "loose": metadata.loose_ends(root.paths.metadata),
        "served": sorted(path.name for path in pathlib.Path(root.paths.serving).iterdir()),
    }


def test_what_is_planned_goes_and_the_rest_stays(full: Root):
    collect(full)
    assert state(full) == {
        "reports": ["20260101-030000", "20260102-030000", "20260105-030000"],
        "logs": ["20260101-030000.log", "20260102-030000.log", "20260105-030000.log"],
        "folders": [4, 10],
        "rows": {1, 2, 3, 4, 9, 10},
        "features": [0, 1, 2, 3, 4],
        "copies": 5,
        "aside": False,
        "loose": [],
        "served": ["100", "200"],
    }
    assert full.handed_out("4", 1) is not None
    assert full.handed_out("0", 1) is None
    assert not collection.look(full.paths, Limits(1), ["data"]), "the second time there is nothing to do"


STEPS = {
    "transaction": (metadata, "_transaction"),
    "rows": (metadata, "remove"),
    "delete": (removal, "_delete"),
    "rename": (pathlib.Path, "rename"),
    "features": (pruning, "remove"),
}


@pytest.mark.parametrize("calls", [1, 2, 4])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("after", [False, True])
def test_cut_off_anywhere_what_stays_is_whole_and_the_next_time_does_the_rest(
    full: Root, monkeypatch: pytest.MonkeyPatch, step: str, calls: int, after: bool
):
    owner, name = STEPS[step]
    real: Callable[..., Any] = getattr(owner, name)
    left = calls

    def cut_off(*arguments: Any) -> Any:
        nonlocal left
        left -= 1
        if left or after:
            result = real(*arguments)
            if left:
                return result
        raise KeyboardInterrupt

    monkeypatch.setattr(owner, name, cut_off)
    with contextlib.suppress(KeyboardInterrupt):
        collect(full)
    monkeypatch.undo()
    needed = np.array([digest(i) for i in range(5)], pruning.DIGEST)
    monkeypatch.setattr(images, "hashes", lambda _: needed)
    assert metadata.loose_ends(full.paths.metadata) == []
    assert full.handed_out("4", 1) is not None, "what stays is there at any moment"
    for data in "0123":  # all or nothing of it
        made = full.handed_out(data, 1)
        assert (
            made is None
            or pathlib.Path(full.paths.artifacts, "Trainer", "out", str(made), "content").exists()
        )
    assert set(range(5)) <= set(state(full)["features"])
    collect(full)
    assert state(full)["folders"] == [4, 10]
    assert state(full)["rows"] == {1, 2, 3, 4, 9, 10}
    assert state(full)["reports"] == ["20260101-030000", "20260102-030000", "20260105-030000"]
    assert (state(full)["copies"], state(full)["aside"]) == (5, False)


def test_a_folder_on_another_disk_goes_as_well(full: Root, monkeypatch: pytest.MonkeyPatch):
    def elsewhere(*_: Any) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(pathlib.Path, "rename", elsewhere)
    collect(full)
    assert full.folders("Trainer") == [4, 10]
