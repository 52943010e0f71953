"""`captioner caption`: captions of photos from a running server."""

import argparse
import json
import sys

HELP = "caption photos with a running server"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.description = (
        "Asks a caption server (captioner serve, or TensorFlow Serving) and prints the best caption of each "
        "photo. The exit status is 1 if any photo could not be captioned."
    )
    parser.add_argument("photos", nargs="+", metavar="PHOTO", help="image files")
    parser.add_argument(
        "--server", default="127.0.0.1:8500", metavar="HOST:PORT", help="default: %(default)s"
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help='one JSON object a line: {"file", "captions", "log_probs"}, or {"file", "error"}',
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="of each request; default: %(default)g",
    )


def run(args: argparse.Namespace) -> int:
    """Prints captions as the server gives them; returns 1 if any photo failed."""
    from pipeline.errors import UserError
    from serving import client, errors

    if args.timeout <= 0:
        raise UserError(f"--timeout must be more than 0 seconds; got {args.timeout:g}")
    failed = False
    try:
        with client.CaptionClient(args.server, timeout_s=args.timeout) as server:
            for file, answer in server.caption_files(args.photos):
                failed |= isinstance(answer, errors.ImageError)
                _show(file, answer, args.json)
    except errors.CaptionError as error:
        raise UserError(str(error)) from error
    return int(failed)


def _show(file: str, answer: object, as_json: bool) -> None:
    from serving import client

    if isinstance(answer, client.Captions):
        if as_json:
            line = {"file": file, "captions": answer.texts, "log_probs": answer.log_probs}
            print(json.dumps(line, ensure_ascii=False), flush=True)
        else:
            print(f"{file}: {answer.texts[0]}", flush=True)
    elif as_json:
        print(json.dumps({"file": file, "error": str(answer)}, ensure_ascii=False), flush=True)
    else:
        print(f"{file}: {answer}", file=sys.stderr, flush=True)
