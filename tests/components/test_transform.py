"""CaptionTransform: what it gives TFX's Transform, and the folder that it gives it."""

import json
import pathlib
from typing import Any

import pytest
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import standard_artifacts

from components.transform import executor
from models.config import CorpusConfig
from tests.beam.jobs import model_that_knows


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The parameters that TFX's Transform gets, with the files that it finds where it is to write."""
    calls: list[dict[str, Any]] = []

    def do(self: Any, inputs: Any, outputs: Any, parameters: dict[str, Any]) -> None:
        (transformed,) = outputs["transformed_examples"]
        found = [path for path in pathlib.Path(transformed.uri).rglob("*") if path.is_file()]
        calls.append(parameters | {"inputs": set(inputs), "found": found})

    monkeypatch.setattr(executor.executor.Executor, "Do", do)
    return calls


def transform(folder: pathlib.Path, baseline: list[standard_artifacts.Model]) -> None:
    transformed = standard_artifacts.Examples()
    transformed.uri = str(folder / "transformed")
    context = BaseBeamExecutor.Context(beam_pipeline_args=[], tmp_dir=str(folder / "tmp"), unique_id="1")
    executor.Executor(context).Do(
        {"examples": [], "schema": [], executor.BASELINE: baseline},
        {"transformed_examples": [transformed]},
        {executor.CORPUS: CorpusConfig().to_json()},
    )


def test_the_vocabulary_begins_with_that_of_the_model_in_service(given: list, tmp_path: pathlib.Path):
    transform(tmp_path, [model_that_knows(["dog"], tmp_path / "baseline")])
    transform(tmp_path, [])
    known, none = (json.loads(call["custom_config"])["vocabulary"] for call in given)
    assert "dog\n" in pathlib.Path(known).read_text(encoding="utf-8")
    assert none == ""
    assert all(call["inputs"] == {"examples", "schema"} for call in given)


def test_what_a_killed_attempt_wrote_into_the_same_folder_is_no_part_of_the_next(
    given: list, tmp_path: pathlib.Path
):
    for left in ("Split-train/transformed_examples-00000-of-00048.gz", "Split-train/beam-temp-1/half"):
        path = tmp_path / "transformed" / left
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("half")
    transform(tmp_path, [])
    assert given[0]["found"] == []
