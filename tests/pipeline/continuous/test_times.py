"""When a cron expression is due, in years that the clock is changed in."""

import datetime
import itertools

import pytest

from pipeline.continuous.times import Times
from pipeline.errors import UserError

MONDAY = datetime.datetime(2026, 1, 5, tzinfo=datetime.UTC)


def following(expression: str, since: datetime.datetime, count: int, zone: str = "UTC") -> list[str]:
    times = itertools.islice(Times(expression, zone).after(since), count)
    return [f"{time:%a %m-%d %H:%M}" for time in times]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 3 * * 1", ["Mon 01-05 03:00", "Mon 01-12 03:00"]),
        ("0 3 * * 0", ["Sun 01-11 03:00", "Sun 01-18 03:00"]),
        ("0 3 * * 7", ["Sun 01-11 03:00", "Sun 01-18 03:00"]),
        ("0 3 * * fri-7", ["Fri 01-09 03:00", "Sat 01-10 03:00", "Sun 01-11 03:00"]),
        ("0 3 * * 5-7", ["Fri 01-09 03:00", "Sat 01-10 03:00", "Sun 01-11 03:00", "Fri 01-16 03:00"]),
        ("0 3 * * Mon-Wed/2", ["Mon 01-05 03:00", "Wed 01-07 03:00", "Mon 01-12 03:00"]),
        ("0 3 * * */3", ["Wed 01-07 03:00", "Sat 01-10 03:00", "Sun 01-11 03:00"]),
        ("0 3 * * 4/2", ["Thu 01-08 03:00", "Sat 01-10 03:00", "Thu 01-15 03:00"]),
        ("*/20 5-6 * * *", ["Mon 01-05 05:00", "Mon 01-05 05:20", "Mon 01-05 05:40", "Mon 01-05 06:00"]),
        ("0 0 1 feb,MAR *", ["Sun 02-01 00:00", "Sun 03-01 00:00"]),
        ("0 0 29 2 *", ["Tue 02-29 00:00"]),
    ],
)
def test_cron_is_read_as_cron_reads_it(expression: str, expected: list[str]):
    assert following(expression, MONDAY, len(expected)) == expected


def test_a_day_of_the_month_or_one_of_the_week_is_enough_where_both_are_asked_for():
    assert following("0 3 7 * 5", MONDAY, 3) == ["Wed 01-07 03:00", "Fri 01-09 03:00", "Fri 01-16 03:00"]


def test_a_time_is_not_after_itself():
    assert following("0 0 * * *", MONDAY, 1) == ["Tue 01-06 00:00"]


def test_times_are_those_of_the_zone():
    assert following("0 3 * * *", MONDAY, 1, "Asia/Tokyo") == ["Mon 01-05 18:00"]


@pytest.mark.parametrize("minute", ["0 2", "30 2", "59 1"])
def test_every_night_has_one_run_when_the_clock_is_changed(minute: str):
    """Berlin skips the hour from 2:00 on 29 March 2026 and has it twice on 25 October."""
    for day in (datetime.datetime(2026, 3, 27, 12), datetime.datetime(2026, 10, 23, 12)):
        times = list(
            itertools.islice(
                Times(f"{minute} * * *", "Europe/Berlin").after(day.replace(tzinfo=datetime.UTC)), 5
            )
        )
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert all(datetime.timedelta(hours=22) < gap < datetime.timedelta(hours=26) for gap in gaps)


def test_an_unknown_zone_is_named():
    with pytest.raises(UserError, match="no time zone 'Europe/Atlantis'; take a name such as"):
        Times("0 3 * * 1", "Europe/Atlantis")


def test_what_is_no_cron_expression_is_refused():
    with pytest.raises(UserError, match="hour: expected 0 to 23"):
        Times("0 25 * * 1")
