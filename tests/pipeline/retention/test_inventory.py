"""What is known of a root: which rows, folders and versions are of which run."""

import os
import pathlib
import time

from pipeline import release_history, releases, runs
from pipeline.release_history import History
from pipeline.retention import inventory
from tests.pipeline.retention.conftest import ENCODER, Root, remember


def take(root: Root) -> inventory.Inventory:
    return inventory.take(root.paths)


def write(path: str | pathlib.Path, text: str = "x") -> pathlib.Path:
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_rows_are_of_the_run_that_had_begun_last(root: Root):
    first, second = root.run(data="a"), root.run(data="b")
    found = take(root)
    assert [run.name for run in found.runs] == [first.name, second.name]
    executions = [found.rows.of(run.contexts) for run in found.runs]
    assert executions == [set(first.executions), set(second.executions)]
    assert [run.finished for run in found.runs] == [True, True]
    assert [len(run.items) for run in found.runs] == [2, 2], "report and log"


def test_a_run_that_was_killed_or_failed_has_not_finished(root: Root):
    root.run(state=runs.RUNNING)
    root.run(state=runs.FAILED)
    assert [run.finished for run in take(root).runs] == [False, False]


def test_a_comparison_is_one_run_with_all_its_rows(root: Root):
    made = root.run(data="a")
    os.rename(root.paths.report(made.name, ""), root.paths.report("compare-20260101-020000", ""))
    os.rename(root.paths.log(made.name), root.paths.log("compare-20260101-020000"))
    (run,) = take(root).runs
    assert (run.name, run.finished, len(run.contexts)) == ("compare-20260101-020000", True, 1)


def test_what_the_scheduler_logged_goes_with_the_run_that_it_began(root: Root):
    names = [root.run(data=str(i)).name for i in range(2)]
    for name in ("schedule-20260101-025930", "judge-20260101-120000", "schedule-20260103-025930", "mine"):
        write(root.paths.log(name))
    logs = [{item.path.name for item in run.items if item.path.suffix} for run in take(root).runs]
    assert logs == [
        {f"{names[0]}.log", "schedule-20260101-025930.log"},
        {f"{names[1]}.log", "judge-20260101-120000.log", "schedule-20260103-025930.log"},
    ]


def test_rows_without_a_report_are_a_run_of_their_own(root: Root):
    made = root.run()
    for path in (root.paths.report(made.name, runs.FILE), root.paths.log(made.name)):
        os.unlink(path)
    os.rmdir(root.paths.report(made.name, ""))
    root.run()
    assert [run.name[:10] for run in take(root).runs] == ["2026-01-01", "20260102-0"]


def test_versions_name_their_runs(root: Root):
    made = [root.run(data=str(version), version=version) for version in (100, 200, 300, 400)]
    remember(root, compared_with=200)
    with releases.changing(root.paths):
        releases.carry_out(root.paths, release_history.event(release_history.ROLLED_BACK, 300, "it shouts"))
    found = take(root)
    assert found.serving == {made[3].name, made[1].name}, "in service, and compared with"
    assert found.pushed == {made[0].name, made[2].name}, "kept and rolled back"


def test_the_run_that_told_of_a_version_counts_more_than_one_that_found_it_pushed(root: Root):
    first = root.run(version=100)
    again = root.run(state=runs.UNCHANGED)
    record = runs.find(root.paths, again.name)
    runs.Run(**(vars(record) | {"pushed": os.path.join(root.paths.serving, "100")})).write(root.paths)
    assert take(root).serving == {first.name}
    told = release_history.event(release_history.PUSHED, 100, run=again.name)
    History((told,)).write(root.paths.release_history)
    assert take(root).serving == {again.name}


def test_folders_are_known_by_their_execution(root: Root):
    made = root.run()
    node = pathlib.Path(root.paths.artifacts, "Trainer", ".system")
    write(node / "stateful_working_dir" / "uuid" / "state")
    found = take(root)
    names = {
        id_: sorted(str(item.path.relative_to(root.paths.artifacts)) for item in items)
        for id_, items in found.artifacts.items()
    }
    trainer = made.executions[1]
    assert names[trainer] == [f"Trainer/.system/executor_execution/{trainer}", f"Trainer/out/{trainer}"]
    assert [item.path for item in found.debris] == [node / "stateful_working_dir" / "uuid"]


def test_of_two_encoders_in_a_store_the_named_one_is_used(root: Root):
    root.run()
    store = pathlib.Path(root.paths.feature_store, ENCODER)
    write(store / "encoder-one" / "saved_model.pb")
    write(store / "encoder-two" / "saved_model.pb")
    assert not take(root).debris, "which one is not known"
    write(store / "encoder.json", '{"encoder": "encoder-two", "shape": [1, 2]}')
    assert [item.path.name for item in take(root).debris] == ["encoder-one"]


def test_what_is_none_of_ours_is_not_listed(root: Root):
    root.run()
    write(pathlib.Path(root.paths.feature_store, "notes", "mine.txt"))
    write(pathlib.Path(root.paths.reports, "to the board", "slides"))
    write(pathlib.Path(root.paths.artifacts, "Trainer", "out", "best", "weights"))
    found = take(root)
    assert list(found.stores) == [ENCODER]
    assert len(found.runs) == 1
    assert len(found.artifacts) == 2


def test_checkpoints_are_as_old_as_their_last_change(root: Root):
    path = write(pathlib.Path(root.paths.checkpoints, "abc", "checkpoint"))
    moment = time.mktime((2026, 1, 2, 3, 4, 5, 0, 0, -1))
    for each in (path, path.parent):
        os.utime(each, (moment, moment))
    ((item, changed),) = take(root).checkpoints
    assert (item.path.name, changed) == ("abc", "20260102030405")
