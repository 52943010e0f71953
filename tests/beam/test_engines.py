"""Every Beam job gives the same on every engine as here: records to the last bit, sums to nine digits."""

import dataclasses
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

from models.features import ACTION_WORDS
from tests.beam import jobs
from tests.beam.engines import DIRECT, ENGINES


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What the jobs read, made in this process.

    Attributes:
      folder: for the outputs.
      span: of the importer.
      examples: the span as Examples.
      featurized: Examples with features.
      models: candidate and baseline.
      imported, features: what the importer and the featurizer wrote.
    """

    folder: pathlib.Path
    span: pathlib.Path
    examples: Any
    featurized: Any
    models: dict[str, Any]
    imported: dict[str, Any]
    features: dict[str, Any]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    folder = tmp_path_factory.mktemp("direct")
    imported = jobs.run_import(DIRECT, folder / "data")
    span = folder / "data" / "span-0001"
    examples = jobs.examples_of(span, folder / "examples")
    featurized, features = jobs.run_featurizer(DIRECT, folder / "features", examples, folder / "store")
    models = jobs.save_models(folder / "models")
    return Inputs(folder, span, examples, featurized, models, imported, features)


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The flags of an engine. Skips where it is not installed."""
    with ENGINES[request.param](tmp_path_factory.mktemp(request.param)) as flags:
        yield flags


def test_an_import_is_the_same_file_by_file(engine: Any, inputs: Inputs, tmp_path: pathlib.Path) -> None:
    assert inputs.imported["manifest"]["rejected"] == {"not_an_image": 1}
    assert jobs.run_import(engine, tmp_path) == inputs.imported


def test_what_is_found_of_a_span_is_the_same(engine: Any, inputs: Inputs, tmp_path: pathlib.Path) -> None:
    expected = jobs.run_inspection(DIRECT, tmp_path / "direct", inputs.span.parent)
    assert expected["tally"]["pictures"] == sum(jobs.IMAGES.values())
    assert jobs.run_inspection(engine, tmp_path / "engine", inputs.span.parent) == expected


def test_features_are_the_same(engine: Any, inputs: Inputs, tmp_path: pathlib.Path) -> None:
    """The encoder is built once: where it is built again its weights differ in the last bit."""
    store = inputs.folder / "store"
    for pack in store.glob("*/packs/*"):
        pack.unlink()
    _, found = jobs.run_featurizer(engine, tmp_path, inputs.examples, store)
    assert found == inputs.features
    assert found["counts"] == [sum(jobs.IMAGES.values()), 0, 0]


def test_statistics_are_the_same(engine: Any, inputs: Inputs, tmp_path: pathlib.Path) -> None:
    expected = jobs.run_statistics(DIRECT, tmp_path / "direct", inputs.examples)
    assert jobs.run_statistics(engine, tmp_path / "engine", inputs.examples) == expected


def test_vocabulary_and_token_ids_are_the_same(engine: Any, inputs: Inputs, tmp_path: pathlib.Path) -> None:
    """The vocabulary grows from that of the model in service."""
    baseline = jobs.model_that_knows(["zebra"], tmp_path / "baseline")
    expected = jobs.run_transform(DIRECT, tmp_path / "direct", inputs.featurized, baseline)
    assert expected["vocabulary"].index("zebra") == len(ACTION_WORDS)
    assert len(expected["vocabulary"]) > 20
    assert jobs.run_transform(engine, tmp_path / "engine", inputs.featurized, baseline) == expected


def test_metrics_and_verdict_are_the_same(engine: Any, inputs: Inputs, tmp_path: pathlib.Path) -> None:
    expected = jobs.run_evaluator(DIRECT, tmp_path / "direct", inputs.featurized, inputs.models)
    assert len(expected["records"]) == jobs.IMAGES["eval"]
    assert jobs.run_evaluator(engine, tmp_path / "engine", inputs.featurized, inputs.models) == expected
