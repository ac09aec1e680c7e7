"""Letting one more exam into a day, or mending a day in which something broke, by few and cheap moves.

This is what a person waits for. An exam is tried in its own best free places first; then in places
that others have, each of whom is found another place in turn, to a stated depth. What comes out is
a short list of different options, each a small set of moves, the cheapest first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from xraydesk.scheduling.engine.problem import (
    FETCH_EARLY_MINUTES,
    RETURN_LATE_MINUTES,
    Placed,
    Plan,
    Problem,
)
from xraydesk.scheduling.engine.state import NEVER, NOBODY, Spot, day_of_plan
from xraydesk.scheduling.engine.stop import Stop

OPTIONS_MAX = 4
DEPTH = 2
"""Whoever gives way may in turn make others give way, so many times over."""

VICTIMS_MAX = 3
"""So many exams at most give way to one."""

TRIES_MAX = 60
"""Places that others have, tried for one exam before the best so far is taken."""

INNER_TRIES_MAX = 12
"""The same for an exam that gives way itself."""

PEOPLE_MAX = 3
"""So many busy technologists, or porters, are asked whether another could do what they do then."""

APART_MINUTES = 5
"""Options for one exam differ by so much, or in its room, or in who moves."""

EPSILON = 1e-9

Change = tuple[int, Spot | None]
"""One exam and where it goes; None: it loses its place."""


@dataclass(frozen=True)
class Move:
    """One exam's change. `before` None: it had no place; `after` None: it loses the one it had."""

    exam: str
    before: Placed | None
    after: Placed | None


@dataclass(frozen=True)
class Option:
    """One thing that could be done. `cost` is by how much the whole plan's cost rises; it may be negative."""

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
        self._locked: set[int] = set()
        self._tries = 0
        self._stop: Stop | None = None

    # -- questions ---------------------------------------------------------------------------------

    def options(
        self, wanted: Sequence[str] = (), *, options_max: int = OPTIONS_MAX, stop: Stop | None = None
    ) -> tuple[Option, ...]:
        """The best different options for these exams and those that lost their place, the cheapest first."""
        self._stop = stop
        names = dict.fromkeys((*self.lost, *wanted))
        todo = [self.day.number[n] for n in names if self.day.room[self.day.number[n]] < 0]
        if not todo:
            return ()
        if len(todo) == 1:
            return tuple(self._told(c) for c in self._for_one(todo[0], options_max))
        return self._for_many(todo, options_max)

    def at_place(self, exam: str, room: str, start: int) -> Option | None:
        """What would have to move if an exam went exactly there; None where it cannot, whoever gives way."""
        i, r = self.day.number[exam], self.day.room_number[room]
        self._stop, self._tries, self._locked = None, 0, set()
        trail: list[tuple[int, Spot | None]] = []
        if self.day.room[i] >= 0:
            trail.append((i, self.day.take(i)))
        found = None
        if r in self.day.minutes[i]:
            found = self._give_way(i, r, start, float("inf"), DEPTH)
        self._undo(trail)
        return self._told(found[1]) if found else None

    # -- one exam ------------------------------------------------------------------------------------

    def _for_one(self, i: int, options_max: int) -> list[list[Change]]:
        """Different ways to let one exam in."""
        kept = _Best(i, options_max)
        day = self.day
        self._tries, self._locked = 0, set()
        limit = day.missing_cost[i]
        for room in day.minutes[i]:
            spot = day.cheapest(i, limit, room=room)
            if spot:
                kept.offer(spot.cost, [(i, spot)])
        for cost, changes in self._with_others(i, min(limit, kept.limit), DEPTH, TRIES_MAX, kept):
            kept.offer(cost, changes)
        return kept.changes()

    def _for_many(self, todo: list[int], options_max: int) -> tuple[Option, ...]:
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
            if found and self._stop and self._stop.now():
                break
            option = self._one_by_one(order)
            found.setdefault(frozenset((m.exam, m.after) for m in option.moves), option)
        return tuple(sorted(found.values(), key=lambda o: o.cost)[:options_max])

    def _one_by_one(self, order: Sequence[int]) -> Option:
        day, trail = self.day, list[tuple[int, Spot | None]]()
        begun = day.cost_now
        for i in sorted(order, key=lambda i: bool(day.after[i])):
            self._tries, self._locked = 0, set()
            changes = self._best_for(i, day.missing_cost[i], DEPTH, INNER_TRIES_MAX)
            if changes:
                self._apply(changes[1], trail)
        # Whoever came first may be better off now that all are placed.
        for i, _ in list(trail):
            if day.room[i] >= 0 and day.cost_of(i) > EPSILON:
                self._better(i, trail)
        touched = dict.fromkeys(i for i, _ in trail)
        cost = day.cost_now - begun
        moves = tuple(m for i in touched if (m := self._move(i, day.placed(i))))
        self._undo(trail)
        return Option(moves, cost)

    def _better(self, i: int, trail: list[tuple[int, Spot | None]]) -> None:
        """Move one placed exam where it costs less, with whoever gives way for it."""
        day = self.day
        if day.fixed[i]:
            return
        old = day.take(i)
        self._tries, self._locked = 0, set()
        found = self._best_for(i, old.cost - EPSILON, DEPTH, INNER_TRIES_MAX)
        if found:
            trail.append((i, old))
            self._apply(found[1], trail)
        else:
            day.put(i, old)

    def _best_for(
        self, i: int, limit: float, depth: int, tries_max: int
    ) -> tuple[float, list[Change]] | None:
        """The cheapest way found to place an exam for less than `limit`; the day stands as before."""
        best: tuple[float, list[Change]] | None = None
        spot = self.day.cheapest(i, limit)
        if spot:
            best, limit = (spot.cost, [(i, spot)]), spot.cost
        if depth <= 0 or limit <= EPSILON:
            return best
        for cost, changes in self._with_others(i, limit, depth, tries_max, None):
            if cost < limit - EPSILON:
                best, limit = (cost, changes), cost
        return best

    def _with_others(
        self, i: int, limit: float, depth: int, tries_max: int, kept: _Best | None
    ) -> Iterator[tuple[float, list[Change]]]:
        """Ways to place an exam where others stand, for less than `limit`, those first that suit the exam best."""
        for tries, (own, room, start) in enumerate(self._places_of_others(i, limit)):
            most = kept.limit if kept else limit
            if own >= most - EPSILON:
                return
            if tries >= tries_max or (self._stop and self._stop.now()):
                return
            found = self._give_way(i, room, start, most, depth)
            if found and found[0] < most - EPSILON:
                if kept is None:
                    limit = found[0]
                yield found

    def _places_of_others(self, i: int, limit: float) -> list[tuple[float, int, int]]:
        """Where an exam could stand if others gave way: own cost, room, start; the cheapest first."""
        day = self.day
        first, last = day.bounds(i)
        if first >= NEVER:
            return []
        ideal = day._ideal(i, first) if day.per_minute[i] > 0 else first
        found = []
        for room, minutes in day.minutes[i].items():
            line = day.room_lines[room]
            starts = {first, ideal}
            for begin, end, who in zip(line.starts, line.ends, line.who, strict=True):
                if end <= first or who == NOBODY:
                    if first < end < NEVER:
                        starts.add(end)
                    continue
                starts.add(max(first, begin))
                starts.add(end)
                starts.add(begin - minutes - day.cleaning[i])
                if day.own_cost(i, room, max(begin, ideal)) >= limit:
                    break
            for start in starts:
                if first <= start and start + minutes <= last:
                    own = day.own_cost(i, room, start)
                    if own < limit:
                        found.append((own, room, start))
        found.sort(key=lambda f: (f[0], f[2], f[1]))
        return found

    def _give_way(
        self, i: int, room: int, start: int, limit: float, depth: int
    ) -> tuple[float, list[Change]] | None:
        """Place an exam just there, and whoever is in its way elsewhere; the day stands as before."""
        day = self.day
        minutes = day.minutes[i][room]
        first, last = day.bounds(i)
        end = start + minutes
        if start < first or end > last:
            return None
        victims = self._in_the_way(i, room, start, end)
        if victims is None:
            return None
        own = day.own_cost(i, room, start)
        best: tuple[float, list[Change]] | None = None
        for more in self._people_in_the_way(i, start, end, victims):
            every = list(dict.fromkeys((*victims, *more)))
            if len(every) > VICTIMS_MAX:
                continue
            found = self._exchange(i, (own, room, start), every, limit=limit, depth=depth)
            if found and found[0] < limit - EPSILON:
                best, limit = found, found[0]
        return best

    def _in_the_way(self, i: int, room: int, start: int, end: int) -> list[int] | None:
        """Who has the room or the patient then; None where that cannot be changed."""
        day = self.day
        found = day.room_lines[room].between(start, end + day.cleaning[i])
        found += day.patient_lines[day.patient[i]].between(start, end)
        return None if any(not self._may_move(v) for v in found) else list(dict.fromkeys(found))

    def _may_move(self, v: int) -> bool:
        return v >= 0 and not self.day.fixed[v] and v not in self._locked

    def _people_in_the_way(
        self, i: int, start: int, end: int, victims: Sequence[int]
    ) -> list[tuple[int, ...]]:
        """Who else must give way so that a technologist and porters are free then; one tuple a way, () for nobody."""
        day, taken = self.day, set(victims)
        people: list[tuple[int, ...]] = [()]
        if day.limited:
            each = []
            for t in day.people_for[i]:
                busy = [v for v in day.person_lines[t].between(start, end) if v not in taken]
                if all(self._may_move(v) for v in busy):
                    each.append(tuple(busy))
            each.sort(key=lambda b: (len(b), sum(self._held_by(v) for v in b)))
            people = each[:1] if each and not each[0] else each[:PEOPLE_MAX]
        way = day.way[i]
        if way < 0 or not day.porters_limited:
            return people
        earliest, latest = max(day.now, start - FETCH_EARLY_MINUTES - way), start - way
        if latest < earliest:
            return []
        fetches = self._porters_in_the_way(earliest, latest, way, taken)
        backs = self._porters_in_the_way(end, end + RETURN_LATE_MINUTES, way, taken)
        return [(*p, *f, *b) for p in people for f in fetches for b in backs][: PEOPLE_MAX + 1]

    def _held_by(self, v: int) -> float:
        """How unwilling an exam is to move, as a first guess."""
        day = self.day
        return day.per_minute[v] + day.weight[v] / 10 + (5.0 if day.followers[v] or day.after[v] else 0.0)

    def _porters_in_the_way(self, first: int, last: int, way: int, taken: set[int]) -> list[tuple[int, ...]]:
        lines = self.day.porter_lines
        if any(line.next_free(first, way) <= last for line in lines):
            return [()]
        found = []
        for line in lines:
            for at in {first, last}:
                busy = [v for v in line.between(at, at + way) if v not in taken]
                if all(self._may_move(v) for v in busy):
                    found.append(tuple(dict.fromkeys(busy)))
        found.sort(key=lambda b: (len(b), sum(self._held_by(v) for v in b)))
        return list(dict.fromkeys(found))[:2]

    def _exchange(
        self, i: int, place: tuple[float, int, int], victims: Sequence[int], *, limit: float, depth: int
    ) -> tuple[float, list[Change]] | None:
        """An exam in a place (own cost, room, start), and whoever had it elsewhere; the day stands as before."""
        day, (own, room, start) = self.day, place
        before = [(v, day.take(v)) for v in victims]
        spent = own - sum(spot.cost for _, spot in before)
        spot = day.fits(i, room, start)
        trail: list[tuple[int, Spot | None]] = list(before)
        found = None
        if spot is not None:
            day.put(i, spot)
            trail.append((i, None))
            self._locked.add(i)
            found = self._elsewhere(before, spent, limit=limit, depth=depth, trail=trail)
            self._locked.discard(i)
        changes = None
        if found is not None:
            touched = dict.fromkeys(j for j, _ in trail)
            changes = (found, [(j, self._spot(j)) for j in touched])
        self._undo(trail)
        return changes

    def _elsewhere(
        self,
        before: Sequence[tuple[int, Spot]],
        spent: float,
        *,
        limit: float,
        depth: int,
        trail: list[tuple[int, Spot | None]],
    ) -> float | None:
        """Place whoever gave way, the most unwilling first. What it costs in all, or None where that is too much."""
        day = self.day
        for v, _ in sorted(before, key=lambda b: (len(day.after[b[0]]), -self._held_by(b[0]), b[1].start)):
            left = limit - spent
            if left <= -sum(s.cost for _, s in before):
                return None
            found = self._best_for(v, min(left, day.missing_cost[v]), depth - 1, INNER_TRIES_MAX)
            if found:
                spent += found[0]
                self._apply(found[1], trail)
            elif day.missing_cost[v] < left and not any(day.room[f] >= 0 for f in day.followers[v]):
                spent += day.missing_cost[v]
            else:
                return None
        return spent if spent < limit - EPSILON else None

    # -- changing the day and changing it back -------------------------------------------------------

    def _spot(self, i: int) -> Spot | None:
        day = self.day
        if day.room[i] < 0:
            return None
        room, start = day.room[i], day.start[i]
        return Spot(day.own_cost(i, room, start), room, start, day.person[i], day.jobs[i])

    def _apply(self, changes: Iterable[Change], trail: list[tuple[int, Spot | None]]) -> None:
        """Make changes together, noting on the trail how each exam stood."""
        day = self.day
        changes = list(changes)
        for i, _ in changes:
            trail.append((i, day.take(i) if day.room[i] >= 0 else None))
        for i, spot in changes:
            if spot is not None:
                day.put(i, spot)

    def _undo(self, trail: list[tuple[int, Spot | None]]) -> None:
        """Put every exam back as it stood when it was first noted."""
        day = self.day
        first: dict[int, Spot | None] = {}
        for i, spot in trail:
            first.setdefault(i, spot)
        for i in first:
            if day.room[i] >= 0:
                day.take(i)
        for i, spot in first.items():
            if spot is not None:
                day.put(i, spot)
        trail.clear()

    # -- telling --------------------------------------------------------------------------------------

    def _move(self, i: int, after: Placed | None) -> Move | None:
        name = self.day.exam_ids[i]
        before = self.before.get(name)
        return None if before == after else Move(name, before, after)

    def _told(self, changes: Sequence[Change]) -> Option:
        """Changes as an option; computed by making them once."""
        day, trail = self.day, list[tuple[int, Spot | None]]()
        begun = day.cost_now
        self._apply(changes, trail)
        cost = day.cost_now - begun
        moves = tuple(m for i, _ in changes if (m := self._move(i, day.placed(i))))
        self._undo(trail)
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
