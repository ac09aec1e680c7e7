"""A cheaper way to let exams in than the first one found: exact searches of their neighbourhoods.

The first answer is on the screen meanwhile. Imports OR-Tools: use it where there is memory and time for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from xraydesk.scheduling.engine.exact import Neighbourhood
from xraydesk.scheduling.engine.moving import EPSILON
from xraydesk.scheduling.engine.placing import put_all
from xraydesk.scheduling.engine.problem import Plan, Problem
from xraydesk.scheduling.engine.state import Day, day_of_plan
from xraydesk.scheduling.engine.stop import Stop

SIZES = (12, 24, 40)
"""So many exams are looked at together: few first, which ends soon, then more from the best so far."""

SHARE = 0.5
"""For one exam each search but the last takes so much of the time that is left at most; for several each takes its part of it."""

SOUGHT_MAX = 8
"""Of many exams the neighbourhoods of so many are searched, of those first that cost most."""

EFFORT = 0.5
"""What a search may take where steps end it in place of time, in CP-SAT's deterministic seconds."""

ELSEWHERE_MINUTES = 45
"""An exam that has nothing to do with the one let in counts as so much farther away."""


WORTH_SHOWING = 5.0
"""What is cheaper by less is not worth a second look: so many minutes of one outpatient's time."""

WORTH_A_MOVE = 2.0
"""Each further exam that moves must be worth so much more."""


def refined(
    problem: Problem, plan: Plan, *, wanted: Sequence[str], than: Plan, stop: Stop, seed: int = 0
) -> Plan | None:
    """A plan clearly better for all who are `wanted` than `than`; None where none was found before `stop`.

    `plan` is the one in force, without the wanted; `than` the first answer, in which one of them stands at least. Whoever of
    them stands there stands in the better one too. Everybody may move, at what that costs. The same seed and steps give the
    same answer.
    """
    before, lost = day_of_plan(problem, plan)
    day, broken = day_of_plan(problem, than)
    numbers = [day.number[name] for name in wanted]
    if lost or broken or all(day.room[i] < 0 for i in numbers):
        return None
    first_cost, first_moved = day.cost_now, _moved(day, before)
    dear = sorted(numbers, key=lambda i: (-day.cost_of(i), i))[:SOUGHT_MAX]
    searches = [(size, i) for size in SIZES for i in dear]
    for steps, (size, i) in enumerate(searches):
        if stop.now(steps) or day.cost_now <= EPSILON:
            break
        left = len(searches) - steps
        share = 1.0 if left == 1 else SHARE if len(dear) == 1 else 1 / left
        _search(day, _around(day, before, i, size), stop, seed=seed, share=share)
    more = max(0, _moved(day, before) - first_moved)
    if day.cost_now > first_cost - WORTH_SHOWING - WORTH_A_MOVE * more:
        return None
    _put_back(day, before)
    return day.plan()


def _moved(day: Day, before: Day) -> int:
    """How many have another room or time than before."""
    return sum(
        before.room[j] >= 0 and (day.room[j], day.start[j]) != (before.room[j], before.start[j])
        for j in range(day.count)
    )


def _search(day: Day, exams: list[int], stop: Stop, *, seed: int, share: float) -> None:
    """Look for better places for these exams in a share of the time that is left; where the first has one it must have one."""
    model = Neighbourhood(day, exams, must=exams[0] if day.room[exams[0]] >= 0 else None)
    if not model.possible:
        return
    left = stop.left_seconds()
    if left is None:
        found = model.solve(effort=EFFORT, seed=seed)
    else:
        found = model.solve(seconds=left * share, seed=seed)
    if found is not None and found.cost < sum(day.cost_of(j) for j in exams) - EPSILON:
        put_all(day, found.spots)


def _around(day: Day, before: Day, i: int, size: int) -> list[int]:
    """The exam, whoever lost a place to it, and those nearest: in time between where it is and should be, and in what they need."""
    ideal = day.ideal(i, day.ready[i])
    first, last = sorted((ideal, day.start[i] if day.room[i] >= 0 else ideal))
    people = set(day.people_for[i])

    def far(j: int) -> int:
        start = day.start[j] if day.room[j] >= 0 else day.ready[j]
        apart = max(0, first - start, start - last)
        strange = day.room[j] not in day.minutes[i] and day.person[j] not in people
        return apart + (ELSEWHERE_MINUTES if strange else 0)

    lost = [j for j in range(day.count) if j != i and day.room[j] < 0 <= before.room[j]]
    others = [j for j in range(day.count) if j != i and not day.fixed[j] and day.room[j] >= 0]
    return [i, *lost, *sorted(others, key=lambda j: (far(j), j))[: max(0, size - 1 - len(lost))]]


def _put_back(day: Day, before: Day) -> None:
    """Whoever stands where they stood is given their technologist and porters again, as far as those are free.

    An exact search may exchange them as it likes, for they cost nothing; people like them to stay.
    """
    changed = [
        j
        for j in range(day.count)
        if not day.fixed[j]
        and before.room[j] >= 0
        and (day.room[j], day.start[j]) == (before.room[j], before.start[j])
        and (day.person[j], day.jobs[j]) != (before.person[j], before.jobs[j])
    ]
    held = {j: day.take(j) for j in changed}
    put: list[int] = []
    for j, now in held.items():
        person, jobs = before.person[j], before.jobs[j]
        wishes = (
            replace(now, technologist=person, jobs=jobs),
            replace(now, technologist=person),
            replace(now, jobs=jobs),
            now,
            day.fits(j, now.room, now.start),
        )
        spot = next((s for s in wishes if s is not None and day.stands(j, s)), None)
        if spot is None:
            break
        day.put(j, spot)
        put.append(j)
    else:
        return
    for j in put:
        day.take(j)
    for j, now in held.items():
        day.put(j, now)
