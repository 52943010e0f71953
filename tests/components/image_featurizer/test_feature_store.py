"""The feature store: what was written is found, by any later reader, and damage costs only recomputing."""

import concurrent.futures
import hashlib
import os
import pathlib
import subprocess
import sys
import textwrap
import time

import pytest

from components.image_featurizer import feature_store
from components.image_featurizer.feature_store import FeatureReader, FeatureStoreError, FeatureWriter

WIDTH = 16


def digest(i: int) -> bytes:
    return hashlib.sha256(str(i).encode()).digest()


def row(i: int) -> bytes:
    return i.to_bytes(4, "little") * (WIDTH // 4)


def write(path: pathlib.Path, numbers: range) -> None:
    writer = FeatureWriter(str(path), WIDTH)
    for i in numbers:
        writer.add(digest(i), row(i))
    writer.flush()


def packs(path: pathlib.Path) -> list[pathlib.Path]:
    return sorted(path.glob("*.pack"))


def test_rows_are_found_by_the_hash_of_their_image(tmp_path):
    write(tmp_path, range(100))
    reader = FeatureReader(str(tmp_path), WIDTH)
    assert [reader.find(digest(i)) for i in range(100)] == [row(i) for i in range(100)]
    assert reader.find(digest(100)) is None


def test_an_empty_or_missing_store_finds_nothing(tmp_path):
    reader = FeatureReader(str(tmp_path / "none"), WIDTH)
    assert len(reader) == 0
    assert reader.find(digest(0)) is None


def test_a_bundle_that_is_tried_again_adds_nothing(tmp_path):
    """By a worker that does not know yet what the first one had written."""
    for _ in range(2):
        write(tmp_path, range(5))
    assert len(packs(tmp_path)) == 1
    assert len(FeatureReader(str(tmp_path), WIDTH)) == 5


def test_threads_read_at_once(tmp_path):
    write(tmp_path, range(50))
    reader = FeatureReader(str(tmp_path), WIDTH)
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda i: reader.find(digest(i)), [*range(50)] * 4)) == [
            row(i) for i in [*range(50)] * 4
        ]


def test_more_packs_than_open_files(tmp_path):
    for i in range(3 * feature_store._OPEN_FILES):
        write(tmp_path, range(10 * i, 10 * i + 10))
    reader = FeatureReader(str(tmp_path), WIDTH)
    for i in reversed(range(len(reader))):
        assert reader.find(digest(i)) == row(i)
    assert len(reader._local.files) == feature_store._OPEN_FILES


@pytest.mark.parametrize("ending", [b"\0", b"\0\0", b"\1\0"])
def test_hashes_that_end_in_zero_bytes(tmp_path, ending):
    """NumPy drops trailing zeros of byte strings: they must not change what is equal."""
    writer = FeatureWriter(str(tmp_path), WIDTH)
    hashes = [b"\x07" * (32 - len(ending)) + ending, b"\x07" * 32, b"\0" * 32]
    for i, name in enumerate(hashes):
        writer.add(name, row(i))
    writer.flush()
    reader = FeatureReader(str(tmp_path), WIDTH)
    assert [reader.find(name) for name in hashes] == [row(i) for i in range(3)]


def test_the_same_image_twice(tmp_path):
    write(tmp_path, range(3))
    write(tmp_path, range(3))
    reader = FeatureReader(str(tmp_path), WIDTH)
    assert [reader.find(digest(i)) for i in range(3)] == [row(i) for i in range(3)]


def test_a_pack_is_written_whenever_enough_rows_are_together(tmp_path):
    writer = FeatureWriter(str(tmp_path), WIDTH, rows_per_pack=10)
    for i in range(25):
        writer.add(digest(i), row(i))
    assert len(packs(tmp_path)) == 2
    assert len(FeatureReader(str(tmp_path), WIDTH)) == 20
    writer.flush()
    writer.flush()  # nothing left: no empty pack
    assert len(packs(tmp_path)) == 3


def test_kill_9_loses_only_the_pack_in_the_making(tmp_path):
    script = f"""
        import os, signal, sys
        sys.path.insert(0, {str(pathlib.Path(feature_store.__file__).parents[2])!r})
        from components.image_featurizer.feature_store import FeatureWriter
        import hashlib
        writer = FeatureWriter({str(tmp_path)!r}, {WIDTH}, rows_per_pack=10)
        for i in range(25):
            digest = hashlib.sha256(str(i).encode()).digest()
            writer.add(digest, i.to_bytes(4, "little") * ({WIDTH} // 4))
        os.kill(os.getpid(), signal.SIGKILL)
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True)
    assert killed.returncode == -9
    reader = FeatureReader(str(tmp_path), WIDTH)
    found = [i for i in range(25) if reader.find(digest(i)) == row(i)]
    assert found == list(range(20))


@pytest.mark.parametrize("keep", [0, 5, 16, 100, -1])
def test_an_incomplete_pack_is_left_out(tmp_path, keep):
    write(tmp_path, range(10))
    damaged = packs(tmp_path)[0]
    write(tmp_path, range(10, 20))
    damaged.write_bytes(damaged.read_bytes()[:keep])
    reader = FeatureReader(str(tmp_path), WIDTH)
    assert [reader.find(digest(i)) for i in range(10)] == [None] * 10
    assert reader.find(digest(15)) == row(15)


def test_a_damaged_row_is_not_returned(tmp_path):
    write(tmp_path, range(10))
    pack = packs(tmp_path)[0]
    content = bytearray(pack.read_bytes())
    content[-1] ^= 1
    pack.write_bytes(content)
    reader = FeatureReader(str(tmp_path), WIDTH)
    assert reader.find(digest(9)) is None
    assert reader.find(digest(8)) == row(8)


def test_a_pack_that_vanishes_is_as_if_never_written(tmp_path):
    write(tmp_path, range(10))
    reader = FeatureReader(str(tmp_path), WIDTH)
    packs(tmp_path)[0].unlink()
    assert reader.find(digest(1)) is None


def test_rows_of_another_width_are_refused(tmp_path):
    write(tmp_path, range(10))
    with pytest.raises(FeatureStoreError, match=r"of 16 bytes, .* makes 32.*Delete the folder"):
        FeatureReader(str(tmp_path), 2 * WIDTH)
    with pytest.raises(FeatureStoreError, match="expected a row of 16 bytes; got 3"):
        FeatureWriter(str(tmp_path), WIDTH).add(digest(0), b"abc")


def test_only_old_unfinished_packs_are_removed(tmp_path):
    old, new = tmp_path / "a.unfinished", tmp_path / "b.unfinished"
    old.touch()
    new.touch()
    os.utime(old, (time.time() - 2 * 24 * 3600,) * 2)
    write(tmp_path, range(3))
    feature_store.remove_abandoned(str(tmp_path))
    assert not old.exists()
    assert new.exists()
    assert len(FeatureReader(str(tmp_path), WIDTH)) == 3
