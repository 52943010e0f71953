"""The comparison as a self-contained HTML page: leaderboard, learning curves, cost and quality, pictures."""

import importlib.resources
import pathlib
from collections.abc import Sequence

import jinja2

from models.config import DECODER_NAMES
from pipeline.compare import charts
from pipeline.compare.leaderboard import COST, QUALITY, Leaderboard
from pipeline.compare.pictures import Picture
from pipeline.compare.plan import Contender


def write(path: pathlib.Path, title: str, board: Leaderboard, pictures: Sequence[Picture]) -> None:
    """Writes the page.

    Args:
      path: of the page; its folder need not exist.
      title: on top of it.
      board: what it shows.
      pictures: with an answer of every contender.
    """
    styles = _styles(board)
    template = importlib.resources.files("pipeline").joinpath("templates/compare.html.j2").read_text("utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.from_string(template).render(
        title=title,
        board=board,
        tables=(("Quality", QUALITY), ("Cost", COST)),
        styles={contender.name: style for contender, style in styles.items()},
        charts=(_curves(board, styles), *_costs(board, styles)),
        pictures=pictures,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")


def _styles(board: Leaderboard) -> dict[Contender, str]:
    """CSS classes of each contender: a colour a decoder, a dash a preset with its representations."""
    contenders = sorted({row.contender for row in board.rows}, key=lambda contender: contender.name)
    variants = list(dict.fromkeys(_variant(contender) for contender in contenders))
    return {
        each: f"colour{DECODER_NAMES.index(each.decoder)} dash{variants.index(_variant(each)) % 6}"
        for each in contenders
    }


def _variant(contender: Contender) -> tuple[str, str, str]:
    return contender.preset, contender.input_representation, contender.output_representation


def _curves(board: Leaderboard, styles: dict[Contender, str]) -> charts.Chart:
    series = []
    for place, row in enumerate(board.rows, start=1):
        runs = [result for result in board.results if result.contender == row.contender]
        series += [
            charts.Series(
                "" if number else str(place),
                f"{row.contender.name}, seed {run.seed}",
                styles[row.contender],
                [(epoch["epoch"], epoch["eval_loss"]) for epoch in run.epochs],
                line=True,
            )
            for number, run in enumerate(runs)
        ]
    return charts.chart("Learning curves", "epoch", "eval loss, nats a token", series)


def _costs(board: Leaderboard, styles: dict[Contender, str]) -> list[charts.Chart]:
    def points(key: str, unit: float) -> list[charts.Series]:
        return [
            charts.Series(
                str(place),
                row.contender.name,
                styles[row.contender],
                [(row.figures[key].mean / unit, row.figures["cider_d"].mean)],
            )
            for place, row in enumerate(board.rows, start=1)
        ]

    return [
        charts.chart(
            "Size against quality",
            "million parameters",
            "CIDEr-D",
            points("parameters", 1e6),
            x_from_zero=True,
        ),
        charts.chart(
            "Time against quality",
            "milliseconds an image, beam search, one image a request",
            "CIDEr-D",
            points("ms_beam_1", 1.0),
            x_from_zero=True,
        ),
    ]
