"""How `captioner caption` shows answers: table, lines, JSON lines, captions alone; progress; a last count."""

import collections
import contextlib
import json
import math
import sys
from typing import Final, Self

import rich.box
import rich.console
import rich.progress
import rich.table
import rich.text

from serving import errors
from serving.client import Captions

# What the last line calls the failures of a class.
_REASONS: Final = {
    errors.NoSuchFile: "could not be read",
    errors.NotAnImage: "not an image",
    errors.TooLarge: "too large",
    errors.DeadlineExceeded: "not answered in time",
    errors.ServerOverloaded: "refused by a server without room",
}


class Output:
    """Shows answers as they come, captions on standard output and reasons on standard error."""

    def __init__(self, format: str, shown: int, names: list[str], calls: int):
        """Finds out what is a terminal.

        Args:
          format: `table`, `jsonl` or `captions`.
          shown: captions of a photo that are shown; JSON has all.
          names: of all photos that will come.
          calls: how many requests they need; progress is shown for more than one.
        """
        self._format = format
        self._shown = shown
        self._total = len(names)
        self._failures: collections.Counter[str] = collections.Counter()
        self._on_terminal = sys.stdout.isatty()
        # With both on the terminal there is one console: what is printed goes above the progress bar.
        self._console = rich.console.Console(stderr=not self._on_terminal, highlight=False)
        self._progress: rich.progress.Progress | None = None
        if sys.stderr.isatty() and calls > 1:
            self._progress = _progress(self._console)
        self._table: _GrowingTable | None = None
        if self._on_terminal and format == "table":
            self._table = _GrowingTable(self._console.width, names)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        if self._progress:
            self._stack.enter_context(self._progress)
            self._task = self._progress.add_task("captioning", total=self._total)
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    @property
    def failed(self) -> bool:
        """Whether a photo has no caption."""
        return bool(self._failures)

    def show(self, name: str, answer: Captions | errors.CaptionError) -> None:
        """Shows the answer about a photo."""
        if isinstance(answer, Captions):
            self._show_captions(_shown(name), answer)
        else:
            kind = next((text for cls, text in _REASONS.items() if isinstance(answer, cls)), "refused")
            self._failures[kind] += 1
            if self._format == "jsonl":
                self._print(json.dumps({"file": _shown(name), "error": str(answer)}, ensure_ascii=False))
            else:
                self._complain(f"{_printable(_shown(name))}: {answer}")
        if self._progress:
            self._progress.advance(self._task)

    def summarize(self) -> None:
        """Says on standard error how many photos failed and why, if there was more than one photo."""
        if self._failures and self._total > 1:
            reasons = ", ".join(f"{count:,} {reason}" for reason, count in self._failures.most_common())
            self._complain(
                f"captioner: {self._failures.total():,} of {self._total:,} photos have no caption: {reasons}"
            )

    def _show_captions(self, name: str, answer: Captions) -> None:
        best = list(zip(answer.texts, answer.log_probs, strict=True))[: self._shown]
        if self._format == "jsonl":
            line = {"file": name, "captions": answer.texts, "log_probs": answer.log_probs}
            self._print(json.dumps(line, ensure_ascii=False))
        elif self._format == "captions":
            for text, _ in best:
                self._print(text)
        elif self._table:
            self._console.print(self._table.rows(_printable(name), best))
        else:
            for text, _ in best:
                self._print(f"{_printable(name)}: {text}")

    def _print(self, line: str) -> None:
        if self._progress and self._on_terminal:
            self._above_progress(line)
        else:
            print(line, flush=True)

    def _complain(self, line: str) -> None:
        if self._progress:
            self._above_progress(line)
        else:
            print(line, file=sys.stderr, flush=True)

    def _above_progress(self, line: str) -> None:
        # As it is: no markup, no colours, no line breaks where the terminal ends.
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class _GrowingTable:
    """A table on the terminal. Its widths are settled before the first row: rows appear as they come."""

    def __init__(self, width: int, names: list[str]):
        longest = max((rich.text.Text(_printable(_shown(name))).cell_len for name in names), default=0)
        self._file_width = max(len("file"), min(longest, width * 2 // 5))
        self._width = width
        self._rows = 0

    def rows(self, name: str, captions: list[tuple[str, float]]) -> rich.table.Table:
        """Returns the rows of one photo, the first time with the heading above."""
        table = rich.table.Table(
            box=rich.box.SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
            show_header=not self._rows,
            show_edge=False,
            width=self._width,
        )
        table.add_column("file", width=self._file_width, overflow="fold")
        table.add_column("caption", ratio=1, overflow="fold")
        table.add_column("probability", width=len("probability"), justify="right")
        for rank, (text, log_prob) in enumerate(captions):
            # Text is shown as it is: a file's name may hold what rich takes for markup.
            table.add_row(rich.text.Text("" if rank else name), rich.text.Text(text), probability(log_prob))
        self._rows += 1
        return table


def probability(log_prob: float) -> str:
    """Returns e ** `log_prob` as a percentage with two digits that count."""
    percent = 100 * math.exp(min(log_prob, 0.0))
    return f"{percent:.2g}%" if percent < 9.95 else f"{percent:.0f}%"


def _progress(console: rich.console.Console) -> rich.progress.Progress:
    return rich.progress.Progress(
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TextColumn("ETA"),
        rich.progress.TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
        # Standard output may be a file, and must not get the progress; what is printed here knows the way.
        redirect_stdout=False,
        redirect_stderr=False,
    )


def _shown(name: str) -> str:
    """A name with bytes that are no UTF-8 cannot be printed: they are replaced."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _printable(name: str) -> str:
    """A file's name could hold line breaks, or what moves the cursor of the terminal."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in name)
