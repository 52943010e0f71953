"""Which pictures of a span are known: from earlier spans, or from the same."""

import collections
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import apache_beam as beam

from components.span_example_gen.spans import EVAL, TRAIN

# Names in the tally.
PICTURES: Final = "pictures"  # images
FRESH: Final = "fresh"  # pictures met for the first time
KNOWN: Final = "known/"  # followed by the number of the earlier span: images that it has, too
LEAKED: Final = "leaked"  # images in one span's training data and in its or another's eval data

Picture = tuple[str, str]  # content hash, split


def to_line(picture: Picture, span: int) -> str:
    """A picture as a line of the file that later spans are compared with."""
    digest, split = picture
    return f"{digest} {split} {span}"


class CountKnown(beam.PTransform):
    """Pictures of a span -> what they add to its tally.

    Args:
      earlier: patterns of the files with earlier accepted spans' pictures.
    """

    def __init__(self, earlier: Sequence[str]):
        super().__init__()
        self._earlier = list(earlier)

    def expand(self, pictures: beam.PCollection) -> beam.PCollection:
        earlier = pictures.pipeline | "Earlier" >> beam.Create(self._earlier)
        lines = earlier | "ReadEarlier" >> beam.io.ReadAllFromText()
        return (
            {"mine": pictures, "earlier": lines | "Split" >> beam.Map(_from_line)}
            | "Join" >> beam.CoGroupByKey()
            | "Count" >> beam.FlatMapTuple(_count)
        )


def _from_line(line: str) -> tuple[str, tuple[str, int]]:
    digest, split, span = line.split(" ")
    return digest, (split, int(span))


def _count(digest: str, where: dict[str, Iterable]) -> Iterator[tuple[str, int]]:
    del digest
    mine = collections.Counter(where["mine"])
    earlier = set(where["earlier"])
    images = mine.total()
    if not images:
        return
    yield PICTURES, images
    if not earlier:
        yield FRESH, 1
    for span in {span for _, span in earlier}:
        yield f"{KNOWN}{span}", images
    before = {split for split, _ in earlier}
    leaked = sum(
        mine[split] for split, other in ((TRAIN, EVAL), (EVAL, TRAIN)) if other in before or other in mine
    )
    if leaked:
        yield LEAKED, leaked
