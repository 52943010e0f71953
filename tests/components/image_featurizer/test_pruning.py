"""Pruning: what is needed stays to the bit, what is not goes, wherever it is cut off."""

import hashlib
import pathlib

import numpy as np
import pytest

from components.image_featurizer import pruning
from components.image_featurizer.feature_store import FeatureReader, FeatureWriter

WIDTH = 16


def digest(i: int) -> bytes:
    return hashlib.sha256(str(i).encode()).digest()


def row(i: int) -> bytes:
    return i.to_bytes(4, "little") * (WIDTH // 4)


def write(path: pathlib.Path, *numbers: int) -> None:
    writer = FeatureWriter(str(path), WIDTH)
    for i in numbers:
        writer.add(digest(i), row(i))
    writer.flush()


def images(*numbers: int) -> np.ndarray:
    return np.array([digest(i) for i in numbers], pruning.DIGEST)


def prune(path: pathlib.Path, *kept: int) -> int:
    stale = pruning.find(str(path), images(*kept))
    for each in stale:
        pruning.remove(each)
    return sum(each.rows for each in stale)


def found(path: pathlib.Path) -> dict[int, bytes | None]:
    reader = FeatureReader(str(path), WIDTH)
    return {i: reader.find(digest(i)) for i in range(20) if reader.find(digest(i)) is not None}


def test_features_of_images_that_are_gone_go_and_the_others_stay(tmp_path: pathlib.Path):
    write(tmp_path, *range(10))
    write(tmp_path, *range(10, 20))
    assert prune(tmp_path, *range(0, 20, 2)) == 10
    assert found(tmp_path) == {i: row(i) for i in range(0, 20, 2)}
    content = b"".join(pack.read_bytes() for pack in tmp_path.iterdir())
    assert digest(3) not in content, "nothing is left of an image that was taken out of the data"


def test_a_pack_that_is_needed_whole_is_not_touched(tmp_path: pathlib.Path):
    write(tmp_path, *range(5))
    (pack,) = tmp_path.iterdir()
    before = pack.stat()
    assert prune(tmp_path, *range(8)) == 0
    assert pack.stat() == before


def test_a_pack_of_which_nothing_is_needed_goes(tmp_path: pathlib.Path):
    write(tmp_path, *range(5))
    assert prune(tmp_path) == 5
    assert not list(tmp_path.iterdir())


def test_of_several_copies_one_stays(tmp_path: pathlib.Path):
    write(tmp_path, 1, 2, 3)
    write(tmp_path, 3, 4)
    assert prune(tmp_path, 1, 2, 3, 4) == 1
    reader = FeatureReader(str(tmp_path), WIDTH)
    assert len(reader) == 4
    assert found(tmp_path) == {i: row(i) for i in (1, 2, 3, 4)}


@pytest.mark.parametrize("ending", [b"\0", b"\0\0"])
def test_hashes_that_end_in_zero_bytes(tmp_path: pathlib.Path, ending: bytes):
    name = b"\x07" * (32 - len(ending)) + ending
    writer = FeatureWriter(str(tmp_path), WIDTH)
    writer.add(name, row(1))
    writer.add(digest(2), row(2))
    writer.flush()
    (stale,) = pruning.find(str(tmp_path), np.array([name], pruning.DIGEST))
    pruning.remove(stale)
    reader = FeatureReader(str(tmp_path), WIDTH)
    assert (len(reader), reader.find(name)) == (1, row(1))


def test_killed_before_the_old_pack_went_the_next_pruning_ends_it(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    write(tmp_path, *range(10))

    def killed(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pruning.os, "unlink", killed)
    with pytest.raises(KeyboardInterrupt):
        prune(tmp_path, 1, 2)
    monkeypatch.undo()
    assert found(tmp_path) == {i: row(i) for i in range(10)}
    prune(tmp_path, 1, 2)
    assert found(tmp_path) == {1: row(1), 2: row(2)}
    assert len(FeatureReader(str(tmp_path), WIDTH)) == 2


def test_damage_is_not_carried_on(tmp_path: pathlib.Path):
    write(tmp_path, 1, 2, 3)
    (pack,) = tmp_path.iterdir()
    content = bytearray(pack.read_bytes())
    content[-1] ^= 1  # of the last row
    pack.write_bytes(content)
    prune(tmp_path, 1, 3)
    assert found(tmp_path) == {1: row(1)}
    assert pruning.find(str(tmp_path / "none"), images(1)) == []
