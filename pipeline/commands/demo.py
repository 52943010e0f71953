"""`captioner demo`: the whole path on generated pictures."""

import argparse

HELP = "train, judge, push, serve and ask, on generated pictures"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""


def run(args: argparse.Namespace) -> int:
    return 0
