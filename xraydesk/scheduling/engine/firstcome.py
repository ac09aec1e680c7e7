"""The desk as most departments run it: first come, first served, each in the first place that is free.

What every plan is measured against, and never worse than.
"""

from __future__ import annotations

from xraydesk.scheduling.engine.line import NEVER
from xraydesk.scheduling.engine.problem import Plan, Problem
from xraydesk.scheduling.engine.state import Day, Spot


def first_come(problem: Problem) -> Plan:
    """A plan made in the order in which patients are there: the earliest start in any room, nobody moves for another.

    Who has a booking is there at its time and keeps it where it is still free. Raises NoPlan.
    """
    day = Day(problem)

    def there(i: int) -> int:
        return day.booked_start[i] if day.booked_room[i] >= 0 else day.ready[i]

    for i in day.in_order(sorted(range(day.count), key=lambda i: (there(i), i))):
        if day.fixed[i]:
            continue
        spot = _booked(day, i) or _earliest(day, i)
        if spot:
            day.put(i, spot)
    return day.plan()


def _booked(day: Day, i: int) -> Spot | None:
    if day.booked_room[i] < 0:
        return None
    return day.fits(i, day.booked_room[i], day.booked_start[i])


def _earliest(day: Day, i: int) -> Spot | None:
    first, last = day.bounds(i)
    if first >= NEVER:
        return None
    best: Spot | None = None
    for room, minutes in day.minutes[i].items():
        until = last - minutes if best is None else min(last - minutes, best.start - 1)
        best = day.first_from(i, room, first, until) or best
    return best
