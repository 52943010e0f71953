"""What is read of a baseline, whichever orchestrator hands it over."""

import pathlib
from collections.abc import Callable
from typing import Any

import pytest
from tfx.types import standard_artifacts

from components.baseline import in_service, reading


def locally(baseline: Any, has_model: int) -> None:
    """As ML Metadata keeps it."""
    baseline.set_int_custom_property(in_service.HAS_MODEL, has_model)


def on_kubeflow(baseline: Any, has_model: int) -> None:
    """As TFX reads an artifact of Kubeflow's: JSON, where all numbers are doubles."""
    read = standard_artifacts.Model()
    read.set_json_value_custom_property(in_service.HAS_MODEL, float(has_model))
    baseline.mlmd_artifact.custom_properties.MergeFrom(read.mlmd_artifact.custom_properties)


def artifact(folder: pathlib.Path, *, with_model: bool) -> Any:
    baseline = standard_artifacts.Model()
    baseline.uri = str(folder)
    if with_model:
        (folder / "Format-Serving").mkdir()
        (folder / "Format-Serving" / "saved_model.pb").touch()
    return baseline


@pytest.mark.parametrize("says", [locally, on_kubeflow])
def test_the_model_in_service_is_found(tmp_path: pathlib.Path, says: Callable[[Any, int], None]):
    baseline = artifact(tmp_path, with_model=True)
    says(baseline, 1)
    assert reading.saved_model(baseline) == str(tmp_path / "Format-Serving")


@pytest.mark.parametrize("says", [locally, on_kubeflow])
def test_a_baseline_that_says_it_has_none_has_none(tmp_path: pathlib.Path, says: Callable[[Any, int], None]):
    baseline = artifact(tmp_path, with_model=True)  # left by an attempt that was killed
    says(baseline, 0)
    assert reading.saved_model(baseline) is None


@pytest.mark.parametrize("says", [locally, on_kubeflow])
def test_a_model_that_is_not_where_it_should_be_is_an_error(
    tmp_path: pathlib.Path, says: Callable[[Any, int], None]
):
    baseline = artifact(tmp_path, with_model=False)
    says(baseline, 1)
    with pytest.raises(FileNotFoundError, match="it is not there"):
        reading.saved_model(baseline)


def test_a_model_that_says_nothing_of_itself_is_one_where_there_is_one(tmp_path: pathlib.Path):
    assert reading.saved_model(artifact(tmp_path, with_model=False)) is None
    assert reading.saved_model(artifact(tmp_path, with_model=True)) == str(tmp_path / "Format-Serving")
