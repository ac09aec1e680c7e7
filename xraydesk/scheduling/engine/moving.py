"""Moving exams on a day: one into its cheapest place, or where others stand, each of whom is found another place in turn.

The search keeps the day as it was and tells what could be changed; `apply` and `undo` change it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from xraydesk.scheduling.engine.line import NEVER, NOBODY
from xraydesk.scheduling.engine.problem import FETCH_EARLY_MINUTES, RETURN_LATE_MINUTES
from xraydesk.scheduling.engine.state import Day, Spot
from xraydesk.scheduling.engine.stop import Stop

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

EPSILON = 1e-9

Change = tuple[int, Spot | None]
"""One exam and where it goes; None: it loses its place."""

Trail = list[tuple[int, Spot | None]]
"""How exams stood before they were changed, in order."""


class NotPlaced(ValueError):
    """An exam that was left out is asked for a better place: give it one first."""


class Limit(Protocol):
    """Keeps what was found so far, and says what is not worth finding any more."""

    @property
    def limit(self) -> float:
        """What costs so much is not worth finding."""
        ...


class Mover:
    """Searches on one day. `stop` may end any search with what it has by then."""

    def __init__(self, day: Day, stop: Stop | None = None) -> None:
        self.day, self.stop = day, stop
        self.work_left: int | None = None
        """So many exchanges may still be tried; None: as many as the other limits allow."""
        self._locked: set[int] = set()

    def better(self, i: int, trail: Trail, *, depth: int = DEPTH, tries_max: int = INNER_TRIES_MAX) -> bool:
        """Move one placed exam where it costs less, with whoever gives way for it. True where that was done. Raises NotPlaced."""
        day = self.day
        if day.room[i] < 0:
            raise NotPlaced(f"Exam {day.exam_ids[i]} has no place that could be a better one.")
        if day.fixed[i]:
            return False
        old = day.take(i)
        found = self.best_for(i, old.cost - EPSILON, depth, tries_max)
        if found:
            trail.append((i, old))
            self.apply(found[1], trail)
            return True
        day.put(i, old)
        return False

    def best_for(self, i: int, limit: float, depth: int, tries_max: int) -> tuple[float, list[Change]] | None:
        """The cheapest way found to place an exam for less than `limit`; the day stands as before."""
        best: tuple[float, list[Change]] | None = None
        spot = self.day.cheapest(i, limit)
        if spot:
            best, limit = (spot.cost, [(i, spot)]), spot.cost
        if depth <= 0 or limit <= EPSILON:
            return best
        for cost, changes in self.with_others(i, limit, depth, tries_max, None):
            if cost < limit - EPSILON:
                best, limit = (cost, changes), cost
        return best

    def with_others(
        self, i: int, limit: float, depth: int, tries_max: int, kept: Limit | None
    ) -> Iterator[tuple[float, list[Change]]]:
        """Ways to place an exam where others stand, for less than `limit`, those first that suit the exam best."""
        for tries, (own, room, start) in enumerate(self._places_of_others(i, limit)):
            most = kept.limit if kept else limit
            if own >= most - EPSILON:
                return
            if tries >= tries_max or self.work_left == 0 or (self.stop and self.stop.now()):
                return
            found = self.give_way(i, room, start, most, depth)
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
        ideal = day.ideal(i, first)
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

    def give_way(
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
            if len(every) > VICTIMS_MAX or self.work_left == 0:
                continue
            if self.work_left is not None:
                self.work_left -= 1
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
            each: list[tuple[int, ...]] = []
            for t in day.people_for[i]:
                busy = [v for v in day.person_lines[t].between(start, end) if v not in taken]
                if not busy:
                    each = [()]
                    break
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
        trail: Trail = list(before)
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
        self.undo(trail)
        return changes

    def _elsewhere(
        self,
        before: Sequence[tuple[int, Spot]],
        spent: float,
        *,
        limit: float,
        depth: int,
        trail: Trail,
    ) -> float | None:
        """Place whoever gave way, the most unwilling first. What it costs in all, or None where that is too much."""
        day = self.day
        for v, _ in sorted(before, key=lambda b: (len(day.after[b[0]]), -self._held_by(b[0]), b[1].start)):
            left = limit - spent
            if left <= -sum(s.cost for _, s in before):
                return None
            found = self.best_for(v, min(left, day.worth[v]), depth - 1, INNER_TRIES_MAX)
            if found:
                spent += found[0]
                self.apply(found[1], trail)
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

    def apply(self, changes: Iterable[Change], trail: Trail) -> None:
        """Make changes together, noting on the trail how each exam stood."""
        day = self.day
        changes = list(changes)
        for i, _ in changes:
            trail.append((i, day.take(i) if day.room[i] >= 0 else None))
        for i, spot in changes:
            if spot is not None:
                day.put(i, spot)

    def undo(self, trail: Trail) -> None:
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
