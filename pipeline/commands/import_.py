"""`captioner import`: images and captions in, a span of TFRecord shards out."""

import argparse
import pathlib
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.importers.records import Source

HELP = "turn photos and captions into a span of training data"

_EPILOG = """\
Options of a Beam runner follow after --, for instance
  captioner import coco --source coco --out data -- --runner=FlinkRunner --flink_master=host:8081
  captioner import coco --source coco --out data -- --direct_running_mode=multi_processing \\
      --direct_num_workers=0
Workers on other machines need --source and --out at the same paths (a shared file system).
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares one subcommand a source."""
    sources = parser.add_subparsers(dest="importer", required=True, metavar="SOURCE")

    def add(name: str, help_: str, source: str = "") -> argparse.ArgumentParser:
        sub = sources.add_parser(
            name, help=help_, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        if source:
            sub.add_argument("--source", required=True, type=pathlib.Path, metavar="DIR", help=source)
            sub.add_argument(
                "--split-shares",
                type=_shares,
                default=(8, 1, 1),
                metavar="A:B:C",
                help="train:eval:test by hash of the image id, where no official list decides (8:1:1)",
            )
        _add_common(sub)
        return sub

    add(
        "flickr30k",
        "Flickr30k",
        "folder with flickr30k-images/, results_20130124.token (loose or in its tar.gz) and, for the usual "
        "splits, dataset_flickr30k.json",
    )
    add(
        "flickr8k",
        "Flickr8k",
        "folder with Flicker8k_Dataset/, Flickr8k.token.txt and the lists Flickr_8k.*Images.txt",
    )
    coco = add(
        "coco",
        "COCO captions, or anything in its format",
        "folder with annotations/captions_*.json, the image folders and, for the usual splits, "
        "dataset_coco.json",
    )
    coco.add_argument(
        "--annotations", nargs="+", type=pathlib.Path, default=[], metavar="FILE", help="annotation files"
    )
    coco.add_argument("--images", type=pathlib.Path, metavar="DIR", help="folder of the images")
    folder = add(
        "folder",
        "images beside a CSV or JSONL of file,caption[,split]",
        "folder with the images and the table; several rows of a file are several captions",
    )
    folder.add_argument(
        "--captions",
        type=pathlib.Path,
        metavar="FILE",
        help="the table (default: the only one there)",
    )
    scenes = add("scenes", "generated pictures of coloured objects; needs no download")
    scenes.add_argument("--train", type=_count, default=2400, metavar="N", help="training pictures (2400)")
    scenes.add_argument("--eval", type=_count, default=200, metavar="N", help="evaluation pictures (200)")
    scenes.add_argument("--test", type=_count, default=100, metavar="N", help="held-out pictures (100)")
    scenes.add_argument("--seed", type=int, default=1, metavar="N", help="same seed, same bytes (1)")


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", required=True, type=pathlib.Path, metavar="DIR", help="folder of the spans")
    parser.add_argument("--span", default="next", metavar="N", help="number of the new span (default: next)")
    parser.add_argument(
        "--max-rejected",
        type=_share,
        default=0.05,
        metavar="SHARE",
        help="fail if more than this share of images or captions is bad (default: 0.05)",
    )
    parser.add_argument(
        "--max-pixels",
        type=_count,
        default=None,
        metavar="N",
        help="reject larger images (default: 64 million pixels)",
    )
    parser.add_argument("--shard-images", type=_count, default=None, metavar="N", help="images a shard (256)")
    parser.add_argument("beam_args", nargs="*", metavar="-- BEAM OPTIONS", help="options of a Beam runner")


def run(args: argparse.Namespace) -> int:
    """Imports and prints a summary. Raises UserError."""
    from pipeline.importers.importer import ImportOptions, import_source

    start = time.monotonic()
    given = {name: getattr(args, name) for name in ("max_pixels", "shard_images") if getattr(args, name)}
    options = ImportOptions(args.span, args.max_rejected, beam_args=tuple(args.beam_args), **given)
    manifest = import_source(_read_source(args), args.out, options)
    _print_summary(manifest, args.out, time.monotonic() - start)
    return 0


def _read_source(args: argparse.Namespace) -> "Source":
    from pipeline.importers import coco, flickr, folder, scenes

    match args.importer:
        case "flickr30k":
            return flickr.read_flickr30k(args.source, args.split_shares)
        case "flickr8k":
            return flickr.read_flickr8k(args.source, args.split_shares)
        case "coco":
            return coco.read_coco(args.source, args.annotations, args.images, args.split_shares)
        case "folder":
            return folder.read_folder(args.source, args.captions, args.split_shares)
        case _:
            return scenes.make_source(args.train, args.eval, args.test, args.seed)


def _print_summary(manifest: dict[str, Any], data: pathlib.Path, seconds: float) -> None:
    from rich.console import Console
    from rich.table import Table

    from pipeline.importers.importer import REJECTED
    from pipeline.importers.span import span_name

    console = Console(highlight=False)
    span = data / span_name(manifest["span"])
    table = Table(title=f"{manifest['source']} in {span}", title_justify="left")
    for column, justify in (
        ("split", "left"),
        ("images", "right"),
        ("captions", "right"),
        ("shards", "right"),
    ):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for name, split in manifest["splits"].items():
        table.add_row(name, f"{split['images']:,}", f"{split['captions']:,}", str(len(split["shards"])))
    table.add_section()
    shards = sum(len(split["shards"]) for split in manifest["splits"].values())
    table.add_row("all", f"{manifest['images']:,}", f"{manifest['captions']:,}", str(shards))
    console.print(table)
    for reason, count in manifest["rejected"].items():
        console.print(f"rejected: {reason} {count:,} (listed in {span / REJECTED})")
    if manifest["left_out_by_split_lists"]:
        console.print(f"left out: {manifest['left_out_by_split_lists']:,} images that no split list names")
    for group in manifest["identical_pictures"][:5]:
        console.print(f"identical pictures: {', '.join(group['image_ids'])} ({', '.join(group['splits'])})")
    if len(manifest["identical_pictures"]) > 5:
        console.print(
            f"... {len(manifest['identical_pictures'])} groups of identical pictures in manifest.json"
        )
    console.print(f"{manifest['images'] / seconds:,.0f} images/s, {seconds:.0f} s")


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"expected 0 or more, got {value}")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a share from 0 to 1, got {value}")
    return value


def _shares(text: str) -> tuple[int, ...]:
    shares = tuple(int(part) for part in text.split(":"))
    if len(shares) != 3 or min(shares) < 0 or not shares[0]:
        raise argparse.ArgumentTypeError(f"expected three numbers such as 8:1:1, got {text!r}")
    return shares
