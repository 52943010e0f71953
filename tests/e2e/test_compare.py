"""A comparison on the data of the small pipeline, from the command line's plan to its reports."""

import json
import pathlib
from typing import Any

import pytest

from pipeline import configs_by_name
from pipeline.compare import comparison
from pipeline.compare.leaderboard import METRICS, Leaderboard
from pipeline.compare.plan import plan
from tests.e2e.conftest import SETTINGS, Small


def compare(small: Small) -> Leaderboard:
    runs = plan(
        configs_by_name.load("demo"),
        [*SETTINGS, "train.epochs=2", "model.feed_forward=64"],
        decoders="gru,transformer",
        representations="",
        presets="",
        seeds=1,
    )
    return comparison.compare(runs, small.data, small.root, count=3)


def reports(small: Small) -> list[pathlib.Path]:
    return sorted(pathlib.Path(small.paths.reports).glob("compare-*"))


@pytest.fixture(scope="module")
def before(small: Small) -> list[str]:
    """The versions before the first comparison."""
    return small.versions()


@pytest.fixture(scope="module")
def first(small: Small, before: list[str]) -> Leaderboard:
    return compare(small)


def test_every_metric_of_every_contender_is_known(first: Leaderboard):
    assert {row.contender.decoder for row in first.rows} == {"gru", "transformer"}
    for row in first.rows:
        for column in METRICS:
            value = row.figures[column.key].mean
            assert value == value, f"{row.contender.name}: {column.key} is not a number"
        assert row.figures["parameters"].mean > 1000
        assert row.figures["ms_beam_1"].mean > 0
    assert not first.failures


def test_nothing_is_pushed(small: Small, before: list[str], first: Leaderboard):
    assert small.versions() == before


def test_the_reports_hold_the_results(small: Small, first: Leaderboard):
    folder = reports(small)[0]
    data = json.loads((folder / "leaderboard.json").read_text("utf-8"))
    assert [len(run["epochs"]) for run in data["runs"]] == [2, 2]
    page = (folder / "compare.html").read_text("utf-8")
    assert page.count('<section class="picture"') == 3
    assert page.count('<p class="best">') == 3 * 2


def test_the_same_comparison_again_trains_nothing_and_measures_nothing(
    small: Small, first: Leaderboard, capfd: pytest.CaptureFixture[str]
):
    capfd.readouterr()
    again = compare(small)
    progress = capfd.readouterr().err
    assert "run 2 of 2" in progress
    assert progress.count("(made before)") == 2
    assert "done in" not in progress
    assert "epoch" not in progress

    def figures(board: Leaderboard) -> list[Any]:
        return [(row.contender, row.figures) for row in board.rows]

    assert figures(again) == figures(first)
