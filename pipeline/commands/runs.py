"""`captioner runs`: the runs in a root."""

import argparse
import dataclasses

from components.evaluator.verdict import Verdict
from pipeline import plain_json, runs, tables
from pipeline.paths import Paths

HELP = "list the runs: verdict, metrics, duration, pushed version"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.description = "Lists the runs in a root, the newest last."
    parser.add_argument("--root", required=True, metavar="DIR", help="as for 'captioner run'")
    parser.add_argument("--json", action="store_true", help="print one JSON object a run")


def run(args: argparse.Namespace) -> int:
    """Prints the runs."""
    paths = Paths(args.root)
    found = runs.find_all(paths)
    if args.json:
        for each in found:
            verdict = each.verdict(paths)
            metrics = verdict.overall if verdict else {}
            print(plain_json.dumps(dataclasses.asdict(each) | {"metrics": metrics}))
        return 0
    rows = []
    for each in found:
        verdict = each.verdict(paths)
        rows.append(
            [
                each.id,
                _outcome(each, verdict),
                *tables.metric_cells(verdict.overall if verdict else {}),
                f"{each.seconds / 60:.1f}",
                each.pushed.rpartition("/")[2],
                _why(each, verdict),
            ]
        )
    scores = tables.METRICS.values()
    tables.show(["run", "outcome", *scores, "minutes", "version", ""], rows, right=[*scores, "minutes"])
    if not found:
        print(f"No runs in {paths.root} yet: 'captioner run' makes them.")
    return 0


def _outcome(run: runs.Run, verdict: Verdict | None) -> str:
    words = {runs.RUNNING: "did not end, or runs", runs.UNCHANGED: "pushed before"}
    return words.get(run.state, run.state) + (", forced" if verdict and verdict.forced else "")


def _why(run: runs.Run, verdict: Verdict | None) -> str:
    if run.error:
        return run.error.splitlines()[0]
    if run.rolled_back:
        return run.rolled_back
    return verdict.sentences[0] if verdict else ""
