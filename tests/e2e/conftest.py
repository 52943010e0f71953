"""One small pipeline, run once for all end-to-end tests."""

import dataclasses
import pathlib
from collections.abc import Iterator

import pytest

from benchmarks import tiny
from pipeline import configs_by_name, run_pipeline
from pipeline.config import PipelineConfig, override
from pipeline.importers import scenes
from pipeline.importers.importer import ImportOptions, import_source
from pipeline.paths import Paths
from tests.conftest import without_java

SETTINGS = [*tiny.SETTINGS, "gate.min_bleu_4=0.05", "gate.min_cider_d=0.05"]


@dataclasses.dataclass
class Small:
    """A pipeline that has run once.

    Attributes:
      folder: everything is under it.
      config: of the first run.
      first: its outcome.
    """

    folder: pathlib.Path
    config: PipelineConfig
    first: run_pipeline.Outcome

    @property
    def data(self) -> str:
        return str(self.folder / "data")

    @property
    def root(self) -> str:
        return str(self.folder / "root")

    @property
    def paths(self) -> Paths:
        return Paths(self.root)

    def run(self, *assignments: str, force_bless: str = "") -> run_pipeline.Outcome:
        """Runs the pipeline again with some options changed."""
        config = override(self.config, list(assignments))
        return run_pipeline.run(config, self.data, self.root, force_bless=force_bless)

    def versions(self) -> list[str]:
        """The pushed versions."""
        return sorted(path.name for path in pathlib.Path(self.paths.serving).iterdir())


def small_config() -> PipelineConfig:
    """The config of the small pipeline."""
    return override(configs_by_name.load("demo"), SETTINGS)


def import_scenes(data: pathlib.Path, counts: tuple[int, int, int], seed: int) -> None:
    """Adds a span of scenes to `data`."""
    import_source(scenes.make_source(*counts, seed=seed), data, ImportOptions())


@pytest.fixture(autouse=True)
def no_java() -> Iterator[None]:
    with without_java():
        yield


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    folder = tmp_path_factory.mktemp("small")
    import_scenes(folder / "data", (200, 30, 6), seed=1)
    config = small_config()
    with without_java():
        first = run_pipeline.run(config, str(folder / "data"), str(folder / "root"))
    return Small(folder, config, first)
