"""Tables on the terminal, for commands whose output they are."""

from collections.abc import Collection, Iterable, Sequence

METRICS = {"bleu_4": "BLEU-4", "cider_d": "CIDEr-D"}


def metric_cells(metrics: dict[str, float]) -> list[str]:
    """The columns METRICS of a row; empty where one was not computed."""
    return [f"{metrics[key]:.3f}" if key in metrics else "" for key in METRICS]


def show(titles: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[str] = ()) -> None:
    """Prints a table. Text is shown as it is; columns with a title do not wrap.

    Args:
      titles: of the columns.
      rows: their cells.
      right: titles of the columns that are aligned to the right.
    """
    import rich.box
    import rich.console
    import rich.markup
    import rich.table

    table = rich.table.Table(box=rich.box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for title in titles:
        table.add_column(title, justify="right" if title in right else "left", no_wrap=bool(title))
    for row in rows:
        # An error or a reason may hold what rich takes for markup.
        table.add_row(*map(rich.markup.escape, row))
    console = rich.console.Console(highlight=False)
    if not console.is_terminal:
        console.width = 200  # else a log would have every cell cut at 80 columns
    console.print(table)
