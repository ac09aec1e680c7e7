"""Who is on call at a moment. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from xraydesk.siteplan.hours import lies_within
from xraydesk.siteplan.routing_plan import OnCallPlan, OnCallRole


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
