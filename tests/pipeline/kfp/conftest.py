"""A server of Kubeflow Pipelines that keeps what it is sent, and a compiled pipeline."""

import pathlib
from collections.abc import Iterator

import pytest

from pipeline.kfp_package import Package
from tests.pipeline.kfp.fake import FakeKfp, serving, write_pipeline


@pytest.fixture(autouse=True)
def no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    """The kfp client reads a file in the home folder, and the environment."""
    import kfp

    monkeypatch.setattr(kfp.Client, "_LOCAL_KFP_CONTEXT", str(tmp_path / "home" / "context.json"))
    monkeypatch.delenv("KF_PIPELINES_ENDPOINT", raising=False)


@pytest.fixture
def fake() -> Iterator[FakeKfp]:
    with serving() as fake:
        yield fake


@pytest.fixture
def pipeline(tmp_path: pathlib.Path) -> str:
    return write_pipeline(tmp_path)


@pytest.fixture
def package(pipeline: str) -> Package:
    return Package.read(pipeline)
