"""Cron expressions as people write them: five fields, checked before anything is scheduled by them."""

import dataclasses
from collections.abc import Collection

from pipeline.errors import UserError

_EXAMPLE = "for example '0 3 * * 1', Mondays at 3:00"
_DAYS_OF_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@dataclasses.dataclass(frozen=True)
class _Field:
    """One of the five.

    Attributes:
      name: what people call it.
      first, last: its range.
      highest: number that may be written; above `last` only for Sunday.
      names: that may stand for numbers, from `first` on.
    """

    name: str
    first: int
    last: int
    highest: int
    names: tuple[str, ...] = ()

    def values(self, text: str) -> set[int]:
        """The values that a field allows. Raises ValueError with what is wrong."""
        return set().union(*(self._item(item) for item in text.split(",")))

    def _item(self, item: str) -> Collection[int]:
        span, slash, step = item.partition("/")
        if slash and not (_is_number(step) and int(step) > 0):
            raise ValueError(f"{item!r}: a step is a number of at least 1")
        if span == "*":
            first, last = self.first, self.last
        else:
            start, dash, end = span.partition("-")
            first = self._number(start)
            # `5/10` is "from 5 on, every 10th".
            last = self._number(end) if dash else self.last if slash else first
        if first > last:
            raise ValueError(f"{item!r}: the range ends before it begins")
        if slash and int(step) > last - first:  # some schedulers refuse it, too
            raise ValueError(f"{item!r}: the step is longer than the range; write {first}")
        return range(first, last + 1, int(step) if slash else 1)

    def _number(self, text: str) -> int:
        if text.lower() in self.names:
            return self.first + self.names.index(text.lower())
        number = int(text) if _is_number(text) else -1
        if not self.first <= number <= self.highest:
            names = f" or {self.names[0]} to {self.names[-1]}" if self.names else ""
            raise ValueError(f"expected {self.first} to {self.highest}{names}, got {text!r}")
        return number


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()  # other scripts have decimal digits too, which no cron reads


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_FIELDS = (
    _Field("minute", 0, 59, 59),
    _Field("hour", 0, 23, 23),
    _Field("day of month", 1, 31, 31),
    _Field("month", 1, 12, 12, _MONTHS),
    # Both 0 and 7 are Sunday.
    _Field("day of week", 0, 6, 7, ("sun", "mon", "tue", "wed", "thu", "fri", "sat")),
)


def check(expression: str) -> str:
    """Returns the five fields, one space between them.

    Raises:
      UserError: it is no cron expression, or no day fits it.
    """
    texts = expression.split()
    if len(texts) != len(_FIELDS):
        hint = "; leave out the seconds" if len(texts) == len(_FIELDS) + 1 else ""
        raise UserError(
            "--cron takes five fields (minute, hour, day of month, month, day of week), "
            f"{_EXAMPLE}; got {len(texts)} in {expression!r}{hint}"
        )
    values = {}
    for field, text in zip(_FIELDS, texts, strict=True):
        try:
            values[field.name] = field.values(text)
        except ValueError as error:
            raise UserError(
                f"--cron {expression!r}, {field.name}: {error}; write *, a number, a range as 1-5, a list as "
                f"1,15 or a step as */2, {_EXAMPLE}"
            ) from error
    first_day = min(values["day of month"])
    # With a day of the week as well, either of the two is enough.
    if "*" in texts[4] and all(first_day > _DAYS_OF_MONTHS[month - 1] for month in values["month"]):
        raise UserError(f"--cron {expression!r}: no month in it has a day {first_day}, so it would never run")
    return " ".join(texts)


def with_seconds(expression: str) -> str:
    """Returns the six fields that Kubeflow Pipelines takes: seconds first, and Sunday only as 0.

    It takes five as well, but reads them from the seconds on: `0 3 * * 1` would be hourly in January.

    Raises:
      UserError: see `check`.
    """
    *fields, weekday = check(expression).split()
    days = _FIELDS[-1].values(weekday)
    if "*" not in weekday and 7 in days:
        weekday = ",".join(str(day) for day in sorted({day % 7 for day in days}))
    return " ".join(("0", *fields, weekday))


def without_seconds(expression: str) -> str:
    """Returns five fields for people to read where the seconds are 0; any other expression as it is."""
    seconds, _, rest = expression.partition(" ")
    return rest if seconds == "0" and len(rest.split()) == len(_FIELDS) else expression
