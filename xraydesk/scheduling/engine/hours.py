"""Opening hours and shifts, told in wall times, as moments."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from xraydesk.lib import clock
from xraydesk.scheduling.engine.spans import Span, merged
from xraydesk.siteplan.hours import WEEKDAYS, Hours

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


def slot_starts(
    hours: Hours, *, minutes: int, zone: str, since: datetime, until: datetime
) -> tuple[datetime, ...]:
    """When places of so many minutes begin between two moments, counted on the wall from the start of each interval.

    At 8:00, 8:15 and so on whatever the offset that day; what a clock change skips is left
    out, and what it brings twice is there once.
    """
    found: set[datetime] = set()
    step = timedelta(minutes=minutes)
    day = clock.local_day(since, zone) - _DAY
    last = clock.local_day(until, zone)
    while day <= last:
        for opens, closes in hours.get(WEEKDAYS[day.weekday()], ()):
            wall = datetime.combine(day, opens)
            end = datetime.combine(day + _DAY if closes <= opens else day, closes)
            while wall + step <= end:
                moment = clock.at_wall_time(wall.date(), wall.time(), zone)
                if since <= moment < until and clock.in_zone(moment, zone).replace(tzinfo=None) == wall:
                    found.add(moment)
                wall += step
        day += _DAY
    return tuple(sorted(found))


def wall_spans(pairs: Iterable[tuple[datetime, datetime]], *, zone: str) -> tuple[Span, ...]:
    """Stretches given in naive wall time, such as closures, as moments."""
    local = ZoneInfo(zone)
    return merged(
        Span(start.replace(tzinfo=local).astimezone(UTC), end.replace(tzinfo=local).astimezone(UTC))
        for start, end in pairs
    )
