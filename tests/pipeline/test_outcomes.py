"""What became of a model over runs, rollbacks and promotions, with TFX's cache in between."""

import io
import pathlib
from collections.abc import Callable
from typing import Any

import pytest
import rich.console
from tfx import v1 as tfx
from tfx.types import standard_artifacts

from components.pusher.component import AtomicPusher, rolled_back
from pipeline import local_runner, outcomes, release_history, releases
from pipeline.paths import Paths

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def paths(tmp_path: pathlib.Path) -> Paths:
    return Paths(str(tmp_path / "root"))


@pytest.fixture
def run(paths: Paths, tmp_path: pathlib.Path) -> Run:
    """Runs the last part of a pipeline, from a judged model to its version."""

    def run(
        model: str, canary: bool = False, force: bool = False, blessed: int = 1, judged: str = ""
    ) -> dict[str, Any]:
        made = tmp_path / model
        (made / "Format-Serving").mkdir(parents=True, exist_ok=True)
        (made / "Format-Serving" / "saved_model.pb").write_text(model)
        trainer = tfx.dsl.Importer(str(made), artifact_type=standard_artifacts.Model).with_id("Model")
        evaluator = tfx.dsl.Importer(
            f"{made}-blessing{judged}{blessed}",
            artifact_type=standard_artifacts.ModelBlessing,
            custom_properties={"blessed": blessed},
        ).with_id("Blessing")
        pusher = AtomicPusher(
            model=trainer.outputs["result"],
            model_blessing=evaluator.outputs["result"],
            serving_dir=paths.serving,
            canary=canary,
            force=force,
            rolled_back=rolled_back(paths.serving),
        )
        pipeline = tfx.dsl.Pipeline(
            pipeline_name="push",
            pipeline_root=paths.artifacts,
            metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(
                paths.metadata
            ),
            components=[trainer, evaluator, pusher],
            enable_cache=True,
        )
        runner = local_runner.LocalRunner(rich.console.Console(file=io.StringIO()))
        runner.run(pipeline)
        return outcomes.placed(runner, pipeline, paths)

    return run


def change(paths: Paths, what: str, pushed: str, reason: str = "") -> None:
    with releases.changing(paths):
        version = int(pathlib.Path(pushed).name)
        releases.carry_out(paths, release_history.event(what, version, reason))


def texts(place: str) -> list[str]:
    """The models in a folder, by version."""
    return [file.read_text() for file in sorted(pathlib.Path(place).glob("*/saved_model.pb"))]


def test_a_model_that_was_not_blessed_is_nowhere(run: Run, paths: Paths) -> None:
    assert run("a", blessed=0) == {}
    assert texts(paths.serving) == []


def test_the_model_in_service_is_not_pushed_twice(run: Run, paths: Paths) -> None:
    first = run("a")
    assert (first["pushed_before"], first["canary"]) == (False, False)
    assert run("a") == first | {"pushed_before": True}, "cached"
    assert run("a", judged="again") == first | {"pushed_before": True}, "judged once more, against its copy"
    assert texts(paths.serving) == ["a"]


def test_a_rolled_back_model_is_not_pushed_again_unless_by_force(run: Run, paths: Paths) -> None:
    first, second = run("a"), run("b")
    assert texts(paths.serving) == ["a", "b"]
    change(paths, release_history.ROLLED_BACK, second["pushed"], "it shouts")

    for judged in ("", "", "against a"):  # all cached but the pusher; all cached; judged anew
        after = run("b", judged=judged)
        assert after["rolled_back"].endswith("it shouts")
        assert after.get("pushed") is None
        assert texts(paths.serving) == ["a"]

    assert run("a", judged="again") == first | {"pushed_before": True}, "the other is not touched by it"

    forced = run("b", force=True)
    assert not forced["pushed_before"]
    assert texts(paths.serving) == ["a", "b"]
    assert run("b") == forced | {"pushed_before": True}, "in service, whatever became of its first version"


def test_a_rollback_taken_back_is_as_if_it_had_not_been(run: Run, paths: Paths) -> None:
    run("a")
    second = run("b")
    change(paths, release_history.ROLLED_BACK, second["pushed"], "by mistake")
    change(paths, release_history.PROMOTED, second["pushed"])
    assert run("b") == second | {"pushed_before": True}


def test_a_canary_is_beside_what_is_in_service_until_it_is_promoted(run: Run, paths: Paths) -> None:
    first = run("a", canary=True)
    assert not first["canary"], "the first version answers everybody: there is no other"
    trial = run("b", canary=True)
    assert trial["canary"]
    assert trial["pushed"].startswith(paths.canary)
    assert (texts(paths.serving), texts(paths.canary)) == (["a"], ["b"])
    assert run("b", canary=True) == trial | {"pushed_before": True}
    assert run("b", canary=False) == trial | {"pushed_before": True}, "promoting is a command of its own"

    change(paths, release_history.PROMOTED, trial["pushed"])
    assert texts(paths.serving) == ["a", "b"]
    promoted = {
        "pushed": str(pathlib.Path(paths.serving, pathlib.Path(trial["pushed"]).name)),
        "pushed_before": True,
        "canary": False,
    }
    assert run("b", canary=True) == promoted, "the cache knows only where it was"


def test_a_version_that_was_removed_was_pushed_all_the_same(run: Run, paths: Paths) -> None:
    first = run("a")
    run("b")
    with releases.changing(paths):
        releases.remove_old(paths, keep=1)
    assert run("a") == first | {"pushed_before": True}
