"""A worker that dies in the middle of featurization costs what it had under way, not the run."""

import pathlib
import shutil
from typing import Any

import pytest

from components.image_featurizer import executor
from tests.beam import jobs, killing
from tests.beam.engines import DIRECT, ENGINES


@pytest.mark.parametrize("engine", ["portable", "flink"])
def test_a_killed_worker_costs_a_retry(
    engine: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ENGINES[engine](tmp_path) as flags:
        jobs.run_import(DIRECT, tmp_path / "data")
        examples = jobs.examples_of(tmp_path / "data" / "span-0001", tmp_path / "examples")
        store = tmp_path / "store"
        _, undisturbed = jobs.run_featurizer(DIRECT, tmp_path / "direct", examples, store)
        for packs in store.glob("*/packs"):
            shutil.rmtree(packs)

        mark = tmp_path / "killed"

        def dying(*args: Any) -> killing.DieOnce:
            return killing.DieOnce(mark, *args)

        monkeypatch.setattr(executor, "FeaturizeFn", dying)
        _, found = jobs.run_featurizer(flags, tmp_path / "engine", examples, store)
    assert mark.exists()
    assert (found["records"], found["rejected"]) == (undisturbed["records"], undisturbed["rejected"])
    computed, reused, failed = found["counts"]
    assert (computed + reused, failed) == (sum(jobs.IMAGES.values()), 0)
    assert reused >= killing.LAST // killing.ROWS * killing.ROWS, "what was in the store is not done again"
