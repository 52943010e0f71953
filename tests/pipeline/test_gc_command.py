"""`captioner gc`, as a person uses it."""

import datetime
import os
import pathlib
import time

import pytest

from pipeline import cli, releases, run_pipeline, runs
from pipeline.commands import gc
from pipeline.paths import Paths
from tests.pipeline.retention.conftest import Root
from tests.pipeline.retention.conftest import root as root  # the fixture


def served(root: Root) -> dict[pathlib.Path, tuple[int, int]]:
    files = pathlib.Path(root.paths.serving).rglob("*")
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def test_a_dry_run_says_what_would_go_and_removes_nothing(root: Root, capsys: pytest.CaptureFixture[str]):
    made = [root.run(data=str(i)) for i in range(3)]
    assert cli.main(["gc", "--root", root.paths.root, "--keep-runs", "1", "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"Runs gone: {made[0].name}, {made[1].name}"
    assert lines[1].split() == ["409.6", "KB", "8", "folders", "of", "components"]
    assert lines[2].endswith(" 4 reports and logs")
    assert lines[3].split() == ["8", "executions", "and", "artifacts", "in", "ML", "Metadata"]
    assert "would go" in lines[4]
    assert root.names() == [run.name for run in made]
    assert len(root.executions()) == 6

    assert cli.main(["gc", "--root", root.paths.root, "--keep-runs", "1"]) == 0
    again = capsys.readouterr().out.splitlines()
    assert again[:4] == lines[:4]
    assert " goes, " in again[4]
    assert root.names() == [made[2].name]
    assert len(root.executions()) == 2
    assert cli.main(["gc", "--root", root.paths.root, "--keep-runs", "1"]) == 0
    assert capsys.readouterr().out.startswith("Nothing is to go.")


def test_ten_runs_are_kept_unless_something_else_is_asked_for(root: Root):
    made = [root.run(data=str(i)) for i in range(12)]
    assert cli.main(["gc", "--root", root.paths.root]) == 0
    assert root.names() == [run.name for run in made[2:]]
    assert cli.main(["gc", "--root", root.paths.root, "--max-size", "20GB"]) == 0
    assert len(root.names()) == 10
    assert cli.main(["gc", "--root", root.paths.root, "--max-size", "1.5MB"]) == 0
    assert 1 < len(root.names()) < 10


def test_a_size_that_cannot_be_kept_is_said(root: Root, capsys: pytest.CaptureFixture[str]):
    root.run(version=100)
    assert cli.main(["gc", "--root", root.paths.root, "--max-size", "1KB"]) == 0
    assert "more than --max-size 1.0 KB" in capsys.readouterr().out


def test_what_is_in_service_is_untouched(root: Root):
    for i in range(4):
        root.run(data=str(i), version=100 + i)
    before = served(root)
    assert cli.main(["gc", "--root", root.paths.root, "--keep-runs", "1"]) == 0
    assert served(root) == before


def test_old_versions_go_where_that_is_asked_for(root: Root, capsys: pytest.CaptureFixture[str]):
    made = [root.run(data=str(i), version=100 + i) for i in range(4)]
    root.push(50, root.paths.rolled_back)
    root.push(60, root.paths.rolled_back)
    command = ["gc", "--root", root.paths.root, "--keep-versions", "1", "--keep-runs", "1"]
    assert cli.main([*command, "--dry-run"]) == 0
    assert "Versions would go, and what only they keep: 50, 100, 101, 102" in capsys.readouterr().out
    assert releases.read(root.paths).all == [103, 102, 101, 100, 60, 50]
    assert cli.main(command) == 0
    assert releases.read(root.paths).all == [103, 60]
    assert root.names() == [made[3].name], "and the runs that they came from"
    assert cli.main(command) == 0
    assert "No version is to go." in capsys.readouterr().out


def test_what_a_killed_run_had_pushed_keeps_that_run(root: Root):
    """It was killed before the push was recorded."""
    pushed = root.run(data="a", state=runs.FAILED)
    moment = datetime.datetime.strptime(pushed.name, "%Y%m%d-%H%M%S") + datetime.timedelta(minutes=5)
    root.push(int(moment.timestamp()))
    newer = [root.run(data=data) for data in ("b", "c")]
    assert cli.main(["gc", "--root", root.paths.root, "--keep-runs", "1"]) == 0
    assert root.names() == [pushed.name, newer[-1].name]
    assert set(pushed.executions) <= root.executions()


def test_a_run_that_is_under_way_is_not_disturbed(root: Root, capsys: pytest.CaptureFixture[str]):
    root.run()
    with run_pipeline.lock(root.paths):
        assert cli.main(["gc", "--root", root.paths.root]) == 1
    assert "another run is under way" in capsys.readouterr().err


def test_a_folder_that_is_no_root_is_left_alone(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["gc", "--root", str(tmp_path / "typo")]) == 1
    assert "no --root of a run" in capsys.readouterr().err
    assert not (tmp_path / "typo").exists()


def test_on_the_volume_of_a_cluster_untouched_checkpoints_go(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
):
    """Kubeflow keeps the runs: there is no ML Metadata, and there are no reports."""
    for name, days in (("old", 15), ("new", 13)):
        folder = tmp_path / "checkpoints" / name
        folder.mkdir(parents=True)
        (folder / "checkpoint").write_text("x" * 1000)
        for path in (folder / "checkpoint", folder):
            os.utime(path, (time.time() - days * 24 * 3600,) * 2)
    (tmp_path / "features" / "0123456789abcdef" / "packs").mkdir(parents=True)
    assert cli.main(["gc", "--root", str(tmp_path)]) == 0
    assert "1 checkpoints of trainings that nobody went on with" in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["new"]
    assert (tmp_path / "features" / "0123456789abcdef" / "packs").is_dir()


def test_a_bucket_is_none_of_its_business(capsys: pytest.CaptureFixture[str]):
    assert cli.main(["gc", "--root", "gs://bucket/root"]) == 1
    assert "a rule by age" in capsys.readouterr().err


def test_data_without_spans_would_cost_all_features(root: Root, capsys: pytest.CaptureFixture[str]):
    root.run()
    assert cli.main(["gc", "--root", root.paths.root, "--data", root.paths.root]) == 1
    assert "no spans in" in capsys.readouterr().err


def test_a_broken_file_of_metadata_is_readable(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]):
    paths = Paths(str(tmp_path))
    pathlib.Path(paths.metadata).write_text("not a database" * 1000)
    assert cli.main(["gc", "--root", str(tmp_path)]) == 1
    assert "metadata.db cannot be used" in capsys.readouterr().err


@pytest.mark.parametrize("argument", ["--keep-runs=0", "--keep-runs=-1", "--max-size=big", "--max-size=-1GB"])
def test_bad_limits_are_refused(argument: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["gc", "--root", "root", argument])
    assert "got" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 KB"), (2 * 10**9, "2.0 GB"), (10**13, "10.0 TB")],
)
def test_sizes_are_for_people(size: int, text: str):
    assert gc.size_text(size) == text
    assert gc._size("1.5 gb") == 1_500_000_000
