"""After gc, on the pipeline that the other tests have used: what is in service is untouched, runs end well.

These tests come after those of `test_pipeline.py`, whose runs they remove.
"""

import pathlib
import shutil

import pytest

from pipeline import cli, runs
from pipeline.errors import UserError
from pipeline.retention import metadata
from tests.e2e.conftest import Small, import_scenes
from tests.e2e.test_pipeline import features_made


@pytest.fixture(scope="module")
def used(small: Small) -> Small:
    """Two more runs, whatever ran before: one that cannot be good, and the unchanged one."""
    small.run("train.shuffle_captions=true", "train.epochs=2")
    small.run()
    return small


def served(small: Small) -> dict[str, int]:
    serving = pathlib.Path(small.paths.serving).parent
    return {str(path): path.stat().st_ino for path in serving.rglob("*") if path.is_file()}


def test_after_gc_an_unchanged_run_computes_nothing_and_what_is_in_service_is_untouched(
    used: Small, capfd: pytest.CaptureFixture[str]
):
    expected = used.run()
    before, rows = served(used), metadata.read(used.paths.metadata)
    found = len(runs.find_all(used.paths))
    assert cli.main(["gc", "--root", used.root, "--keep-runs", "1"]) == 0
    assert served(used) == before
    assert len(runs.find_all(used.paths)) < found
    assert len(metadata.read(used.paths.metadata).used) < len(rows.used)
    assert metadata.loose_ends(used.paths.metadata) == []
    capfd.readouterr()
    assert used.run() == expected
    assert "done in" not in capfd.readouterr().err
    assert served(used) == before


def test_what_gc_removed_is_computed_again(used: Small, capfd: pytest.CaptureFixture[str]):
    cli.main(["gc", "--root", used.root, "--keep-runs", "1"])
    capfd.readouterr()
    outcome = used.run("train.shuffle_captions=true", "train.epochs=2")
    progress = capfd.readouterr().err
    assert "epoch" in progress, "trained anew"
    assert not outcome.verdict.blessed


def test_features_of_a_span_that_was_taken_away_go_and_the_next_run_ends_well(
    used: Small, tmp_path: pathlib.Path
):
    features = features_made(used)
    import_scenes(pathlib.Path(used.data), (8, 2, 0), seed=77)
    with pytest.raises(UserError, match="Transform failed"):  # no further than to the features
        used.run("corpus.min_images=100000")
    assert features_made(used) == features + 10
    newest = sorted(pathlib.Path(used.data).glob("span-*"))[-1]
    shutil.move(newest, tmp_path)
    assert cli.main(["gc", "--root", used.root, "--data", used.data]) == 0
    assert features_made(used) == features
    used.run()
    assert runs.find(used.paths, runs.LATEST).state in (runs.PUSHED, runs.REFUSED, runs.UNCHANGED)
