"""A whole day planned at once, in well under a second: bookings first, then whoever is most pressing."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from xraydesk.scheduling.engine.problem import Problem
from xraydesk.scheduling.engine.state import Day

SHUFFLE = 0.3
"""How far a shuffled order strays from the usual one."""


def dispatch(problem: Problem, *, shuffled: Random | None = None) -> Day:
    """A feasible day: fixed exams, then bookings in force that still fit, then the others by urgency.

    Each takes its cheapest place when it is its turn; who finds none is left out. With
    `shuffled` the order of the others strays at random. Raises NoPlan.
    """
    day = Day(problem)
    keep_bookings(day)
    order = by_urgency(day)
    if shuffled is not None:
        rank = {i: k * (1 + SHUFFLE * (shuffled.random() - 0.5)) for k, i in enumerate(order)}
        order.sort(key=rank.__getitem__)
    place(day, order)
    return day


def keep_bookings(day: Day) -> None:
    """Give exams the places they are booked in, as far as those can stand together."""
    rank = sorted(range(day.count), key=lambda i: (day.booked_start[i], i))
    for i in day.in_order(rank):
        if day.room[i] >= 0 or day.booked_room[i] < 0:
            continue
        spot = day.fits(i, day.booked_room[i], day.booked_start[i])
        # A booking that is late already is no place to keep: it is placed with the others.
        if spot and spot.cost <= 0:
            day.put(i, spot)


def by_urgency(day: Day) -> list[int]:
    """Exams without a place, the most pressing first: by weight, then by the minute at which waiting begins to cost."""
    todo = [i for i in range(day.count) if day.room[i] < 0]
    return sorted(
        todo,
        key=lambda i: (-day.weight[i], min(day.due[i], day.booked_start[i] or day.due[i]), day.ready[i], i),
    )


def place(day: Day, order: Sequence[int]) -> None:
    """Give each exam its cheapest place, those that come after others in their turn."""
    for i in day.in_order(order):
        if day.room[i] < 0:
            spot = day.cheapest(i, day.missing_cost[i])
            if spot:
                day.put(i, spot)
