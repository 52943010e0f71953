"""What goes and what stays."""

import pathlib

import pytest

from pipeline import release_history, releases, runs
from pipeline.retention import inventory, plan
from pipeline.retention.plan import Limits, Plan
from tests.pipeline.retention.conftest import KB, Root, remember


def planned(root: Root, newest: int | None = None, size: int | None = None) -> Plan:
    return plan.plan(inventory.take(root.paths), Limits(newest, size), {})


def artifacts(root: Root, found: Plan) -> list[str]:
    """Folders of components that go, TFX's own left out."""
    paths = [removal.item.path for removal in found.removals if removal.what == plan.ARTIFACTS]
    return sorted(
        str(path.relative_to(root.paths.artifacts)) for path in paths if ".system" not in path.parts
    )


def test_all_of_the_newest_runs_stays(root: Root):
    made = [root.run(data=str(i)) for i in range(4)]
    found = planned(root, 2)
    assert found.gone == (made[0].name, made[1].name)
    gone = [id_ for run in made[:2] for id_ in run.executions]
    assert artifacts(root, found) == sorted(
        f"{node}/out/{id_}" for node, id_ in zip(["ExampleGen", "Trainer"] * 2, gone, strict=True)
    )
    assert found.cut.executions == set(gone)
    assert not planned(root, 4)


def test_what_a_kept_run_took_from_an_old_one_stays(root: Root):
    first = root.run(data="same", seed=1)
    root.run(data="same", seed=2)
    found = planned(root, 1)
    assert found.gone == (first.name,)
    assert artifacts(root, found) == [f"Trainer/out/{first.executions[1]}"]
    assert found.cut.executions == {first.executions[1]}


def test_the_runs_of_the_versions_in_service_and_on_trial_stay_whole(root: Root):
    stable, canary = root.run(data="1", version=100), root.run(data="2")
    root.push(200, root.paths.canary)
    record = runs.find(root.paths, canary.name)
    runs.Run(**(vars(record) | {"pushed": f"{root.paths.canary}/200", "state": runs.PUSHED})).write(
        root.paths
    )
    gone = [root.run(data=str(i)) for i in range(3, 5)]
    root.run(data="5")
    found = planned(root, 1)
    assert found.gone == tuple(run.name for run in gone)
    assert not found.recorded
    assert stable.name not in found.gone


def test_so_does_the_run_of_the_version_that_the_last_one_was_compared_with(root: Root):
    compared = root.run(data="1", version=100)
    root.run(data="2", version=200)
    root.run(data="3", version=300)
    assert compared.name in planned(root, 1).recorded
    remember(root, compared_with=100)
    assert compared.name not in planned(root, 1).recorded


@pytest.mark.parametrize("rolled_back", [False, True])
def test_of_a_version_that_is_kept_or_rolled_back_report_and_lineage_stay(root: Root, rolled_back: bool):
    old = root.run(data="1", version=100)
    root.run(data="2", version=200)
    if rolled_back:
        with releases.changing(root.paths):
            releases.carry_out(
                root.paths, release_history.event(release_history.ROLLED_BACK, 100, "it shouts")
            )
    found = planned(root, 1)
    assert (found.gone, found.recorded) == ((), (old.name,))
    assert artifacts(root, found) == [
        f"{node}/out/{id_}" for node, id_ in zip(("ExampleGen", "Trainer"), old.executions, strict=True)
    ]
    assert not found.cut.executions
    assert found.cut.faded == set(old.artifacts)
    assert plan.REPORTS not in found.by_kind()


def test_the_last_run_that_came_to_its_end_stays(root: Root):
    good = root.run(data="1")
    failed = [root.run(data=str(i), state=runs.FAILED) for i in range(2, 5)]
    assert planned(root, 2).gone == (failed[0].name,)
    assert good.name not in planned(root, 2).gone


def test_a_size_takes_the_oldest_runs_first_and_no_more_than_it_must(root: Root):
    made = [root.run(data=str(i)) for i in range(5)]
    holds = planned(root).holds
    assert not planned(root, size=holds)
    one = planned(root, size=holds - 1)
    assert one.gone == (made[0].name,)
    assert holds - one.left > 200 * KB
    three = planned(root, size=holds - 500 * KB)
    assert three.gone == tuple(run.name for run in made[:3])
    assert planned(root, newest=1, size=holds).gone == tuple(run.name for run in made[:4]), "both hold"


def test_the_newest_run_stays_whatever_the_size(root: Root):
    made = [root.run(data=str(i)) for i in range(3)]
    found = planned(root, size=1)
    assert found.gone == (made[0].name, made[1].name)
    assert found.left > 1


def test_features_of_an_encoder_that_no_kept_run_used_go(root: Root):
    old, new = "a" * 16, "b" * 16
    root.run(encoder=old)
    root.run(encoder=new)
    assert plan.FEATURES not in planned(root, 2).by_kind()
    (gone,) = [removal for removal in planned(root, 1).removals if removal.what == plan.FEATURES]
    assert gone.item.path == pathlib.Path(root.paths.feature_store, old)


def test_without_a_run_that_is_known_no_features_go(root: Root):
    pathlib.Path(root.paths.feature_store, "a" * 16, "packs").mkdir(parents=True)
    assert not planned(root, 1)


def test_folders_of_executions_without_a_row_go(root: Root):
    root.run()
    stray = pathlib.Path(root.paths.artifacts, "Trainer", "out", "77")
    stray.mkdir()
    assert artifacts(root, planned(root, 1)) == ["Trainer/out/77"]


def test_checkpoints_from_before_the_kept_runs_go(root: Root):
    root.run()
    place = pathlib.Path(root.paths.checkpoints)
    for name in ("old", "new"):
        (place / name).mkdir(parents=True)
    found = inventory.take(root.paths)
    when = {"old": "20251231000000", "new": "20260101040000"}
    aged = tuple((item, when[item.path.name]) for item, _ in found.checkpoints)
    found = inventory.Inventory(**(vars(found) | {"checkpoints": aged}))
    (gone,) = plan.plan(found, Limits(1), {}).removals
    assert (gone.item.path.name, gone.what) == ("old", plan.CHECKPOINTS)


def test_nothing_is_planned_twice_and_nothing_outside_of_what_it_may_remove(root: Root):
    for i in range(4):
        root.run(data=str(i), version=100 + i)
    found = planned(root, 1)
    paths = [removal.item.path for removal in found.removals]
    assert len(paths) == len(set(paths))
    places = [pathlib.Path(place) for place in (root.paths.artifacts, root.paths.reports)]
    assert all(any(path.is_relative_to(place) for place in places) for path in paths), paths
