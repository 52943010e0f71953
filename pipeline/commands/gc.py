"""`captioner gc`: removes what a root has beyond so many runs, or a size."""

import argparse
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pipeline.paths import Paths
    from pipeline.retention.plan import Plan

HELP = "remove old runs, features, checkpoints and metadata"

_UNITS: Final = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SHOWN: Final = 5  # names in a sentence


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.description = (
        "Removes from a root the files, reports, logs and ML Metadata rows of old runs, checkpoints that "
        "nobody went on with, and image features that no run kept has used. What the runs of the versions in "
        "service and on trial have made stays, and so does that of the last run that came to its end; of a "
        "version that is kept or was rolled back, the report and the lineage stay. Versions go only with "
        "--keep-versions, data never. On the volume of a cluster, where Kubeflow keeps the runs, checkpoints "
        "that nobody has written to for two weeks go, and with --data features."
    )
    parser.add_argument("--root", required=True, metavar="DIR", help="as for 'captioner run'")
    parser.add_argument(
        "--data",
        action="append",
        default=[],
        metavar="DIR",
        help="folder of the spans, as for 'captioner run': features of images that are in no span there, and "
        "in none of the folders that the runs kept have used, go as well; may be repeated",
    )
    parser.add_argument(
        "--keep-runs",
        type=_count,
        metavar="N",
        help="newest runs of which everything stays (10, or as many as fit where --max-size is given)",
    )
    parser.add_argument(
        "--max-size",
        type=_size,
        metavar="SIZE",
        help="such as 20GB or 500MB: of those runs, keep only so many that the root is no larger",
    )
    parser.add_argument(
        "--keep-versions",
        type=_count,
        default=0,
        metavar="N",
        help="newest versions that stay, rolled back ones and those that were on trial counted apart; "
        "without it none goes. The ones in service, on trial, and last compared with stay in any case",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would go, and remove nothing")


def run(args: argparse.Namespace) -> int:
    """Removes, and says what. Raises UserError where that cannot be."""
    import os
    import pathlib

    from pipeline import run_pipeline
    from pipeline.errors import UserError
    from pipeline.paths import Paths
    from pipeline.retention import collection, removal
    from pipeline.retention.plan import DEFAULT_RUNS, Limits

    if "://" in args.root:
        raise UserError(
            f"{args.root} is a bucket: gc works in folders of this machine's file systems; give the bucket a "
            "rule by age for what lies in its folders pipeline/ and reports/"
        )
    paths = Paths(args.root)
    of_runs = (paths.metadata, paths.artifacts, paths.reports, paths.feature_store, paths.checkpoints)
    if not any(os.path.exists(place) for place in of_runs):
        raise UserError(f"{pathlib.Path(args.root)} is no --root of a run: there is nothing of one in it")
    runs = DEFAULT_RUNS if args.keep_runs is None and args.max_size is None else args.keep_runs
    with run_pipeline.lock(paths):
        if args.keep_versions:
            print(_without_old_versions(paths, args.keep_versions, args.dry_run), flush=True)
        plan = collection.look(
            paths, Limits(runs, args.max_size), [os.path.abspath(folder) for folder in args.data]
        )
        print("\n".join(_lines(plan, args.max_size, args.dry_run)), flush=True)
        if not args.dry_run:
            try:
                removal.carry_out(plan, paths)
            except OSError as error:
                raise UserError(f"{error}; put that right and run the same command again") from error
    return 0


def _without_old_versions(paths: "Paths", keep: int, dry: bool) -> str:
    """Removes versions, and says which: first, since their runs can go then as well."""
    from pipeline import releases
    from pipeline.retention import inventory

    compared_with = inventory.compared_with(paths)
    spared = [] if compared_with is None else [compared_with]
    if dry:
        gone = releases.old(paths, keep, spared, rolled_back=True)
    else:
        with releases.changing(paths):
            gone = releases.remove_old(paths, keep, spared, rolled_back=True)
    if not gone:
        return "No version is to go."
    would = "would go, and what only they keep" if dry else "gone"
    return f"Versions {would}: {', '.join(map(str, gone))}"


def _lines(plan: "Plan", limit: int | None, dry: bool) -> list[str]:
    would = "would go" if dry else "goes"
    lines = []
    for names, what in (
        (plan.gone, "gone"),
        (plan.recorded, "without their files, but with report and lineage, since their versions are kept"),
    ):
        if names:
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            lines.append(f"Runs {what}: {', '.join(names[:_SHOWN])}{more}")
    lines += [f"{size_text(size):>9}  {count:6,} {what}" for what, (count, size) in plan.by_kind().items()]
    if rows := len(plan.cut.executions) + len(plan.cut.artifacts):
        lines.append(f"{'':9}  {rows:6,} executions and artifacts in ML Metadata")
    if not plan:
        lines.append("Nothing is to go.")
    lines.append(f"{size_text(plan.holds - plan.left)} {would}, {size_text(plan.left)} stays.")
    if limit is not None and plan.left > limit:
        lines.append(
            f"That is more than --max-size {size_text(limit)}: what stays is the versions, the newest run, "
            "those in service, and their features. Fewer versions are kept with --keep-versions N."
        )
    return lines


def size_text(size: int) -> str:
    """Returns bytes for people: `1.2 GB`."""
    for unit in ("TB", "GB", "MB", "KB"):
        if size >= _UNITS[unit]:
            return f"{size / _UNITS[unit]:.1f} {unit}"
    return f"{size} B"


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a number from 1 on; got {text!r}")
    return int(text)


def _size(text: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]B)?", text.strip().upper())
    if match is None:
        raise argparse.ArgumentTypeError(f"a size such as 20GB, 500MB or a number of bytes; got {text!r}")
    return int(float(match[1]) * _UNITS[match[2] or ""])
