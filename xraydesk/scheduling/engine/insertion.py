"""Letting one more exam into a day, or mending a day in which something broke, by few and cheap moves.

This is what a person waits for. An exam is tried in its own best free places first; then in places
that others have, each of whom is found another place in turn, to a stated depth. What comes out is
a short list of different options, each a small set of moves, the cheapest first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xraydesk.scheduling.engine.moving import (
    DEPTH,
    EPSILON,
    INNER_TRIES_MAX,
    TRIES_MAX,
    Change,
    Mover,
    Trail,
)
from xraydesk.scheduling.engine.problem import Placed, Plan, Problem
from xraydesk.scheduling.engine.state import Spot, day_of_plan
from xraydesk.scheduling.engine.stop import Stop

OPTIONS_MAX = 4

WORK_MAX = 60
"""So many exchanges are tried for one question about one exam: somebody waits for the answer."""

APART_MINUTES = 5
"""Options for one exam differ by so much, or in its room, or in who moves."""


@dataclass(frozen=True)
class Move:
    """One exam's change. `before` None: it had no place; `after` None: it loses the one it had."""

    exam: str
    before: Placed | None
    after: Placed | None


@dataclass(frozen=True)
class Option:
    """One thing that could be done. `cost` is by how much the plan's cost rises by it, from what stands of the plan now."""

    moves: tuple[Move, ...]
    cost: float


def repair(
    problem: Problem,
    plan: Plan,
    *,
    wanted: Sequence[str] = (),
    options_max: int = OPTIONS_MAX,
    stop: Stop | None = None,
) -> tuple[Option, ...]:
    """What could be done so that the `wanted` exams, and those whose place does not stand any more, have one.

    The problem is as it is now; the plan is the one in force, and may be broken by it. Empty where
    nothing is to be done, or nothing can be. Raises NoPlan.
    """
    planner = Planner(problem, plan)
    return planner.options(wanted, options_max=options_max, stop=stop)


def with_moves(problem: Problem, plan: Plan, after: Mapping[str, Placed | None]) -> Plan:
    """A plan with some exams elsewhere, whether that keeps the rules or not. Its cost is not added up."""
    placed = {p.exam: p for p in plan.placed}
    for name, place in after.items():
        if place is None:
            placed.pop(name, None)
        else:
            placed[name] = place
    left = tuple(e.id for e in problem.exams if e.id not in placed)
    return Plan(tuple(placed.values()), left)


def applied(problem: Problem, plan: Plan, option: Option) -> Plan:
    """The plan after an option."""
    return with_moves(problem, plan, {m.exam: m.after for m in option.moves})


class Planner:
    """A day kept in memory, asked for options again and again. It stands as it was after each question."""

    def __init__(self, problem: Problem, plan: Plan) -> None:
        self.problem, self.plan = problem, plan
        self.before = {p.exam: p for p in plan.placed}
        self.day, lost = day_of_plan(problem, plan)
        self.lost = tuple(self.day.exam_ids[i] for i in lost)
        self.mover = Mover(self.day)

    # -- questions ---------------------------------------------------------------------------------

    def options(
        self, wanted: Sequence[str] = (), *, options_max: int = OPTIONS_MAX, stop: Stop | None = None
    ) -> tuple[Option, ...]:
        """The best different options for these exams and those that lost their place, the cheapest first."""
        self.mover.stop = stop
        names = dict.fromkeys((*self.lost, *wanted))
        todo = [self.day.number[n] for n in names if self.day.room[self.day.number[n]] < 0]
        if not todo:
            return ()
        if len(todo) == 1:
            found = self._for_one(todo[0], options_max)
            if not found and self.lost:
                found = [[(todo[0], None)]]
            return tuple(sorted((self._told(c) for c in found), key=lambda o: o.cost))
        return self._for_many(todo, options_max, stop)

    def at_place(self, exam: str, room: str, start: int) -> Option | None:
        """What would have to move if an exam went exactly there; None where it cannot, whoever gives way."""
        i, r = self.day.number[exam], self.day.room_number[room]
        self.mover.stop = None
        trail: Trail = []
        if self.day.room[i] >= 0:
            trail.append((i, self.day.take(i)))
        found = None
        if r in self.day.minutes[i]:
            found = self.mover.give_way(i, r, start, float("inf"), DEPTH)
        self.mover.undo(trail)
        return self._told(found[1]) if found else None

    # -- one exam ------------------------------------------------------------------------------------

    def _for_one(self, i: int, options_max: int) -> list[list[Change]]:
        """Different ways to let one exam in."""
        kept = _Best(i, options_max)
        day = self.day
        self.mover.work_left = WORK_MAX
        limit = day.worth[i]
        for room in day.minutes[i]:
            spot = day.cheapest(i, limit, room=room)
            if spot:
                kept.offer(spot.cost, [(i, spot)])
        for cost, changes in self.mover.with_others(i, min(limit, kept.limit), DEPTH, TRIES_MAX, kept):
            kept.offer(cost, changes)
        self.mover.work_left = None
        return kept.changes()

    def _for_many(self, todo: list[int], options_max: int, stop: Stop | None) -> tuple[Option, ...]:
        """Ways to place several exams: in different orders, each as well as it can when it is its turn."""
        day = self.day
        orders = (
            sorted(todo, key=lambda i: (-day.missing_cost[i], day.booked_start[i], i)),
            sorted(todo, key=lambda i: (day.booked_start[i], i)),
            sorted(todo, key=lambda i: (-day.per_minute[i], -day.weight[i], day.booked_start[i], i)),
            sorted(todo, key=lambda i: (len(day.minutes[i]), day.booked_start[i], i)),
        )
        found: dict[frozenset[tuple[str, Placed | None]], Option] = {}
        for order in orders:
            if found and stop and stop.now():
                break
            option = self._one_by_one(order)
            if option.moves:
                found.setdefault(frozenset((m.exam, m.after) for m in option.moves), option)
        return tuple(sorted(found.values(), key=lambda o: o.cost)[:options_max])

    def _one_by_one(self, order: list[int]) -> Option:
        day, trail = self.day, Trail()
        begun = day.cost_now
        for i in day.in_order(order):
            if day.room[i] >= 0 or i not in order:
                continue
            changes = self.mover.best_for(i, day.worth[i], DEPTH, INNER_TRIES_MAX)
            if changes:
                self.mover.apply(changes[1], trail)
        # Whoever came first may be better off now that all are placed.
        for i, _ in list(trail):
            if day.room[i] >= 0 and day.cost_of(i) > EPSILON:
                self.mover.better(i, trail)
        touched = dict.fromkeys((*order, *(i for i, _ in trail)))
        cost = day.cost_now - begun
        moves = tuple(m for i in touched if (m := self._move(i, day.placed(i))))
        self.mover.undo(trail)
        return Option(moves, cost)

    # -- telling --------------------------------------------------------------------------------------

    def _move(self, i: int, after: Placed | None) -> Move | None:
        name = self.day.exam_ids[i]
        before = self.before.get(name)
        return None if before == after else Move(name, before, after)

    def _told(self, changes: Sequence[Change]) -> Option:
        """Changes as an option; computed by making them once."""
        day, trail = self.day, Trail()
        begun = day.cost_now
        self.mover.apply(changes, trail)
        cost = day.cost_now - begun
        moves = tuple(m for i, _ in changes if (m := self._move(i, day.placed(i))))
        self.mover.undo(trail)
        return Option(moves, cost)


class _Best:
    """The cheapest few that differ from each other."""

    def __init__(self, exam: int, most: int) -> None:
        self.exam, self.most = exam, most
        self.kept: list[tuple[float, list[Change]]] = []

    @property
    def limit(self) -> float:
        """What is not cheaper than this need not be offered."""
        return self.kept[-1][0] if len(self.kept) == self.most else float("inf")

    def offer(self, cost: float, changes: list[Change]) -> None:
        """Keep it, where it is among the cheapest, in place of one that is nearly the same."""
        for k, (other, same) in enumerate(self.kept):
            if self._alike(dict(changes), dict(same)):
                if cost < other - EPSILON:
                    self.kept[k] = (cost, changes)
                    self.kept.sort(key=lambda one: one[0])
                return
        self.kept.append((cost, changes))
        self.kept.sort(key=lambda one: one[0])
        del self.kept[self.most :]

    def changes(self) -> list[list[Change]]:
        """What was kept, the cheapest first."""
        return [changes for _, changes in self.kept]

    def _alike(self, one: dict[int, Spot | None], other: dict[int, Spot | None]) -> bool:
        """Whether two are hardly a choice: same room, nearly the same time, the same others moved."""
        a, b = one[self.exam], other[self.exam]
        if a is None or b is None or a.room != b.room or abs(a.start - b.start) >= APART_MINUTES:
            return False
        return one.keys() == other.keys()
