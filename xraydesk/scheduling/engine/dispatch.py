"""A whole day planned at once, in well under a second: one exam after the other, in the order that suits the day."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from math import exp

from xraydesk.scheduling.engine.line import NEVER
from xraydesk.scheduling.engine.problem import Problem
from xraydesk.scheduling.engine.state import Day, Spot
from xraydesk.scheduling.engine.stop import Stop

FAR_OFF_MINUTES = 1000
"""What is never late counts as due in so long."""


HEAD_START_MINUTES = 2
"""In a day made in order of time, each unit of weight stands for having come so much sooner."""


def dispatch(problem: Problem, stop: Stop | None = None) -> Day:
    """A feasible day: the cheapest of three made one exam after the other, each in its cheapest place at its turn.

    No one order suits every day: bookings first leaves a STAT waiting on a full day, the STAT first
    costs bookings on one that has room, and where hardly anything fits, time is the fairest order.
    Fixed exams stand in each; who finds no place is left out. At `stop` those made by then have to do,
    the first at the least. Raises NoPlan.
    """
    best = _bookings_first(problem)
    for way in (_pressing_first, _by_time):
        if stop and stop.now():
            break
        day = way(problem)
        if day.cost_now < best.cost_now:
            best = day
    return best


def _bookings_first(problem: Problem) -> Day:
    day = Day(problem)
    keep_bookings(day)
    place(day, by_urgency(day))
    return day


def _pressing_first(problem: Problem) -> Day:
    """Those without a booking who press more than usual, then bookings that still fit, then the others."""
    day = Day(problem)
    place(day, [i for i in by_urgency(day) if day.booked_room[i] < 0 and day.weight[i] > 1], others=False)
    keep_bookings(day)
    place(day, by_urgency(day))
    return day


def _by_time(problem: Problem) -> Day:
    """In the order in which they are there, as at a counter that lets the pressing ones go ahead."""
    day = Day(problem)

    def turn(i: int) -> float:
        there = day.booked_start[i] if day.booked_room[i] >= 0 else day.ready[i]
        return there - HEAD_START_MINUTES * day.weight[i]

    place(day, sorted(range(day.count), key=lambda i: (turn(i), i)))
    return day


def sweep(problem: Problem, *, patience: float, stop: Stop | None = None) -> Day | None:
    """A feasible day, made minute by minute: whenever a room is free, whoever is most pressing then goes in.

    Pressing is what an exam costs a minute, for each of its own minutes, the less the more time
    is left (apparent tardiness cost: Vepsalainen and Morton, 1987). `patience` says in lengths of
    an exam how far ahead it is looked. Bookings in force stay. None where `stop` came first: a long
    day in which many wait has many minutes. Raises NoPlan.
    """
    day = Day(problem)
    keep_bookings(day)
    if not _Sweep(day, patience).run(stop):
        return None
    place(day, by_urgency(day))
    return day


class _Sweep:
    def __init__(self, day: Day, patience: float) -> None:
        self.day = day
        todo = [i for i in range(day.count) if day.room[i] < 0 and day.minutes[i]]
        self.shortest = {i: min(day.minutes[i].values()) for i in todo}
        mean = sum(self.shortest.values()) / max(1, len(self.shortest))
        self.far = patience * mean
        self.sought = [0.0] * len(day.room_ids)
        for i in todo:
            for room in day.minutes[i]:
                self.sought[room] += 1 / len(day.minutes[i])
        self.coming = [(day.bounds(i)[0], i) for i in todo if self._known(i)]
        heapify(self.coming)
        self.waiting: list[int] = []

    def _known(self, i: int) -> bool:
        """Whether those that an exam comes after have their places, so that it can be said when it could begin."""
        return all(self.day.room[other] >= 0 for other in self.day.after[i])

    def run(self, stop: Stop | None) -> bool:
        """Go through the day once; False where it was stopped."""
        day = self.day
        end = max((last for room in day.problem.rooms for _, last in room.open), default=0)
        at = day.now
        while at < end and (self.waiting or self.coming):
            if stop and stop.now():
                return False
            if not self.waiting:
                at = max(at, self.coming[0][0])
            while self.coming and self.coming[0][0] <= at:
                self.waiting.append(heappop(self.coming)[1])
            free = {r for r, line in enumerate(day.room_lines) if line.free(at, at + 1)}
            if free:
                self._minute(at, free)
            at += 1
        return True

    def _minute(self, at: int, free: set[int]) -> None:
        day = self.day
        self.waiting.sort(key=lambda i: -self._pressing(i, at))
        somebody: dict[tuple[int, ...], bool] = {}
        gone = set()
        for i in self.waiting:
            if not free:
                break
            people = day.people_for[i]
            if people not in somebody:
                somebody[people] = not day.limited or any(
                    day.person_lines[t].free(at, at + 1) for t in people
                )
            rooms = day.minutes[i].keys() & free
            spot = self._spot(i, at, rooms) if rooms and somebody[people] else None
            if spot:
                day.put(i, spot)
                gone.add(i)
                free.discard(spot.room)
                somebody.clear()
        if gone:
            self.waiting = [i for i in self.waiting if i not in gone]
        for i in gone:
            for other in day.followers[i]:
                if day.room[other] < 0 and self._known(other):
                    heappush(self.coming, (day.bounds(other)[0], other))

    def _pressing(self, i: int, at: int) -> float:
        due = self.day.due[i]
        slack = max(0, due - at) if due < NEVER else FAR_OFF_MINUTES
        return self.day.weight[i] / self.shortest[i] * exp(-slack / self.far)

    def _spot(self, i: int, at: int, rooms: set[int]) -> Spot | None:
        """A place that begins now: in the room where it is shortest, then in one that few others seek."""
        minutes = self.day.minutes[i]
        for room in sorted(rooms, key=lambda r: (minutes[r], self.sought[r], r)):
            spot = self.day.fits(i, room, at)
            if spot:
                return spot
        return None


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


def place(day: Day, order: Sequence[int], *, others: bool = True) -> None:
    """Give each exam its cheapest place, those that come after others in their turn.

    Without `others`, only those of `order`; with them whoever else has no place comes last.
    """
    wanted = None if others else set(order)
    for i in day.in_order(order):
        if day.room[i] < 0 and (wanted is None or i in wanted):
            spot = day.cheapest(i, day.worth[i])
            if spot:
                day.put(i, spot)
