"""The compiled pipeline run without a cluster: a first model, a worse one, and one of a second span.

Each task's command and arguments are executed as Kubeflow's launcher does, with artifacts in a store that
only the launcher reads: a task finds its own inputs and nothing else. The tests follow one another. Logs of
the tasks are kept in `build/compiled-run`.
"""

import dataclasses
import json
import pathlib
import shutil
from collections.abc import Iterator
from typing import Final

import pytest
import yaml

from pipeline import cli, kubeflow_entrypoint, kubeflow_local, kubeflow_parameters
from pipeline.config import override
from pipeline.paths import Paths
from tests.conftest import without_java
from tests.e2e.conftest import SETTINGS, import_scenes, small_config

KEPT: Final = pathlib.Path(__file__).parents[2] / "build" / "compiled-run"
STORE: Final = "minio://mlpipeline/v2/artifacts"
# Pictures of the spans to learn from, to judge by, and held out.
IN_SPAN: Final = (200, 30, 6)
IN_NEW_SPAN: Final = (80, 30, 6)
# What so few pictures tell; a model of shuffled captions loses more.
ALLOWED: Final = ["gate.allowed_loss_bleu_4=0.2", "gate.allowed_loss_cider_d=0.8"]

# Three whole runs, which share the machine with other tests.
pytestmark = pytest.mark.timeout(1800)


@dataclasses.dataclass
class Compiled:
    """A pipeline that is compiled once, and run with other arguments each time.

    Attributes:
      folder: everything is under it.
      package: the compiled file.
      runs: those that have come to their end.
    """

    folder: pathlib.Path
    package: pathlib.Path
    runs: list[kubeflow_local.LocalRun] = dataclasses.field(default_factory=list)

    @property
    def data(self) -> pathlib.Path:
        return self.folder / "data"

    @property
    def paths(self) -> Paths:
        return Paths(str(self.folder / "root"))

    def run(self, name: str, *assignments: str) -> kubeflow_local.LocalRun:
        """Starts a run as a client does, with the config's changes as arguments."""
        config = override(small_config(), [*ALLOWED, *assignments])
        arguments = kubeflow_parameters.arguments(config, str(self.data), root=self.paths.root)
        before = set(self.folder.glob("kubeflow/*"))
        try:
            self.runs.append(
                kubeflow_local.run(self.package, arguments, self.folder, in_process=True, pipeline_root=STORE)
            )
        finally:
            (ran,) = set(self.folder.glob("kubeflow/*")) - before
            shutil.copytree(ran / "logs", KEPT / name)
        return self.runs[-1]

    def versions(self) -> list[str]:
        """The pushed versions."""
        return sorted(path.name for path in pathlib.Path(self.paths.serving).iterdir())


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compiled]:
    shutil.rmtree(KEPT, ignore_errors=True)
    folder = tmp_path_factory.mktemp("compiled-run")
    package = folder / "pipeline.yaml"
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    assert (
        cli.main(["compile", "--config", "demo", "--image", "a/b:1", "--output", str(package), *settings])
        == 0
    )
    import_scenes(folder / "data", IN_SPAN, seed=1)
    with pytest.MonkeyPatch.context() as patch, without_java():
        patch.setitem(kubeflow_entrypoint._LAUNCHER_FOLDERS, "minio://", f"{folder}/minio/")
        yield Compiled(folder, package)


def test_the_first_model_is_blessed_and_pushed(compiled: Compiled):
    ran = compiled.run("1-first")
    assert ran.verdict.blessed, ran.verdict.sentences
    assert ran.properties("ServingValidator", "blessing")["blessed"] == 1
    assert ran.properties("Baseline", "baseline")["has_model"] == 0
    version = pathlib.Path(ran.pushed)
    assert compiled.versions() == [version.name]
    assert (version / "saved_model.pb").is_file()


def test_every_task_has_run_and_left_a_log(compiled: Compiled):
    (ran,) = compiled.runs
    spec = kubeflow_local.read(compiled.package)
    assert set(ran.logs) == set(spec.root.dag.tasks)
    for task, log in ran.logs.items():
        assert (KEPT / "1-first" / f"{task}.log").read_bytes() == log.read_bytes()
        assert "Starting executor" in log.read_text(encoding="utf-8"), task


def test_artifacts_keep_the_names_that_the_backend_gave_them(compiled: Compiled):
    for task, artifacts in compiled.runs[0].outputs.items():
        for name, artifact in artifacts.items():
            assert artifact.uri.startswith(f"{STORE}/{task}/"), (task, name)
            assert artifact.uri.endswith(f"/{name}")


def test_a_worse_model_is_refused(compiled: Compiled):
    (version,) = compiled.versions()
    ran = compiled.run("2-worse", "train.shuffle_captions=true", "train.epochs=4")
    assert not ran.verdict.blessed, ran.verdict.sentences
    assert ran.verdict.baseline_version == version
    assert [check.metric for check in ran.verdict.checks if check.interval] == ["bleu_4", "cider_d"]
    assert not ran.pushed
    assert compiled.versions() == [version]
    assert ran.properties("ImageFeaturizer", "featurized")["images_computed"] == 0


def test_a_model_of_a_new_span_is_judged_on_it_and_pushed(compiled: Compiled):
    (version,) = compiled.versions()
    import_scenes(compiled.data, IN_NEW_SPAN, seed=2)
    ran = compiled.run("3-new-span")
    judgements = ran.path("SpanExampleGen", "judgements") / "judgements.json"
    spans = json.loads(judgements.read_text(encoding="utf-8"))
    assert [(span["span"], span["state"], span["used"]) for span in spans] == [
        (1, "accepted", True),
        (2, "accepted", True),
    ]
    featurized = ran.properties("ImageFeaturizer", "featurized")
    assert (featurized["images_computed"], featurized["images_reused"]) == (110, 230)
    assert ran.verdict.overall["images"] == 60
    assert ran.verdict.baseline_version == version
    assert ran.verdict.blessed, ran.verdict.sentences
    assert compiled.versions() == [version, pathlib.Path(ran.pushed).name]


def test_a_task_is_a_process_of_its_own_by_default(compiled: Compiled, tmp_path: pathlib.Path):
    """One of the tasks, which needs nothing else, with the container's own command."""
    document = next(yaml.safe_load_all(compiled.package.read_text(encoding="utf-8")))
    tasks = document["root"]["dag"]["tasks"]
    document["root"]["dag"]["tasks"] = {"RawSchema": tasks["RawSchema"]}
    package = tmp_path / "one.yaml"
    package.write_text(yaml.safe_dump(document), encoding="utf-8")
    ran = kubeflow_local.run(package, {}, tmp_path)
    (schema,) = pathlib.Path(ran.outputs["RawSchema"]["schema"].uri).iterdir()
    assert schema.name == "schema.pbtxt"
    assert "image/encoded" in schema.read_text(encoding="utf-8")
    assert "Starting executor" in ran.logs["RawSchema"].read_text(encoding="utf-8")
