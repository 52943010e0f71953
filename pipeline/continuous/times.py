"""The times that a cron expression names, by APScheduler's arithmetic of calendars and time zones."""

import datetime
import zoneinfo
from collections.abc import Iterator

from pipeline import cron
from pipeline.errors import UserError

_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MICROSECOND = datetime.timedelta(microseconds=1)


class Times:
    """The times of a schedule.

    As cron has it, either a day of the month or one of the week is enough where both are asked for. A time
    that the clock jumps over in spring comes an hour later by it, and one that it shows twice in autumn
    counts once.
    """

    def __init__(self, expression: str, timezone: str = "") -> None:
        """Takes five fields, and the name of a zone; the machine's if it is empty. Raises UserError."""
        from apscheduler.triggers.cron import CronTrigger

        minute, hour, day, month, weekday = cron.check(expression).split()
        try:
            zone = zoneinfo.ZoneInfo(timezone) if timezone else None
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise UserError(
                f"there is no time zone {timezone!r}; take a name such as Europe/Berlin or UTC"
            ) from error
        common = {"minute": minute, "hour": hour, "month": month, "timezone": zone}
        days = _names(weekday)
        if day.startswith("*") or weekday.startswith("*"):
            self._triggers = [CronTrigger(**common, day=day, day_of_week=days)]
        else:
            self._triggers = [CronTrigger(**common, day=day), CronTrigger(**common, day_of_week=days)]

    def after(self, moment: datetime.datetime) -> Iterator[datetime.datetime]:
        """Yields the times later than `moment`, in order, UTC."""
        while True:
            moment += _MICROSECOND
            found = [trigger.get_next_fire_time(None, moment) for trigger in self._triggers]
            following = min((time for time in found if time), default=None)
            if following is None:
                return
            moment = following.astimezone(datetime.UTC)
            if not following.fold:
                yield moment


def _names(field: str) -> str:
    """Days of the week as names: to cron, 0 and 7 are Sunday; to APScheduler, 0 is Monday."""
    if field == "*":
        return field
    days = set()
    for item in field.lower().split(","):
        span, slash, step = item.partition("/")
        first, dash, last = ("0-6" if span == "*" else span).partition("-")
        begin = _number(first)
        end = _number(last) if dash else 6 if slash else begin
        days |= {day % 7 for day in range(begin, end + 1, int(step) if slash else 1)}
    return ",".join(_DAYS[day] for day in sorted(days))


def _number(day: str) -> int:
    return _DAYS.index(day) if day in _DAYS else int(day)
