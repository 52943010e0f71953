"""Charts for pages: Vega-Lite specifications by Altair, drawn as SVG that takes the page's colours."""

import re
from collections.abc import Sequence
from typing import Any, Final

import altair as alt
import vl_convert

# CSS, so that one drawing suits light and dark pages. A page defines these variables.
_TEXT: Final = "currentColor"
_LINE: Final = "var(--line)"
WIDTH: Final = 460
HEIGHT: Final = 260
_TICKS: Final = 12

Rows = Sequence[dict[str, Any]]


def colours(count: int) -> list[str]:
    """Returns the page's colours for so many series."""
    return [f"var(--c{number})" for number in range(count)]


def draw(chart: alt.TopLevelMixin, title: str) -> str:
    """Returns the chart as an SVG element named `title`."""
    axis = {
        "labelColor": _TEXT,
        "titleColor": _TEXT,
        "gridColor": _LINE,
        "domainColor": _LINE,
        "tickColor": _LINE,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    }
    spec = chart.to_dict()
    spec["background"] = None
    spec["config"] = spec.get("config", {}) | {
        "font": "system-ui, sans-serif",
        "axis": axis,
        # The browser's font may be wider than the one that the drawing was measured with.
        "legend": {
            "labelColor": _TEXT,
            "titleColor": _TEXT,
            "labelFontSize": 12,
            "orient": "bottom",
            "columnPadding": 28,
        },
        "text": {"color": _TEXT, "fontSize": 12},
        "view": {"stroke": None},
    }
    # The parts' names would be read one by one; the numbers stand in the page's tables.
    svg = re.sub(r' (?:role|aria-\w+)="[^"]*"', "", vl_convert.vegalite_to_svg(spec))
    # It shrinks with the page; its height follows.
    return svg.replace('class="marks"', f'class="chart-svg" role="img" aria-label="{_escape(title)}"', 1)


def lines(
    rows: Rows, x: str, y: str, series: str, x_title: str, y_title: str, names: Sequence[str]
) -> alt.Chart:
    """Returns lines with points.

    Args:
      rows: with the fields `x` (whole numbers), `y` and `series`.
      x, y, series: names of the fields.
      x_title, y_title: of the axes.
      names: the series in the order of their colours.
    """
    return (
        alt.Chart(alt.Data(values=list(rows)), width=WIDTH, height=HEIGHT)
        .mark_line(point=True)
        .encode(
            x=whole_numbers(x, x_title, rows),
            y=alt.Y(f"{y}:Q", title=y_title, scale=alt.Scale(zero=False)),
            color=colour(series, names),
        )
    )


def whole_numbers(field: str, title: str, rows: Rows) -> alt.X:
    """Returns an axis without fractions: there is no half epoch."""
    values = sorted({row[field] for row in rows})
    shown = values[:: -(-len(values) // _TICKS) or 1]
    return alt.X(f"{field}:Q", title=title, axis=alt.Axis(values=shown, format="d", grid=False))


def colour(field: str, names: Sequence[str]) -> alt.Color:
    """Returns the colours of `names`, in their order."""
    return alt.Color(f"{field}:N", title=None, scale=alt.Scale(domain=list(names), range=colours(len(names))))


def intervals(rows: Rows, x_title: str) -> alt.TopLevelMixin:
    """Returns a row a name: the interval, its middle, and the line that it may not be left of.

    Args:
      rows: with `name`, `low`, `middle`, `high` and `allowed` (None: not asked for).
      x_title: of the axis.
    """
    base = alt.Chart(alt.Data(values=list(rows))).encode(
        y=alt.Y("name:N", title=None, sort=None, axis=alt.Axis(grid=False))
    )

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", title=x_title)

    zero = alt.Chart(alt.Data(values=[{"zero": 0}]))
    layers = (
        zero.mark_rule(color=_TEXT).encode(x=x("zero")),
        base.mark_rule(color="var(--c0)", strokeWidth=3).encode(x=x("low"), x2="high:Q"),
        base.mark_point(filled=True, size=70, color="var(--c0)", opacity=1).encode(x=x("middle")),
        base.transform_filter("isValid(datum.allowed)")
        .mark_tick(color="var(--bad)", thickness=3, size=18)
        .encode(x=x("allowed")),
    )
    return alt.layer(*layers).properties(width=WIDTH, height=32 * max(len(rows), 1))


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
