"""Room on disk, where a file may have several names."""

import os
import pathlib

from pipeline.retention import usage


def write(path: pathlib.Path, size: int) -> pathlib.Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    return path


def test_all_files_under_a_folder_count(tmp_path: pathlib.Path):
    write(tmp_path / "a" / "one", 10)
    write(tmp_path / "a" / "deep" / "er" / "two", 5)
    assert usage.freed([usage.scan(tmp_path / "a")]) == [15]
    assert usage.freed([usage.scan(tmp_path / "nowhere")]) == [0]
    assert usage.freed([usage.scan(tmp_path / "a" / "one")]) == [10]


def test_a_file_with_a_name_elsewhere_frees_nothing(tmp_path: pathlib.Path):
    first = write(tmp_path / "data" / "shard", 10)
    (tmp_path / "root").mkdir()
    os.link(first, tmp_path / "root" / "shard")
    assert usage.freed([usage.scan(tmp_path / "root")]) == [0]


def test_a_file_with_all_its_names_among_those_that_go_counts_once(tmp_path: pathlib.Path):
    first = write(tmp_path / "a" / "model", 10)
    (tmp_path / "b").mkdir()
    os.link(first, tmp_path / "b" / "model")
    a, b = usage.scan(tmp_path / "a"), usage.scan(tmp_path / "b")
    assert usage.freed([a, b]) == [10, 0]
    assert usage.freed([usage.scan(tmp_path / "a", tmp_path / "b")]) == [10]


def test_what_a_link_points_to_is_not_counted(tmp_path: pathlib.Path):
    write(tmp_path / "far" / "large", 1000)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "link").symlink_to(tmp_path / "far")
    (freed,) = usage.freed([usage.scan(tmp_path / "a")])
    assert freed < 1000
