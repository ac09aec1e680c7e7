"""Opening hours and shifts, told in wall times, as moments."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from xraydesk.lib import clock
from xraydesk.scheduling.engine.spans import Span, merged
from xraydesk.siteplan.plan import WEEKDAYS, Hours

_DAY = timedelta(days=1)


def hours_between(hours: Hours, *, zone: str, since: datetime, until: datetime) -> tuple[Span, ...]:
    """When a room is open, or somebody is on, between two moments.

    Wall time is kept across clock changes: a room that opens at 7:00 opens when the clock on
    its wall shows 7:00, whatever the offset that day. An end that is not after its start
    lies on the next day, so 00:00 to 00:00 is a whole day. Hours that a clock change skips
    altogether are left out. Stretches that touch are one.
    """
    found: list[Span] = []
    day = clock.local_day(since, zone) - _DAY
    last = clock.local_day(until, zone)
    while day <= last:
        for opens, closes in hours.get(WEEKDAYS[day.weekday()], ()):
            start = clock.at_wall_time(day, opens, zone)
            end = clock.at_wall_time(day + _DAY if closes <= opens else day, closes, zone)
            found.append(Span(max(start, since), min(end, until)))
        day += _DAY
    return merged(found)


def wall_spans(pairs: Iterable[tuple[datetime, datetime]], *, zone: str) -> tuple[Span, ...]:
    """Stretches given in naive wall time, such as closures, as moments."""
    local = ZoneInfo(zone)
    return merged(
        Span(start.replace(tzinfo=local).astimezone(UTC), end.replace(tzinfo=local).astimezone(UTC))
        for start, end in pairs
    )
