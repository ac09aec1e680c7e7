"""Hours of the week, and whether a moment on the wall lies within them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, time

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

Hours = Mapping[str, tuple[tuple[time, time], ...]]
"""Weekday to open intervals; an end of 00:00 means midnight at the end of that day."""


def lies_within(hours: Hours, wall: datetime) -> bool:
    """True where a naive moment on the site's wall lies within `hours`; an end of 00:00 is the day's end."""
    clock = wall.time()
    return any(
        start <= clock and (clock < end or end == time(0))
        for start, end in hours.get(WEEKDAYS[wall.weekday()], ())
    )
