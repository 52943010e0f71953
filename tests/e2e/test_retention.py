"""After gc, on the pipeline that the other tests have used: what is in service is untouched, runs end well.

These tests come after those of `test_pipeline.py`, whose runs they remove.
"""

import pathlib
from typing import Final

import pytest

from pipeline import cli, runs
from pipeline.retention import metadata
from tests.e2e.conftest import Small
from tests.e2e.test_pipeline import PICTURES, another_span, features_made

UNREACHABLE: Final = ("gate.min_bleu_4=0.99",)


@pytest.fixture(scope="module")
def used(small: Small) -> Small:
    """Two more runs, whatever ran before: one that no model passes, and the unchanged one."""
    small.run(*UNREACHABLE)
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
    outcome = used.run(*UNREACHABLE)
    assert capfd.readouterr().err.count("done in") == 2, "judged anew, and not pushed"
    assert not outcome.verdict.blessed


def test_features_of_a_span_that_was_taken_away_go_and_the_next_run_ends_well(used: Small):
    features = features_made(used)
    with another_span(used, seed=77):
        assert features_made(used) == features + 15
    assert cli.main(["gc", "--root", used.root, "--data", used.data]) == 0
    assert features_made(used) == PICTURES
    used.run()
    assert runs.find(used.paths, runs.LATEST).state in (runs.PUSHED, runs.REFUSED, runs.UNCHANGED)
