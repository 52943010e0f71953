"""What a report says of the spans: how each was judged, what is in it, and how far it has drifted."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tfx.dsl.io import fileio

from components.drift.features import BRIGHTNESS, CAPTION_WORDS, FEATURES, HEIGHT, UNKNOWN_SHARE, WIDTH
from components.drift.statistics import Statistics, merge
from components.span_example_gen import records
from components.span_example_gen import spans as spans_
from components.span_example_gen.spans import Span
from pipeline import charts, runs
from pipeline.paths import Paths
from pipeline.report.summary import Summary

_FEWEST_DRAWN: Final = 3  # spans
# The mean of an image's features says nothing to people.
_TITLES: Final = {
    CAPTION_WORDS: "words a caption",
    UNKNOWN_SHARE: "share of unknown words",
    WIDTH: "width",
    HEIGHT: "height",
    BRIGHTNESS: "brightness",
}


@dataclasses.dataclass(frozen=True)
class Distance:
    """How far a feature of a span is from that of the spans before: Jensen-Shannon divergence, 0 to 1."""

    feature: str
    distance: float
    threshold: float
    drifted: bool
    sentence: str


@dataclasses.dataclass(frozen=True)
class SpanRow:
    """A span as it was judged.

    Attributes:
      number: of the span.
      state: `accepted`, `refused`, or `new`: not judged.
      used: whether it was learned from; None where that is not known.
      by_hand: what a person said of it; empty where nobody did.
      images, captions: that can be used.
      reasons: why it was refused.
      warnings: what a person should know of it.
      counted: its statistics; None where it was not counted, or is no longer what it was.
      distances: from the spans before, by feature; none where it was not compared.
    """

    number: int
    state: str
    used: bool | None
    by_hand: str
    images: int
    captions: int
    reasons: Sequence[str]
    warnings: Sequence[str]
    counted: Statistics | None
    distances: Mapping[str, Distance]

    @property
    def statistics(self) -> dict[str, Summary]:
        """Summaries of the statistics by feature."""
        return {} if self.counted is None else Summary.by_feature(self.counted)


def rows(run: runs.Run, paths: Paths) -> list[SpanRow]:
    """Returns the spans that the run knew of, the oldest first; none where spans were not judged.

    They are told as the run found them; those of a run that failed before, as they are known now.
    """
    found = {span.number: span for span in spans_.find(run.data)}
    path = pathlib.Path(run.artifacts.get("judgements", ""), records.JUDGEMENTS)
    if path.is_file():
        judged = json.loads(path.read_text("utf-8"))
        judged += _refused_since(run, judged, found, paths)
    else:
        of_run = [found[number] for span in run.spans if (number := int(span["span"])) in found]
        judged = [each.to_dict() for each in records.read(paths.spans, of_run) if each.state != records.NEW]
    return [_row(known, found.get(known["span"]), paths) for known in judged]


def _refused_since(
    run: runs.Run, judged: Sequence[Mapping[str, Any]], found: Mapping[int, Span], paths: Paths
) -> list[dict[str, Any]]:
    """Those that the run met and refused, when the examples it used were made before."""
    known = {each["span"] for each in judged}
    others = [found[number] for span in run.spans if (number := int(span["span"])) in found.keys() - known]
    refused = [each for each in records.read(paths.spans, others) if each.state == records.REFUSED]
    return [each.to_dict() | {"used": False} for each in refused]


def _row(known: Mapping[str, Any], span: Span | None, paths: Paths) -> SpanRow:
    word = known["word"]
    distances = [Distance(**each) for each in known["drift"]]
    of_drift = {each.sentence.lower() for each in distances}  # said with the distances
    counted = None
    if span is not None and span.digest == known["digest"]:
        counted = _statistics(span, paths)
    return SpanRow(
        known["span"],
        known["state"],
        known.get("used"),
        word["reason"] if word else "",
        known["images"],
        known["captions"],
        known["reasons"],
        [sentence for sentence in known["warnings"] if sentence.lower() not in of_drift],
        counted,
        {each.feature: each for each in sorted(distances, key=lambda each: _order(each.feature))},
    )


def _statistics(span: Span, paths: Paths) -> Statistics | None:
    """What was counted of a span when it was judged; None where it was not."""
    from components.span_example_gen import inspection  # TFDV, which takes seconds to load

    try:
        return inspection.statistics_of(inspection.folder(paths.spans, span))
    except (OSError, fileio.NotFoundError):
        return None


def trained(rows: Sequence[SpanRow]) -> Statistics | None:
    """Returns the statistics of what was learned from; None where no span of it was counted."""
    counted = [row.counted for row in rows if row.state == records.ACCEPTED and row.used is not False]
    known = [statistics for statistics in counted if statistics is not None]
    return merge(known) if known else None


def titles(rows: Sequence[SpanRow]) -> dict[str, str]:
    """Returns what the features are called that any span has statistics of, in their order."""
    counted = {feature for row in rows for feature in row.statistics}
    return {feature: title for feature, title in _TITLES.items() if feature in counted}


def features_of(rows: Sequence[SpanRow]) -> list[str]:
    """Returns the features that any span was compared by, in their order."""
    return sorted({feature for row in rows for feature in row.distances}, key=_order)


def _order(feature: str) -> tuple[int, str]:
    return (list(FEATURES).index(feature) if feature in FEATURES else len(FEATURES), feature)


def _plain(feature: str) -> str:
    return feature.replace("_", " ")


def chart(rows: Sequence[SpanRow]) -> list[tuple[str, str]]:
    """Title and drawing of the distances by span; nothing where there are few."""
    compared = [row for row in rows if row.distances]
    if len(compared) < _FEWEST_DRAWN:
        return []
    points = [
        {"span": row.number, "distance": each.distance, "of": _plain(each.feature)}
        for row in compared
        for each in row.distances.values()
    ]
    title = "Distance of each span from those before"
    drawing = charts.lines(
        points,
        "span",
        "distance",
        "of",
        "span",
        "Jensen-Shannon divergence",
        [_plain(feature) for feature in features_of(compared)],
    )
    return [(title, charts.draw(drawing, title))]
