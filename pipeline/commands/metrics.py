"""`captioner metrics`: scores captions in a file, of any system."""

import argparse

from pipeline import plain_json
from pipeline.errors import UserError

HELP = "score captions against references, as the caption field does"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.description = (
        "Computes BLEU-1 to 4, ROUGE-L, CIDEr-D and, where Java is there, METEOR as coco-caption does, and "
        "how varied the captions are. The numbers are those of the pipeline's Evaluator."
    )
    parser.add_argument(
        "--references",
        required=True,
        metavar="FILE",
        help='JSON: COCO\'s annotations, or {"ID": ["reference", ...], ...}',
    )
    parser.add_argument(
        "--captions", required=True, metavar="FILE", help='JSON: COCO\'s results, or {"ID": "caption", ...}'
    )
    parser.add_argument(
        "--training",
        metavar="FILE",
        help="training captions, as --references: adds the share of novel captions",
    )
    parser.add_argument(
        "--subset", action="store_true", help="leave out images without a caption, instead of refusing them"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Prints the metrics. Raises UserError for files that cannot be read or do not fit together."""
    from models.metrics import files, meteor, scores
    from models.metrics.catalogue import METRICS
    from models.metrics.tokenizer import tokenize

    try:
        everything = files.read_references(args.references)
        captions, references = files.pair(files.read_captions(args.captions), everything, args.subset)
        training = None
        if args.training:
            training = [text for texts in files.read_references(args.training).values() for text in texts]
    except (OSError, ValueError) as error:
        raise UserError(str(error)) from error
    results: dict[str, float | None] = {"images": float(len(captions))}
    results |= scores.score_captions(captions, references, training)
    found = meteor.meteor(
        [[tokenize(caption) for caption in captions]],
        [[tokenize(reference) for reference in of_image] for of_image in references],
    )
    reason = found.reason if isinstance(found, meteor.Unavailable) else ""
    results["meteor"] = None if isinstance(found, meteor.Unavailable) else found[0]
    if args.json:
        left_out = len(everything) - len(captions)
        notes = {"images_left_out": left_out, "meteor_not_computed": reason or None}
        print(plain_json.dumps(results | notes))
        return 0
    if len(everything) > len(captions):
        print(f"{len(everything) - len(captions)} images without a caption were left out.")
    for key, metric in METRICS.items():
        if key in results:
            value = results[key]
            print(f"{metric.name:<28}{'not computed: ' + reason if value is None else metric.show(value)}")
    return 0
