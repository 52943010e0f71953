"""`captioner report`: the page and the model card of a run."""

import argparse
import os

from pipeline.commands.explain import add_run

HELP = "write a run's report again: one HTML page, and a model card"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.description = (
        "Writes report.html and model_card.md into the run's folder under ROOT/reports, as every run does at "
        "its end: the verdict, metrics against the model in service, slices, learning curves, pictures, data "
        "and its drift, what servers were asked beside what was learned from, and lineage. The page needs no "
        "network."
    )
    add_run(parser)
    parser.add_argument(
        "--requests",
        metavar="DIR",
        help="folder of 'captioner serve --request-log', to compare with the data (ROOT/requests, if it is "
        "there)",
    )
    parser.add_argument(
        "--request-days",
        type=float,
        default=30.0,
        metavar="DAYS",
        help="how far back before its newest image the request log is read (30)",
    )
    parser.add_argument("--pictures", type=int, default=12, metavar="N", help="pictures a section (12)")


def run(args: argparse.Namespace) -> int:
    """Writes the report and prints where. Raises UserError where there is no such run."""
    import pathlib

    from pipeline import runs
    from pipeline.errors import UserError
    from pipeline.paths import Paths
    from pipeline.report import report

    if args.pictures < 0:
        raise UserError(f"--pictures takes a number from 0; got {args.pictures}")
    if not args.request_days > 0:
        raise UserError(f"--request-days takes a number above 0; got {args.request_days:g}")
    paths = Paths(args.root)
    requests = pathlib.Path(args.requests) if args.requests else None
    path = report.make(runs.find(paths, args.run_id), paths, args.pictures, requests, args.request_days)
    print(f"Report: {os.path.relpath(path)}")
    return 0
