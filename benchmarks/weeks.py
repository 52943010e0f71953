"""A year's data, a span a week: most are good scenes, some are bad in one of five ways."""

import dataclasses
import hashlib
import io
import json
import pathlib
import random
from collections.abc import Callable, Iterable
from typing import Any, Final

import tensorflow as tf
from PIL import Image

from models.features import WIDTH
from pipeline.importers import scenes
from pipeline.importers.importer import MANIFEST, ImportOptions, import_source
from pipeline.importers.records import Entry, Source
from pipeline.importers.span import span_name

GOOD: Final = "good"
MISLABELLED: Final = "mislabelled"  # captions exchanged among the images
ANOMALY: Final = "schema anomaly"  # pictures of width 0
EMPTY: Final = "empty"  # files without a record
DUPLICATE: Final = "duplicate"  # what an earlier week had
DRIFTED: Final = "drifted"  # other shapes, longer captions, words that nobody knows
BAD: Final = (MISLABELLED, ANOMALY, EMPTY, DUPLICATE, DRIFTED)

# A person writes like this who was not told how the others do.
_WORDY: Final = "in the photograph that somebody took yesterday evening we can see {} as everybody knows"
_STRETCHED: Final = (420, 180)  # pixels
_RECENT: Final = 6  # a week that is repeated is no further back: what is taken away is no longer known


@dataclasses.dataclass(frozen=True)
class Week:
    """A week's data: its number, from 1, what is wrong with it, and which week a duplicate repeats."""

    number: int
    kind: str = GOOD
    of: int = 0


@dataclasses.dataclass(frozen=True)
class _Stretched:
    """A picture in another shape."""

    path: str
    drawn: scenes.DrawnFile

    def read(self) -> bytes:
        file = io.BytesIO()
        Image.open(io.BytesIO(self.drawn.read())).resize(_STRETCHED).save(file, "JPEG", quality=92)
        return file.getvalue()


def calendar(weeks: int, seed: int, share: float = 0.25, first: int = 4) -> list[Week]:
    """Returns the year: of the weeks after the `first`, `share` are bad, of each kind as many, by lot."""
    random_ = random.Random(f"{seed}/calendar")
    later = range(first + 1, weeks + 1)
    bad = sorted(random_.sample(later, round(share * len(later))))
    kinds = [BAD[i % len(BAD)] for i in range(len(bad))]
    random_.shuffle(kinds)
    by_week = dict(zip(bad, kinds, strict=True))
    found: list[Week] = []
    for number in range(1, weeks + 1):
        kind = by_week.get(number, GOOD)
        good = [week.number for week in found if week.kind == GOOD]
        found.append(Week(number, kind, random_.choice(good[-_RECENT:]) if kind == DUPLICATE else 0))
    return found


def write(week: Week, data: pathlib.Path, counts: tuple[int, int], seed: int) -> None:
    """Writes the span of a week, under its number.

    Args:
      week: which.
      data: folder of the spans.
      counts: train and eval pictures.
      seed: of the year.
    """
    source = _scenes(week.of or week.number, counts, seed)
    if week.kind == MISLABELLED:
        source = _with(source, _exchanged(source.entries, random.Random(f"{seed}/{week.number}")))
    if week.kind == DRIFTED:
        source = _with(source, map(_drifted, source.entries))
    import_source(source, data, ImportOptions(span=str(week.number)))
    span = data / span_name(week.number)
    if week.kind == ANOMALY:
        _rewrite(span, _without_width)
    if week.kind == EMPTY:
        _rewrite(span, lambda _: None)


def held_out(count: int, seed: int) -> list[tuple[bytes, tuple[str, ...]]]:
    """Returns pictures that are in no week, as JPEG, with their captions."""
    entries = scenes.make_source(0, 0, count, seed=hash_seed(seed, 0)).entries
    return [(entry.image.read(), entry.captions) for entry in entries]


def hash_seed(seed: int, week: int) -> int:
    """A seed for a week of a year, unlike that of any other."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{week}".encode()).digest()[:4], "big")


def _scenes(week: int, counts: tuple[int, int], seed: int) -> Source:
    source = scenes.make_source(*counts, 0, seed=hash_seed(seed, week))
    return _with(
        source,
        (dataclasses.replace(entry, image_id=f"week-{week:02}-{entry.image_id}") for entry in source.entries),
    )


def _with(source: Source, entries: Iterable[Entry]) -> Source:
    return dataclasses.replace(source, entries=list(entries), side_files={})


def _exchanged(entries: Iterable[Entry], random_: random.Random) -> list[Entry]:
    entries = list(entries)
    captions = [entry.captions for entry in entries]
    random_.shuffle(captions)
    return [dataclasses.replace(entry, captions=c) for entry, c in zip(entries, captions, strict=True)]


def _drifted(entry: Entry) -> Entry:
    assert isinstance(entry.image, scenes.DrawnFile)
    captions = tuple(_WORDY.format(caption) for caption in entry.captions)
    return dataclasses.replace(entry, image=_Stretched(entry.image.path, entry.image), captions=captions)


def _without_width(example: Any) -> Any:
    example.features.feature[WIDTH].int64_list.value[:] = [0]
    return example


def _rewrite(span: pathlib.Path, change: Callable[[Any], Any]) -> None:
    """Writes every shard again with its records changed, or without those that become None; and the manifest.

    As a program of somebody else's might write them, so that nothing but the records is wrong.
    """
    manifest = json.loads((span / MANIFEST).read_text("utf-8"))
    for split in manifest["splits"].values():
        for shard in split["shards"]:
            path = span / shard["file"]
            records = list(tf.data.TFRecordDataset(str(path), "GZIP").as_numpy_iterator())
            examples = [change(tf.train.Example.FromString(record)) for record in records]
            with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
                for example in examples:
                    if example is not None:
                        writer.write(example.SerializeToString())
            content = path.read_bytes()
            shard["bytes"], shard["sha256"] = len(content), hashlib.sha256(content).hexdigest()
    (span / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
