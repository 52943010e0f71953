"""Runs, executions and artifacts in ML Metadata's SQLite file, read and deleted as rows.

ML Metadata's API adds and changes, and deletes nothing. What is known here of its tables is that of
`SCHEMA_VERSION`, and nothing is touched in a file of another one:

- `Execution`, `Artifact` and `Context` are the things; `_PARTS` says which rows of the other tables are part
  of which. Ids are never given twice (AUTOINCREMENT), so the folder of a deleted execution, named by its id,
  is never taken for that of a new one.
- An `Event` says that an execution read or wrote an artifact, also when it took it from the cache.
- A run is a context of type `pipeline_run`; a cache key is one of type `execution_cache`, and TFX takes the
  outputs of its newest execution whose artifacts are all live and in place.
- An execution that no run has, or an artifact of no execution, is none of ours and stays.
"""

import collections
import contextlib
import dataclasses
import sqlite3
import time
from collections.abc import Iterable, Iterator
from typing import Final

from pipeline.errors import UserError

SCHEMA_VERSION: Final = 10

# A row of the first table, by that column, is part of one of the second. An event's path comes after it.
_PARTS: Final = (
    ("ExecutionProperty", "execution_id", "Execution"),
    ("ArtifactProperty", "artifact_id", "Artifact"),
    ("ContextProperty", "context_id", "Context"),
    ("Event", "execution_id", "Execution"),
    ("Event", "artifact_id", "Artifact"),
    ("EventPath", "event_id", "Event"),
    ("Association", "execution_id", "Execution"),
    ("Association", "context_id", "Context"),
    ("Attribution", "artifact_id", "Artifact"),
    ("Attribution", "context_id", "Context"),
    ("ParentContext", "context_id", "Context"),
    ("ParentContext", "parent_context_id", "Context"),
)
_OUTPUTS: Final = (1, 4, 6, 7)  # of Event.Type: DECLARED_OUTPUT, OUTPUT, INTERNAL_OUTPUT, PENDING_OUTPUT
_LIVE: Final = 2  # of Artifact.State
_DELETED: Final = 4
_RUN: Final = "pipeline_run"
_CACHE: Final = "execution_cache"
_ENCODER: Final = "encoder_fingerprint"
_BUSY_S: Final = 30.0


@dataclasses.dataclass(frozen=True)
class Rows:
    """What ML Metadata knows.

    Attributes:
      runs: name of each run's context: when it began, ISO 8601, local time.
      executions: of each run.
      used: artifacts that an execution read or wrote.
      makers: executions that wrote an artifact, or took it from the cache.
      live: artifacts that the cache may hand out.
      encoders: fingerprint of the image encoder, of the artifacts that have one.
    """

    runs: dict[int, str] = dataclasses.field(default_factory=dict)
    executions: dict[int, frozenset[int]] = dataclasses.field(default_factory=dict)
    used: dict[int, frozenset[int]] = dataclasses.field(default_factory=dict)
    makers: dict[int, frozenset[int]] = dataclasses.field(default_factory=dict)
    live: frozenset[int] = frozenset()
    encoders: dict[int, str] = dataclasses.field(default_factory=dict)

    def of(self, runs: Iterable[int]) -> frozenset[int]:
        """Returns the executions of `runs`, those taken from the cache included."""
        return frozenset().union(*(self.executions.get(run, frozenset()) for run in runs))

    def lineage(self, runs: Iterable[int]) -> frozenset[int]:
        """Returns the executions of `runs`, and those that made what they used, and so on."""
        found: set[int] = set()
        new = set(self.of(runs))
        while new:
            found |= new
            # The first of them made it, the others took it from the cache.
            new = {min(self.makers[a]) for a in self.artifacts(new) if a in self.makers} - found
        return frozenset(found)

    def artifacts(self, executions: Iterable[int]) -> frozenset[int]:
        """Returns what `executions` read and wrote."""
        return frozenset().union(*(self.used.get(execution, frozenset()) for execution in executions))


@dataclasses.dataclass(frozen=True)
class Cut:
    """What is taken out of ML Metadata.

    Attributes:
      runs: contexts of runs.
      executions, artifacts: rows that go with all that is part of them.
      faded: artifacts that stay on record without their files: the cache must not hand them out.
    """

    runs: frozenset[int] = frozenset()
    executions: frozenset[int] = frozenset()
    artifacts: frozenset[int] = frozenset()
    faded: frozenset[int] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.runs or self.executions or self.artifacts or self.faded)


def cut(rows: Rows, whole: Iterable[int], recorded: Iterable[int]) -> Cut:
    """Returns what is to go so that these runs stay: `whole` with their files, `recorded` without."""
    whole, recorded = frozenset(whole), frozenset(recorded)
    in_place = rows.lineage(whole)
    staying = rows.lineage(whole | recorded)
    executions = rows.of(rows.executions) - staying
    # What only such executions have used.
    artifacts = rows.artifacts(executions) - rows.artifacts(set(rows.used) - executions)
    faded = (rows.artifacts(staying) - rows.artifacts(in_place)) & rows.live
    return Cut(frozenset(rows.runs) - whole - recorded, executions, artifacts, faded - artifacts)


def read(path: str) -> Rows:
    """Reads the rows of a file; none where there is no file.

    Raises:
      UserError: it is broken, busy, or not of the schema that is known.
    """
    try:
        with _opened(path) as db:
            return _read(db)
    except FileNotFoundError:
        return Rows()


def _read(db: sqlite3.Connection) -> Rows:
    def grouped(query: str, *values: object) -> dict[int, frozenset[int]]:
        groups: dict[int, set[int]] = collections.defaultdict(set)
        for key, value in db.execute(query, values):
            groups[key].add(value)
        return {key: frozenset(group) for key, group in groups.items()}

    of_type = "SELECT id FROM Type WHERE name = ? AND type_kind = 2"
    outputs = ", ".join(map(str, _OUTPUTS))
    return Rows(
        dict(db.execute(f"SELECT id, name FROM Context WHERE type_id IN ({of_type}) ORDER BY id", (_RUN,))),
        grouped(
            "SELECT context_id, execution_id FROM Association WHERE context_id IN "
            f"(SELECT id FROM Context WHERE type_id IN ({of_type}))",
            _RUN,
        ),
        grouped("SELECT execution_id, artifact_id FROM Event"),
        grouped(f"SELECT artifact_id, execution_id FROM Event WHERE type IN ({outputs})"),
        frozenset(id_ for (id_,) in db.execute("SELECT id FROM Artifact WHERE state = ?", (_LIVE,))),
        dict(
            db.execute(
                "SELECT artifact_id, string_value FROM ArtifactProperty "
                "WHERE name = ? AND string_value != ''",
                (_ENCODER,),
            )
        ),
    )


def remove(path: str, what: Cut) -> None:
    """Takes `what` out, all of it or, if it is cut off, nothing; then gives the room back to the disk.

    Call it while no run is under way.

    Raises:
      UserError: as of `read`.
    """
    with _opened(path) as db:
        with _transaction(db):
            for table, ids in (
                ("Context", what.runs),
                ("Execution", what.executions),
                ("Artifact", what.artifacts),
            ):
                db.executemany(f"DELETE FROM {table} WHERE id = ?", [(id_,) for id_ in ids])
            db.execute("DELETE FROM Association WHERE execution_id NOT IN (SELECT id FROM Execution)")
            db.execute(
                "DELETE FROM Context WHERE type_id IN (SELECT id FROM Type WHERE name = ?) "
                "AND id NOT IN (SELECT context_id FROM Association)",
                (_CACHE,),
            )
            for table, column, of in _PARTS:
                db.execute(f"DELETE FROM {table} WHERE {column} NOT IN (SELECT id FROM {of})")
            now = time.time_ns() // 1_000_000
            db.executemany(
                "UPDATE Artifact SET state = ?, last_update_time_since_epoch = ? WHERE id = ?",
                [(_DELETED, now, id_) for id_ in what.faded],
            )
        db.execute("VACUUM")


def loose_ends(path: str) -> list[str]:
    """Returns what is wrong with a file, in sentences; nothing if it is whole.

    Raises:
      UserError: as of `read`.
    """
    with _opened(path) as db:
        problems = [text for (text,) in db.execute("PRAGMA integrity_check") if text != "ok"]
        for table, column, of in _PARTS:
            ((count,),) = db.execute(
                f"SELECT COUNT(*) FROM {table} WHERE {column} NOT IN (SELECT id FROM {of})"
            )
            if count:
                problems.append(f"{count} rows of {table} are of no {of}")
    return problems


@contextlib.contextmanager
def _opened(path: str) -> Iterator[sqlite3.Connection]:
    """Opens the file if it is one of ours. What a killed process had begun is undone by SQLite."""
    with open(path, "rb"):
        pass  # FileNotFoundError, where SQLite would say less
    try:
        # Transactions begin and end where it is said, and nowhere else.
        with contextlib.closing(sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)) as db:
            versions = [version for (version,) in db.execute("SELECT schema_version FROM MLMDEnv")]
            if versions != [SCHEMA_VERSION]:
                raise UserError(
                    f"{path} has ML Metadata's schema version {', '.join(map(str, versions)) or 'unknown'}, "
                    f"and only {SCHEMA_VERSION} is known here, so nothing was removed. Take the version of "
                    "this software that goes with the installed ml-metadata"
                )
            yield db
    except sqlite3.Error as error:
        raise UserError(
            f"{path} cannot be used: {error}. If another program has it open, end that one; if the file is "
            "broken, put a copy back, or delete it: then everything is computed again"
        ) from error


@contextlib.contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")
