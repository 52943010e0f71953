"""The leaderboard: contenders by CIDEr-D, each number with its spread over seeds, and who ties with whom."""

import csv
import dataclasses
import math
import pathlib
import statistics
from collections.abc import Sequence
from typing import Any, Final

from pipeline import plain_json
from pipeline.compare.plan import Contender
from pipeline.compare.results import Failure, Result

ORDER_BY: Final = "cider_d"
# Spread of one contender over seeds where a single seed shows none: measured on Flickr8k's 1,000 dev images.
NOISE_OF_ONE_SEED: Final = 0.02


@dataclasses.dataclass(frozen=True)
class Column:
    """A metric as it is shown.

    Attributes:
      key: in `Result.metrics`.
      title: of the column.
      form: format specification of a value.
      note: what it is.
    """

    key: str
    title: str
    form: str
    note: str

    def show(self, figure: "Figure") -> str:
        """E.g. `0.512 ± 0.004`; no spread where it is not known or there is none."""
        if math.isnan(figure.mean):
            return "-"
        spread = "" if not figure.spread else f" ± {figure.spread:{self.form}}"
        return f"{figure.mean:{self.form}}{spread}"


QUALITY: Final = (
    Column("cider_d", "CIDEr-D", ".3f", "beam search, from 0 to 10"),
    Column("bleu_1", "BLEU-1", ".3f", "beam search"),
    Column("bleu_2", "BLEU-2", ".3f", "beam search"),
    Column("bleu_3", "BLEU-3", ".3f", "beam search"),
    Column("bleu_4", "BLEU-4", ".3f", "beam search"),
    Column("rouge_l", "ROUGE-L", ".3f", "beam search"),
    Column("greedy_cider_d", "greedy CIDEr-D", ".3f", "one likeliest word after the other"),
    Column("greedy_bleu_4", "greedy BLEU-4", ".3f", "one likeliest word after the other"),
    Column("distinct_captions", "distinct", ".0%", "different captions / images, beam search"),
    Column(
        "perplexity",
        "perplexity",
        ".2f",
        "exp of nats a token of human captions; self-critical training raises it",
    ),
)
COST: Final = (
    Column("parameters", "parameters", ",.0f", "trained ones"),
    Column("epoch_seconds", "s an epoch", ".1f", "median epoch"),
    Column("training_seconds", "training, s", ",.0f", "all epochs, without their evaluation"),
    Column("tokens_per_second", "tokens/s", ",.0f", "median epoch"),
    Column("ms_greedy_1", "greedy ms", ".1f", "a caption from features, one image a request"),
    Column("ms_beam_1", "beam ms", ".1f", "captions of an image from features, one image a request"),
    Column("ms_greedy_8", "greedy ms, 8", ".1f", "a caption, eight images a request"),
    Column("ms_beam_8", "beam ms, 8", ".1f", "captions of an image, eight images a request"),
)
METRICS: Final = (*QUALITY, *COST)


@dataclasses.dataclass(frozen=True)
class Figure:
    """A metric over seeds: mean and sample standard deviation (None with one seed)."""

    mean: float
    spread: float | None


@dataclasses.dataclass(frozen=True)
class Row:
    """A contender's place.

    Attributes:
      contender: which.
      seeds: of its finished runs.
      figures: by metric.
      ties: whether its CIDEr-D is too near to that of the row above to tell the two apart.
    """

    contender: Contender
    seeds: tuple[int, ...]
    figures: dict[str, Figure]
    ties: bool = False


@dataclasses.dataclass(frozen=True)
class Leaderboard:
    """Rows, best first, with the results that they stand for and the runs that failed."""

    rows: tuple[Row, ...]
    results: tuple[Result, ...]
    failures: tuple[Failure, ...] = ()

    def notes(self) -> list[str]:
        """How to read the numbers, in sentences."""
        alone = [row.contender.name for row in self.rows if len(row.seeds) == 1]
        notes = ["≈ marks a tie with the row above: their CIDEr-D differ by less than the larger spread."]
        if len(alone) < len(self.rows):
            notes.append("± is the sample standard deviation over seeds.")
        if alone:
            notes.append(
                f"With one seed no spread is known ({', '.join(alone)}): {NOISE_OF_ONE_SEED} CIDEr-D, the "
                "noise of a seed on Flickr8k, stands for it."
            )
        notes += [
            f"Failed: {failure.contender.name}, seed {failure.seed}: {failure.reason}"
            for failure in self.failures
        ]
        return notes

    def write(self, folder: pathlib.Path) -> None:
        """Writes `leaderboard.csv` and `leaderboard.json`; a number that is not finite is empty or null."""
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "leaderboard.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=_csv_fields())
            writer.writeheader()
            writer.writerows(_csv_row(place, row) for place, row in enumerate(self.rows, start=1))
        text = plain_json.dumps(self._as_data(), indent=2)
        (folder / "leaderboard.json").write_text(text + "\n", encoding="utf-8")

    def _as_data(self) -> dict[str, Any]:
        return {
            "rows": [
                {"place": place, **dataclasses.asdict(row)} for place, row in enumerate(self.rows, start=1)
            ],
            "runs": [dataclasses.asdict(result) for result in self.results],
            "failures": [dataclasses.asdict(failure) for failure in self.failures],
            "notes": self.notes(),
        }


def rank(results: Sequence[Result], failures: Sequence[Failure] = ()) -> Leaderboard:
    """Returns the leaderboard of the finished runs; a contender without a CIDEr-D comes last."""
    by_contender: dict[Contender, list[Result]] = {}
    for result in results:
        by_contender.setdefault(result.contender, []).append(result)
    rows = sorted(
        (
            Row(
                contender,
                tuple(result.seed for result in runs),
                {
                    column.key: _figure([run.metrics.get(column.key, math.nan) for run in runs])
                    for column in METRICS
                },
            )
            for contender, runs in by_contender.items()
        ),
        key=_worst_last,
    )
    ranked = [
        dataclasses.replace(row, ties=above is not None and _tie(above, row))
        for above, row in zip([None, *rows], rows, strict=False)
    ]
    return Leaderboard(tuple(ranked), tuple(results), tuple(failures))


def _figure(values: Sequence[float]) -> Figure:
    if not all(map(math.isfinite, values)):
        return Figure(math.nan, None)
    return Figure(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)


def _worst_last(row: Row) -> float:
    mean = row.figures[ORDER_BY].mean
    return math.inf if math.isnan(mean) else -mean


def _tie(above: Row, row: Row) -> bool:
    one, other = above.figures[ORDER_BY], row.figures[ORDER_BY]
    noise = [NOISE_OF_ONE_SEED if figure.spread is None else figure.spread for figure in (one, other)]
    return abs(one.mean - other.mean) < max(noise)  # False with a NaN


def _csv_fields() -> list[str]:
    contender = [field.name for field in dataclasses.fields(Contender)]
    numbers = [name for column in METRICS for name in (column.key, f"{column.key}_spread")]
    return ["place", "ties_with_above", *contender, "seeds", *numbers]


def _csv_row(place: int, row: Row) -> dict[str, Any]:
    cells: dict[str, Any] = {"place": place, "ties_with_above": int(row.ties), "seeds": len(row.seeds)}
    cells |= dataclasses.asdict(row.contender)
    for key, figure in row.figures.items():
        cells |= {key: figure.mean, f"{key}_spread": figure.spread}
    return {key: "" if value is None or value != value else value for key, value in cells.items()}
