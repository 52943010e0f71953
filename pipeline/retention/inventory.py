"""What a root holds that can be removed, and what speaks for keeping it. Looks, and changes nothing."""

import bisect
import dataclasses
import json
import pathlib
import re
import time
from typing import Final

from pipeline import release_history, releases, runs
from pipeline.paths import Paths
from pipeline.retention import metadata, usage
from pipeline.retention.usage import Usage

REMOVING: Final = ".removing"  # under the root: what was renamed aside, to be deleted

_STARTED: Final = re.compile(r"(?:compare-)?(\d{8})-(\d{6})")
_SCHEDULED: Final = re.compile(r"(?:schedule|judge)-(\d{8})-(\d{6})\.log")
_STORE: Final = re.compile(r"[0-9a-f]{16}")
_SYSTEM: Final = ".system"
_EXECUTOR: Final = "executor_execution"


@dataclasses.dataclass(frozen=True)
class Item:
    """A file or folder that goes as one."""

    path: pathlib.Path
    usage: Usage


@dataclasses.dataclass(frozen=True)
class Run:
    """A run, or a comparison with all of its runs.

    Attributes:
      name: of its folder under `reports`, or of its log; of its row in ML Metadata where it has neither.
      finished: whether it came to its end, whatever the verdict.
      encoder: fingerprint of its image encoder; empty where that is not known.
      data: folder of its spans; empty where that is not known.
      contexts: its rows in ML Metadata.
      items: its report and its logs.
    """

    name: str
    finished: bool = False
    encoder: str = ""
    data: str = ""
    contexts: frozenset[int] = frozenset()
    items: tuple[Item, ...] = ()


@dataclasses.dataclass(frozen=True)
class Inventory:
    """What a root holds.

    Attributes:
      runs: the oldest first.
      serving: names of the runs of the versions in service and on trial, and of the one that the last run was
        compared with.
      pushed: names of the runs of all other versions that are still there.
      rows: of ML Metadata.
      artifacts: what an execution wrote, by its id.
      debris: what killed runs left behind, and nothing looks at.
      stores: image features, by the encoder's fingerprint.
      checkpoints: of unfinished trainings, with the moment of the last change, as runs name theirs.
      total: everything under the root.
    """

    runs: tuple[Run, ...]
    serving: frozenset[str]
    pushed: frozenset[str]
    rows: metadata.Rows
    artifacts: dict[int, tuple[Item, ...]]
    debris: tuple[Item, ...]
    stores: dict[str, Item]
    checkpoints: tuple[tuple[Item, str], ...]
    total: Usage


def take(paths: Paths) -> Inventory:
    """Looks at a root. Raises UserError where ML Metadata or the history of the versions cannot be read."""
    rows = metadata.read(paths.metadata)
    known = _runs(paths, rows)
    serving, pushed = _of_versions(paths)
    artifacts, debris = _artifacts(pathlib.Path(paths.artifacts))
    stores = {
        path.name: _item(path)
        for path in _folders(pathlib.Path(paths.feature_store))
        if _STORE.fullmatch(path.name)
    }
    for store in stores:
        debris += _unnamed_encoders(pathlib.Path(paths.feature_store, store))
    return Inventory(
        known,
        serving,
        pushed,
        rows,
        artifacts,
        tuple(debris),
        stores,
        tuple((_item(path), _changed(path)) for path in _folders(pathlib.Path(paths.checkpoints))),
        usage.scan(pathlib.Path(paths.root).resolve()),
    )


def started(name: str) -> str:
    """Returns when a run began, in digits that sort, from its name or that of its row; empty for neither."""
    match = _STARTED.fullmatch(name)
    return "".join(match.groups()) if match else re.sub(r"\D", "", name)[:14]


def days_ago(days: int) -> str:
    """Returns that moment in digits, as `started` does."""
    return _digits(time.time() - days * 24 * 3600)


def _runs(paths: Paths, rows: metadata.Rows) -> tuple[Run, ...]:
    logs = list(pathlib.Path(paths.log("*")).parent.glob("*.log"))
    items: dict[str, list[Item]] = {}
    for path in (*_folders(pathlib.Path(paths.reports)), *logs):
        name = path.name.removesuffix(".log")
        if _STARTED.fullmatch(name):
            items.setdefault(name, []).append(_item(path))
    names = sorted(items, key=started)
    moments = [started(name) for name in names]
    for path in logs:
        if names and (match := _SCHEDULED.fullmatch(path.name)):
            # Begun by the scheduler before the run that it is of, or before the next one.
            at = bisect.bisect_left(moments, "".join(match.groups()))
            items[names[min(at, len(names) - 1)]].append(_item(path))
    contexts: dict[str, set[int]] = {}
    for context, moment in rows.runs.items():
        # One run at a time: a row is of the run that had begun last.
        at = bisect.bisect_right(moments, started(moment)) - 1
        contexts.setdefault(names[at] if at >= 0 else moment, set()).add(context)
    records = {run.id: run for run in runs.find_all(paths)}
    found = []
    for name in sorted({*names, *contexts}, key=started):
        record = records.get(name)
        finished = name.startswith("compare-") and pathlib.Path(paths.reports, name).is_dir()
        if record is not None:
            finished = record.state not in (runs.RUNNING, runs.FAILED)
        found.append(
            Run(
                name,
                finished,
                record.encoder if record else "",
                record.data if record else "",
                frozenset(contexts.get(name, ())),
                tuple(items.get(name, ())),
            )
        )
    return tuple(found)


def _of_versions(paths: Paths) -> tuple[frozenset[str], frozenset[str]]:
    """Names of the runs of the versions that matter most, and of the others that are still there."""
    now, history = releases.read(paths), release_history.History.read(paths.release_history)
    by_version: dict[int, str] = {}
    known = runs.find_all(paths)
    for run in known:
        version = run.pushed.rpartition("/")[2]
        if version.isdecimal() and (run.state == runs.PUSHED or int(version) not in by_version):
            by_version[int(version)] = run.id
    for event in history.events:
        if event.run and event.what in (release_history.PUSHED, release_history.CANARY):
            by_version[event.version] = event.run
    for number in now.all:
        # Killed between push and record: a version's number is the moment, and one run runs at a time.
        begun = [run.id for run in known if started(run.id) <= _digits(number)]
        if begun:
            by_version.setdefault(number, begun[-1])
    first = {now.stable, now.canary, compared_with(paths)}
    serving = frozenset(by_version[version] for version in first if version in by_version)
    return serving, frozenset(by_version[version] for version in now.all if version in by_version) - serving


def compared_with(paths: Paths) -> int | None:
    """Returns the version that the last run was compared with; None where that is not known."""
    try:
        record = json.loads(pathlib.Path(paths.last_run).read_text("utf-8"))
        version = str(record["compared_with"]).partition("-")[0]
    except (OSError, ValueError, KeyError, TypeError):
        return None  # the next run plans anew
    return int(version) if version.isdecimal() else None


def _artifacts(folder: pathlib.Path) -> tuple[dict[int, tuple[Item, ...]], list[Item]]:
    """What executions wrote: `NODE/OUTPUT/ID`, and TFX's own in `NODE/.system`."""
    found: dict[int, list[Item]] = {}
    debris = []
    for node in _folders(folder):
        outputs = [output for output in _folders(node) if output.name != _SYSTEM]
        for output in (*outputs, node / _SYSTEM / _EXECUTOR):
            for path in _folders(output):
                if path.name.isdecimal():
                    found.setdefault(int(path.name), []).append(_item(path))
        # Working folders and messages within one execution: none is under way.
        for place in _folders(node / _SYSTEM):
            if place.name != _EXECUTOR:
                debris += [_item(path) for path in _folders(place)]
    return {id_: tuple(items) for id_, items in found.items()}, debris


def _unnamed_encoders(store: pathlib.Path) -> list[Item]:
    """Encoders that were being built when a run was killed."""
    try:
        named = json.loads((store / "encoder.json").read_text("utf-8"))["encoder"]
    except (OSError, ValueError, KeyError, TypeError):
        return []  # the next run builds one, or says what is wrong
    return [_item(path) for path in store.glob("encoder-*") if path.name != named]


def _changed(folder: pathlib.Path) -> str:
    return _digits(max(path.lstat().st_mtime for path in (folder, *folder.rglob("*"))))


def _digits(moment: float) -> str:
    return time.strftime("%Y%m%d%H%M%S", time.localtime(moment))


def _folders(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def _item(path: pathlib.Path) -> Item:
    return Item(path, usage.scan(path))
