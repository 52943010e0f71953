"""`captioner spans`: the spans, what was found of each, and a person's word on them."""

import argparse
import os
from typing import TYPE_CHECKING, Any

from pipeline import plain_json, tables
from pipeline.errors import UserError
from pipeline.paths import Paths

if TYPE_CHECKING:
    from components.span_example_gen.records import Judgement

HELP = "list the spans and why any was refused; accept or refuse one"
_STATES = {"accept": "accepted", "refuse": "refused"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.description = (
        "Lists the spans of a data folder: whether runs use them, and why not. A run judges each span once, "
        "when it is new. 'accept N' and 'refuse N' put a person's word before that, for the runs to come; "
        "what was found is kept."
    )
    parser.add_argument("action", nargs="?", choices=sorted(_STATES), help="what to do with a span")
    parser.add_argument("span", nargs="?", type=int, metavar="N", help="its number")
    parser.add_argument("--root", required=True, metavar="DIR", help="as for 'captioner run'")
    parser.add_argument("--data", required=True, metavar="DIR", help="folder of the spans")
    parser.add_argument("--reason", default="", metavar="TEXT", help="why it is accepted or refused; kept")
    parser.add_argument("--json", action="store_true", help="print one JSON object a span")


def run(args: argparse.Namespace) -> int:
    """Lists the spans, or keeps a person's word. Raises UserError where that cannot be."""
    from components.span_example_gen import records
    from components.span_example_gen import spans as spans_

    if not os.path.isdir(args.data):
        raise UserError(f"there is no folder {args.data}; give the --out of 'captioner import' as --data")
    spans, kept = spans_.find(args.data), Paths(args.root).spans
    if args.action:
        _require(args, [span.number for span in spans])
        (span,) = (each for each in spans if each.number == args.span)
        (before,) = records.read(kept, [span])
        records.write_word(kept, span, _STATES[args.action], args.reason.strip())
        print(f"{span.name} was {before.state} and is {_STATES[args.action]}: {args.reason.strip()}")
        print("The next run follows.")
        return 0
    judgements = records.read(kept, spans)
    if args.json:
        for each in judgements:
            print(plain_json.dumps(each.to_dict()))
        return 0
    _print(judgements)
    return 0


def _require(args: argparse.Namespace, numbers: list[int]) -> None:
    """Raises UserError unless a span that there is and a reason are given."""
    if args.span not in numbers:
        there = f"there are {', '.join(map(str, numbers))}" if numbers else "there is none"
        given = "none is given" if args.span is None else f"there is no span {args.span}"
        raise UserError(f"expected the number of a span in {args.data}: {given}; {there}")
    if not args.reason.strip():
        raise UserError(f"say why, for those who come after: --reason TEXT with '{args.action} {args.span}'")


def _print(judgements: "list[Judgement]") -> None:
    rows = []
    for each in judgements:
        known: dict[str, Any] = each.to_dict()
        new = each.record is None
        rows.append(
            [
                str(each.span.number),
                each.state + (", by a person" if each.word else ""),
                "" if new else str(known["images"]),
                "" if new else str(known["captions"]),
                known["checked_at"][:16].replace("T", " "),
                known["model"].partition("-")[0],
            ]
        )
    titles = ["span", "state", "images", "captions", "judged (UTC)", "by model"]
    tables.show(titles, rows, right=["span", "images", "captions"])
    for each in judgements:
        for sentence in _sentences(each):
            print(f"span {each.span.number}: {sentence}")
    if not judgements:
        print("There are no spans: 'captioner import' makes them.")
    elif any(each.record is None for each in judgements):
        print("A span that is new is judged by the next 'captioner run'.")


def _sentences(judgement: "Judgement") -> list[str]:
    """What a person said and when, what was found, and what should be known all the same."""
    sentences = []
    word, record = judgement.word, judgement.record
    if word is not None:
        said = f"{word.state} by a person, {word.at[:16].replace('T', ' ')}: {word.reason}"
        sentences.append(said)
    if record is not None:
        verb = "found" if word is not None else "refused"
        sentences += [f"{verb}: {reason}" for reason in record.reasons]
        sentences += [f"note: {warning}" for warning in record.warnings]
    return sentences
