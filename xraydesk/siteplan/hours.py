"""Whether a moment on the wall lies within hours of the week, and who is on call at it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, time

from xraydesk.siteplan.plan import WEEKDAYS, Hours, OnCallPlan, OnCallRole


def lies_within(hours: Hours, wall: datetime) -> bool:
    """True where a naive moment on the site's wall lies within `hours`; an end of 00:00 is the day's end."""
    clock = wall.time()
    return any(
        start <= clock and (clock < end or end == time(0))
        for start, end in hours.get(WEEKDAYS[wall.weekday()], ())
    )


def on_call_at(
    people: Iterable[OnCallPlan], *, wall: datetime, location: str, role: OnCallRole
) -> tuple[OnCallPlan, ...]:
    """Who is on call at a moment for a location, in the order of the file: the first is called first, the next covers.

    `location` is a code; an empty one is where only those are on call who are for all.
    """
    return tuple(
        p
        for p in people
        if p.role is role and lies_within(p.hours, wall) and (not p.locations or location in p.locations)
    )
