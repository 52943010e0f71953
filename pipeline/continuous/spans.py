"""The spans in a data folder and what is known of each, without reading an image or importing TFX.

A scheduler looks every minute for years, so it must be small: `components.span_example_gen`, which judges
spans on any file system, takes TensorFlow into memory. What both have in common is compared by a test.
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import pathlib
import re
from typing import Any, Final

_NAME: Final = re.compile(r"span-(\d+)")
_SPLITS: Final = ("train", "eval")
_MANIFEST: Final = "manifest.json"

NEW: Final = "new"
ACCEPTED: Final = "accepted"
REFUSED: Final = "refused"


@dataclasses.dataclass(frozen=True)
class Span:
    """One span as it is now.

    Attributes:
      number: of the span.
      digest: of its content, as its judgement has it.
      images: to learn from and to judge by; None where there is no manifest to say.
      missing: how many files that its manifest names are not there, or not whole, yet.
      state: `new` (not judged), `accepted` or `refused`; a person's word goes before the judgement.
      judged: what the judgement alone says, likewise.
      reasons: why it is refused.
      warnings: what its judgement warns of.
      drifted: whether that is drift.
    """

    number: int
    digest: str
    images: int | None = None
    missing: int = 0
    state: str = NEW
    judged: str = NEW
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    drifted: bool = False


def look(data: str, records: str) -> list[Span]:
    """Returns the spans, the oldest first.

    Args:
      data: the folder of the spans.
      records: the folder of their judgements; need not be there.

    Raises:
      OSError: `data` cannot be read.
    """
    found = []
    with os.scandir(data) as entries:
        for entry in entries:
            if (match := _NAME.fullmatch(entry.name)) and entry.is_dir():
                span = _read(entry.path, int(match[1]), _files(entry.path))
                found.append(_with_judgement(span, pathlib.Path(records), entry.name))
    return sorted(found, key=lambda span: span.number)


def _files(folder: str) -> tuple[tuple[str, int, float], ...]:
    """Name, size and time of each file that counts."""
    with os.scandir(folder) as entries:
        return tuple(
            sorted(
                (entry.name, entry.stat().st_size, entry.stat().st_mtime)
                for entry in entries
                if entry.name == _MANIFEST or (entry.name.endswith(".tfrecord.gz") and _split(entry.name))
            )
        )


def _split(name: str) -> str:
    split = name.partition("-")[0]
    return split if split in _SPLITS else ""


@functools.lru_cache(maxsize=8192)  # a span is never changed once written, and a manifest may be long
def _read(folder: str, number: int, files: tuple[tuple[str, int, float], ...]) -> Span:
    shards = sorted(
        (file for file in files if file[0] != _MANIFEST),
        key=lambda file: (_SPLITS.index(_split(file[0])), file),
    )
    content = hashlib.sha256()
    manifest: dict[str, Any] = {}
    named = len(shards) < len(files)
    if named:
        text = pathlib.Path(folder, _MANIFEST).read_bytes()
        content.update(text)
        with contextlib.suppress(ValueError):  # what is wrong with it is said by the run
            manifest = json.loads(text)
    for name, size, time in shards:
        content.update(f"{name} {size} {'' if named else repr(time)}\n".encode())
    digest = content.hexdigest()[:16]
    try:
        splits = [manifest["splits"][split] for split in _SPLITS]
        images = sum(int(split["images"]) for split in splits)
        whole = {(shard["file"], shard["bytes"]) for split in splits for shard in split["shards"]}
    except (KeyError, TypeError, ValueError):
        return Span(number, digest)
    return Span(number, digest, images, len(whole - {(name, size) for name, size, _ in shards}))


def _with_judgement(span: Span, records: pathlib.Path, name: str) -> Span:
    record = _of(span, records / f"{name}.json")
    word = _of(span, records / name / "word.json")
    drift = record.get("drift") or ()
    state = (word or record).get("state", NEW)
    reasons = (f"a person refused it: {word['reason']}",) if word else tuple(record.get("reasons", ()))
    return dataclasses.replace(
        span,
        state=state,
        judged=record.get("state", NEW),
        reasons=reasons if state == REFUSED else (),
        warnings=tuple(record.get("warnings", ())),
        drifted=any(feature.get("drifted") for feature in drift),
    )


def _of(span: Span, path: pathlib.Path) -> dict[str, Any]:
    """What a file says of this very content; nothing where it says nothing that can be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return content if content["digest"] == span.digest else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
