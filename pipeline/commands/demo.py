"""`captioner demo`: the whole path on generated pictures."""

import argparse
import pathlib

from pipeline.commands.run import add_overrides

HELP = "train, judge, push, serve and ask, on generated pictures"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.description = (
        "Draws pictures of coloured shapes, writes captions for them, runs the pipeline, serves the pushed "
        "model and asks it for captions of pictures that were held out. Needs no download. A second run has "
        "little left to do."
    )
    parser.add_argument("--dir", default="demo", type=pathlib.Path, help="where all of it goes (demo)")
    parser.add_argument("--train", type=int, default=2400, metavar="N", help="training pictures (2400)")
    parser.add_argument("--eval", type=int, default=200, metavar="N", help="evaluation pictures (200)")
    parser.add_argument("--test", type=int, default=100, metavar="N", help="held-out pictures (100)")
    parser.add_argument("--show", type=int, default=5, metavar="N", help="pictures printed (5)")
    add_overrides(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the demo."""
    from pipeline import demo

    demo.run(args.dir, args.assignments, (args.train, args.eval, args.test), args.show, args.verbose)
    return 0
