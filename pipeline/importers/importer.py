"""Writes a source as a new span: plans shards, runs the Beam pipeline, judges the losses, publishes."""

import collections
import dataclasses
import json
import pathlib
import shutil
from collections.abc import Sequence
from typing import Any

from pipeline.errors import UserError
from pipeline.importers import shards as sharding
from pipeline.importers.images import MAX_PIXELS
from pipeline.importers.progress import following
from pipeline.importers.records import SPLITS, Reason, Rejection, Source
from pipeline.importers.span import new_span

MANIFEST = "manifest.json"
REJECTED = "rejected.jsonl"
SHARD_IMAGES = 256  # about 20 MB of photographs: enough shards to keep many workers busy


@dataclasses.dataclass(frozen=True)
class ImportOptions:
    """How to import.

    Attributes:
      span: `next` or a number.
      max_rejected: largest share of the images, and of the captions, that may be rejected.
      max_pixels: images with more are rejected.
      shard_images: images a shard, at most.
      beam_args: flags for Beam's runner.
    """

    span: str = "next"
    max_rejected: float = 0.05
    max_pixels: int = MAX_PIXELS
    shard_images: int = SHARD_IMAGES
    beam_args: Sequence[str] = ()


def import_source(source: Source, data: pathlib.Path, options: ImportOptions) -> dict[str, Any]:
    """Writes `source` as a new span of `data` and returns the span's manifest.

    Raises:
      UserError: nothing to import, too much rejected, the span exists, `data` is not writable, or the
        pipeline failed. Nothing is left behind then.
    """
    if not source.entries:
        raise UserError(_nothing_left(source.name, source.rejections))
    with new_span(data, options.span) as (folder, number):
        shards = sharding.plan_shards(source.entries, options.shard_images)
        with following("Importing", len(source.entries), lambda: sharding.count_progress(folder)):
            try:
                sharding.write_shards(
                    shards, folder, source.name, number, options.max_pixels, options.beam_args
                )
            except Exception as error:
                lines = str(error).strip().splitlines() or [type(error).__name__]
                raise UserError(
                    f"The import stopped, and nothing was written: {lines[-1]}\n"
                    "Put that right and run the same command again."
                ) from error
        results = sharding.read_results(shards, folder)
        rejections = [*source.rejections, *(r for result in results for r in result.rejections)]
        manifest = make_manifest(source, number, results, rejections)
        _check_losses(manifest, rejections, options.max_rejected)
        for name in sharding.FOLDERS:
            shutil.rmtree(folder / name)
        for stray in folder.glob(".*"):  # of attempts that a runner gave up
            stray.unlink()
        for name, text in source.side_files.items():
            (folder / name).write_text(text, encoding="utf-8")
        lines = [json.dumps(dataclasses.asdict(rejection)) + "\n" for rejection in rejections]
        (folder / REJECTED).write_text("".join(lines), encoding="utf-8")
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return manifest


def make_manifest(
    source: Source, span: int, results: Sequence[sharding.ShardResult], rejections: Sequence[Rejection]
) -> dict[str, Any]:
    """Returns what manifest.json says of a span: the same input gives the same manifest."""
    splits: dict[str, Any] = {}
    for split in SPLITS:
        mine = [result for result in results if result.split == split]
        splits[split] = {
            "images": sum(len(result.images) for result in mine),
            "captions": sum(result.captions for result in mine),
            "shards": [
                {"file": r.name, "images": len(r.images), "bytes": r.size, "sha256": r.sha256} for r in mine
            ],
        }
    reasons = collections.Counter(rejection.reason for rejection in rejections)
    images = sum(split["images"] for split in splits.values())
    return {
        "source": source.name,
        "span": span,
        "images": images,
        "captions": sum(split["captions"] for split in splits.values()),
        "splits": splits,
        "images_read": images + sum(n for reason, n in reasons.items() if not reason.is_caption),
        "captions_read": source.captions_read,
        "rejected": {reason.value: reasons[reason] for reason in Reason if reasons[reason]},
        "left_out_by_split_lists": source.unlisted,
        "identical_pictures": find_identical(results),
    }


def find_identical(results: Sequence[sharding.ShardResult]) -> list[dict[str, Any]]:
    """Groups of images with the same bytes under several ids, with the splits they are in."""
    groups: dict[str, list[tuple[str, str]]] = collections.defaultdict(list)
    for result in results:
        for image_id, digest in result.images:
            groups[digest].append((image_id, result.split))
    return [
        {
            "content_hash": digest,
            "image_ids": [image_id for image_id, _ in sorted(members)],
            "splits": sorted({split for _, split in members}, key=SPLITS.index),
        }
        for digest, members in sorted(groups.items())
        if len(members) > 1
    ]


def _check_losses(manifest: dict[str, Any], rejections: Sequence[Rejection], allowed: float) -> None:
    if not manifest["images"]:
        raise UserError(_nothing_left(manifest["source"], rejections))
    for what, lost, read in (
        ("images", sum(not r.reason.is_caption for r in rejections), manifest["images_read"]),
        ("captions", sum(r.reason.is_caption for r in rejections), manifest["captions_read"]),
    ):
        if lost > allowed * read:
            raise UserError(
                f"{lost} of {read} {what} were rejected ({lost / read:.1%}; --max-rejected allows "
                f"{allowed:.1%}), so nothing was written.\n{_examples(rejections)}\n"
                f"Repair them, or accept the loss with a larger --max-rejected."
            )


def _nothing_left(name: str, rejections: Sequence[Rejection]) -> str:
    found = f"\n{_examples(rejections)}" if rejections else ""
    return f"{name}: no image with a caption was found, so there is nothing to import.{found}"


def _examples(rejections: Sequence[Rejection], shown: int = 3) -> str:
    """The rejections by reason, with the first few of each: rejected.jsonl is gone when an import fails."""
    groups: dict[Reason, list[Rejection]] = collections.defaultdict(list)
    for rejection in rejections:
        groups[rejection.reason].append(rejection)
    lines = []
    for reason, members in groups.items():
        lines.append(f"  {reason}: {len(members)}")
        lines += [f"    {r.path or r.image_id}: {r.detail}" for r in members[:shown]]
    return "\n".join(lines)
