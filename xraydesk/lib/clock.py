"""The clock is read here and nowhere else; everything inward is handed the time as `at`."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo


def now() -> datetime:
    """The present moment, aware and in UTC."""
    return datetime.now(UTC)


def local_day(at: datetime, zone: str) -> date:
    """The calendar day that people in `zone` call `at`."""
    return at.astimezone(ZoneInfo(zone)).date()


def at_wall_time(day: date, wall: time, zone: str) -> datetime:
    """The moment, in UTC, at which the clock on the wall of `zone` shows `wall` on `day`.

    A time that a clock change skips is read with the offset in force before the change, so
    that it lands as long after the gap as it lay inside it; one that occurs twice means its
    first occurrence (PEP 495, fold 0).
    """
    return datetime.combine(day, wall.replace(fold=0), tzinfo=ZoneInfo(zone)).astimezone(UTC)


def day_bounds(day: date, zone: str) -> tuple[datetime, datetime]:
    """First moment of `day` and of the day after it, as people in `zone` count, in UTC."""
    return at_wall_time(day, time(0), zone), at_wall_time(day + timedelta(days=1), time(0), zone)


def in_zone(at: datetime, zone: str) -> datetime:
    """The same moment with the offset in force in `zone`."""
    return at.astimezone(ZoneInfo(zone))
