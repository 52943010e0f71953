"""Rows of ML Metadata: what goes is gone with all its parts, what stays is read as before."""

import contextlib
import pathlib
import sqlite3

import pytest

from pipeline.errors import UserError
from pipeline.retention import metadata
from pipeline.retention.metadata import Rows
from tests.pipeline.retention.conftest import Root


def run_contexts(root: Root) -> list[int]:
    return sorted(metadata.read(root.paths.metadata).runs)


def keep(root: Root, whole: list[int], recorded: list[int] | None = None) -> None:
    rows = metadata.read(root.paths.metadata)
    metadata.remove(root.paths.metadata, metadata.cut(rows, whole, recorded or []))


def count(root: Root, table: str) -> int:
    with contextlib.closing(sqlite3.connect(root.paths.metadata)) as db:
        return db.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]


def test_the_rows_of_a_run_that_is_not_kept_are_gone(root: Root):
    root.run(data="old")
    kept = root.run(data="new")
    keep(root, run_contexts(root)[1:])
    assert root.executions() == set(kept.executions)
    assert {artifact.id for artifact in root.store.get_artifacts()} == set(kept.artifacts)
    assert [context.name for context in root.store.get_contexts_by_type("pipeline_run")] == [
        "2026-01-02T03:00:20.123456"
    ]
    assert len(root.store.get_contexts_by_type("execution_cache")) == 2
    assert len(root.store.get_contexts_by_type("node")) == 2, "these are for all runs"
    assert metadata.loose_ends(root.paths.metadata) == []
    assert root.handed_out("old", 1) is None
    assert root.handed_out("new", 1) == kept.artifacts[1]


def test_what_a_kept_run_took_from_the_cache_stays_with_its_maker(root: Root):
    first = root.run(data="same", seed=1)
    second = root.run(data="same", seed=2)
    assert second.artifacts[0] == first.artifacts[0]
    keep(root, run_contexts(root)[1:])
    assert root.executions() == {first.executions[0], *second.executions}
    (event,) = [
        event for event in root.store.get_events_by_execution_ids([first.executions[0]]) if event.type == 4
    ]
    assert event.path.steps[0].key == "out"


def test_a_run_on_record_keeps_its_lineage_and_the_cache_hands_out_none_of_it(root: Root):
    first = root.run(data="old")
    root.run(data="new")
    keep(root, run_contexts(root)[1:], run_contexts(root)[:1])
    assert set(first.executions) <= root.executions()
    assert [artifact.state for artifact in root.store.get_artifacts_by_id(first.artifacts)] == [4, 4]
    assert root.handed_out("old", 1) is None, "though the folders are still there"
    recorded, whole = run_contexts(root)
    again = metadata.cut(metadata.read(root.paths.metadata), [whole], [recorded])
    assert not again, "the second time there is nothing to do"


def test_ids_are_not_given_again(root: Root):
    root.run(data="one")
    last = root.run(data="two")
    keep(root, [])
    assert root.executions() == set()
    assert min(root.run(data="three").executions) > max(last.executions)


def test_the_file_shrinks(root: Root):
    root.run(data="old")
    root.run(data="new")
    with contextlib.closing(sqlite3.connect(root.paths.metadata)) as db, db:
        db.execute("UPDATE ArtifactProperty SET string_value = hex(zeroblob(500000)) WHERE artifact_id = 1")
    keep(root, run_contexts(root)[1:])
    assert pathlib.Path(root.paths.metadata).stat().st_size < 500_000


def test_executions_of_no_run_are_none_of_ours(root: Root):
    made = root.run()
    with contextlib.closing(sqlite3.connect(root.paths.metadata)) as db, db:
        db.execute("DELETE FROM Association WHERE execution_id = ?", (made.executions[1],))
    keep(root, [])
    assert root.executions() == {made.executions[1]}
    assert {artifact.id for artifact in root.store.get_artifacts()} == set(made.artifacts)


def test_it_is_all_or_nothing(root: Root, monkeypatch: pytest.MonkeyPatch):
    root.run(data="old")
    root.run(data="new")
    before = {table: count(root, table) for table in ("Execution", "Event", "EventPath", "Context")}

    def killed() -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(metadata.time, "time_ns", killed)
    with pytest.raises(KeyboardInterrupt):
        keep(root, run_contexts(root)[1:])
    assert {table: count(root, table) for table in before} == before


def test_a_schema_that_is_not_known_is_refused(root: Root):
    root.run()
    rows = metadata.read(root.paths.metadata)
    with contextlib.closing(sqlite3.connect(root.paths.metadata)) as db, db:
        db.execute("UPDATE MLMDEnv SET schema_version = 11")
    with pytest.raises(UserError, match=r"schema version 11, and only 10 is known.*nothing was removed"):
        metadata.remove(root.paths.metadata, metadata.cut(rows, [], []))
    assert count(root, "Execution") == 2


def test_the_installed_ml_metadata_has_the_schema_that_is_known(root: Root):
    with contextlib.closing(sqlite3.connect(root.paths.metadata)) as db:
        assert db.execute("SELECT schema_version FROM MLMDEnv").fetchall() == [(metadata.SCHEMA_VERSION,)]
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        things = {"Artifact", "Execution", "Context", "MLMDEnv", "sqlite_sequence"}
        types = {"Type", "TypeProperty", "ParentType"}
        assert tables == things | types | {table for table, _, _ in metadata._PARTS}, "no table is forgotten"
        for table in ("Artifact", "Execution", "Context"):
            (made,) = db.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()
            assert "AUTOINCREMENT" in made, "ids are not given again"


def test_a_file_that_is_none_is_refused_and_one_that_is_not_there_is_empty(tmp_path: pathlib.Path):
    path = tmp_path / "metadata.db"
    assert metadata.read(str(path)) == Rows()
    assert not path.exists()
    path.write_text("this is no database, but long enough to be taken for one" * 100)
    with pytest.raises(UserError, match=r"metadata\.db cannot be used.*delete it"):
        metadata.read(str(path))


def test_rows_of_nothing_are_named(root: Root):
    made = root.run()
    with contextlib.closing(sqlite3.connect(root.paths.metadata)) as db, db:
        db.execute("DELETE FROM Artifact WHERE id = ?", (made.artifacts[1],))
    assert "1 rows of Event are of no Artifact" in metadata.loose_ends(root.paths.metadata)
