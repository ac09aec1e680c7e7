"""One question, one answer: the best plan for a day that can be found until told to stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from xraydesk.scheduling.engine.dispatch import by_urgency, dispatch, keep_bookings, sweep
from xraydesk.scheduling.engine.firstcome import first_come
from xraydesk.scheduling.engine.improve import Told, improve
from xraydesk.scheduling.engine.moving import Mover
from xraydesk.scheduling.engine.problem import Plan, Problem
from xraydesk.scheduling.engine.state import Day, NoPlan, day_of_plan
from xraydesk.scheduling.engine.stop import Stop

PATIENCE = (1.0, 0.5, 2.0, 4.0)
"""How far ahead the days made minute by minute look, in lengths of an exam."""

START_SHARE = 0.1
"""The quick days take so much of the time at most, the first two of them apart."""

END_SHARE = 0.3
"""To write a plan down and judge it takes about so much of what a first-come plan took, on the same busy machine."""


@dataclass(frozen=True)
class Result:
    """The plan found, and how: exams put back together so many times, and so many exact searches, of which `better` made it better."""

    plan: Plan
    tries: int = 0
    searches: int = 0
    better: int = 0


def solve(problem: Problem, stop: Stop, seed: int = 0) -> Result:
    """The best plan found until `stop`; never worse than first come, first served.

    Ended by steps, the same seed gives the same plan. Raises NoPlan where none can exist.
    """
    left = stop.left_seconds() or 0.0
    first = first_come(problem)
    stop = stop.sooner(END_SHARE * (left - (stop.left_seconds() or 0.0)))
    day = _start(problem, stop, first)
    told = Told(bound=lower_bound(day))
    if not stop.now():
        improve(day, stop, seed=seed, told=told)
    return Result(_plan(day, min(day.cost_now, told.bound)), told.tries, told.searches, told.better)


def _plan(day: Day, bound: float) -> Plan:
    """The day's plan, with a bound where that is one. Raises NoPlan where a fixed exam comes after one without a place."""
    for i in range(day.count):
        for other in day.after[i]:
            if day.fixed[i] and day.room[other] < 0:
                raise NoPlan(
                    f"No place was found for exam {day.exam_ids[other]}, which fixed exam {day.exam_ids[i]} comes after."
                )
    return day.plan(None if day.hours_overlap else bound)


def _part(stop: Stop, share: float) -> Stop:
    left = stop.left_seconds()
    if left is None or stop.clock is None:
        return stop
    return Stop(clock=stop.clock, deadline=stop.clock() + left * share, steps_max=stop.steps_max)


def _start(problem: Problem, stop: Stop, first: Plan) -> Day:
    """The best of several quick days, `first` among them: first come, first served."""
    part = _part(stop, START_SHARE)
    best = dispatch(problem, part)
    if first.cost < best.cost_now:
        best, _ = day_of_plan(problem, first)
    ways: list[Callable[[], Day | None]] = [partial(sweep, problem, patience=p, stop=part) for p in PATIENCE]
    ways.append(partial(_with_room, problem, part))
    for way in ways:
        if part.now():
            break
        day = way()
        if day is not None and day.cost_now < best.cost_now:
            best = day
    return best


def _with_room(problem: Problem, stop: Stop) -> Day:
    day = Day(problem)
    keep_bookings(day)
    mover = Mover(day, stop)
    for i in day.in_order(by_urgency(day)):
        if day.room[i] >= 0:
            continue
        if stop.now():
            spot = day.cheapest(i, day.worth[i])
            if spot:
                day.put(i, spot)
            continue
        found = mover.best_for(i, day.worth[i], depth=2, tries_max=12)
        if found:
            mover.apply(found[1], [])
    return day


def lower_bound(day: Day) -> float:
    """What the exams cost at the least, each by itself in the best place it could have: a proven lower bound."""
    total = 0.0
    problem = day.problem
    # A fixed exam's return may be another porter's, or later, in another plan: with such, porters count for nothing.
    empty = Day(replace(problem, porters=None) if day.returns_fixed else problem)
    for i in range(day.count):
        if day.fixed[i]:
            total += day.cost_of(i)
            continue
        if day.after[i] or day.followers[i]:
            # What it comes after may itself be anywhere: only its own due time counts for sure.
            continue
        spot = empty.cheapest(i, day.missing_cost[i])
        total += min(day.missing_cost[i], spot.cost if spot else day.missing_cost[i])
    return total
