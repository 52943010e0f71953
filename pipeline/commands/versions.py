"""`captioner versions`: the pushed versions in a root."""

import argparse
import dataclasses
from typing import Any

from pipeline import plain_json, release_history, releases, runs, tables
from pipeline.paths import Paths

HELP = "list the pushed versions: stable, canary, kept, rolled back and why"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.description = "Lists the pushed versions in a root, the newest first. Changes nothing."
    parser.add_argument("--root", required=True, metavar="DIR", help="as for 'captioner run'")
    parser.add_argument("--json", action="store_true", help="print one JSON object a version")


def run(args: argparse.Namespace) -> int:
    """Prints the versions."""
    paths = Paths(args.root)
    rows = _rows(paths)
    if args.json:
        for row in rows:
            print(plain_json.dumps(row))
        return 0
    shown = []
    for row in rows:
        events = [release_history.Event(**fields) for fields in row["history"]]
        # That it was pushed stands in its own column.
        why = events[-1].sentence if events and (len(events) > 1 or events[0].reason) else ""
        metrics = tables.metric_cells(row["metrics"])
        pushed = row["pushed"][:16].replace("T", " ")
        shown.append([str(row["version"]), row["state"], row["run"], *metrics, pushed, why])
    titles = tables.METRICS.values()
    tables.show(["version", "state", "run", *titles, "pushed (UTC)", ""], shown, right=titles)
    if not rows:
        print(f"No version was pushed in {paths.root} yet: 'captioner run' does.")
    return 0


def _rows(paths: Paths) -> list[dict[str, Any]]:
    now, history = releases.read(paths), release_history.History.read(paths.release_history)
    pushed_by: dict[str, runs.Run] = {}
    for each in runs.find_all(paths):
        if each.state == runs.PUSHED:
            pushed_by[each.pushed.rpartition("/")[2]] = each
    rows = []
    for version in now.all:
        events = history.of(version)
        pushed = [event for event in events if event.what in (release_history.PUSHED, release_history.CANARY)]
        run = pushed_by.get(str(version))
        verdict = run.verdict(paths) if run else None
        rows.append(
            {
                "version": version,
                "state": now.state(version),
                "run": run.id if run else "",
                "metrics": verdict.overall if verdict else {},
                "pushed": pushed[0].time if pushed else "",
                "folder": str(releases.folder(paths, version)),
                "history": [dataclasses.asdict(event) for event in events],
            }
        )
    return rows
