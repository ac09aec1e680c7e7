"""Which exams to search together exactly: around one that costs something, as many as can be searched in time."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from xraydesk.scheduling.engine.moving import EPSILON
from xraydesk.scheduling.engine.state import Day

if TYPE_CHECKING:
    from xraydesk.scheduling.engine.exact import Found

SIZE_FIRST = 12
SIZE_MIN = 8
SIZE_MAX = 45
"""So many exams are searched at once; the number follows how soon the searches end."""

SIZE_NEW = 26
"""So many where one has no place: to find it one takes more than to better it."""

WINDOW_MINUTES = 45
"""A neighbourhood reaches so far around the time an exam has and the one it should have."""

SCARCE_MAX = 5
"""So few rooms, or technologists, are scarce: what has them matters more than what is near in time."""

NEW_MAX = 6
"""So many exams without a place are in one neighbourhood."""


class Chooser:
    """Picks neighbourhoods: around exams that cost something, as large as can be searched in time."""

    def __init__(self, day: Day, random: Random) -> None:
        self.day, self.random = day, random
        self.size = float(SIZE_FIRST)
        self.movable = [i for i in range(day.count) if not day.fixed[i]]
        self.tired: dict[int, int] = {}

    def pick(self, taken: set[int]) -> list[int]:
        """A neighbourhood without those taken; empty where there is none."""
        day = self.day
        costly = [i for i in self.movable if i not in taken and day.cost_of(i) > EPSILON]
        if not costly:
            return []
        weights = [day.cost_of(i) ** 0.7 / (1 + self.tired.get(i, 0)) for i in costly]
        heart = self.random.choices(costly, weights)[0]
        self.tired[heart] = self.tired.get(heart, 0) + 1
        return self._around(heart, taken)

    def _around(self, heart: int, taken: set[int]) -> list[int]:
        """Exams near a costly one: in time, or along the rooms and people that it needs and few others can be."""
        day = self.day
        ideal = day.ideal(heart, day.ready[heart])
        at = day.start[heart] if day.room[heart] >= 0 else ideal
        if day.room[heart] < 0 and self.random.random() < 0.6:
            # Anywhere in the day may be the place for it.
            ideal = at = self._some_minute(heart)
        scarce = len(day.minutes[heart]) <= SCARCE_MAX or len(day.people_for[heart]) <= SCARCE_MAX
        if scarce and self.random.random() < 0.6:
            ranked = self._along(heart, min(ideal, at), max(ideal, at))
        else:
            ranked = self._near(heart, min(ideal, at), max(ideal, at))
        family = [*day.after[heart], *day.followers[heart]]
        chosen = [heart, *(i for i in family if not day.fixed[i] and i not in taken)]
        new = 0
        size = self.size if day.room[heart] >= 0 else max(self.size, SIZE_NEW)
        for i in ranked:
            if len(chosen) >= size:
                break
            new += day.room[i] < 0
            if i not in chosen and i not in taken and (day.room[i] >= 0 or new <= NEW_MAX):
                chosen.append(i)
        return chosen

    def _along(self, heart: int, first: int, last: int) -> list[int]:
        """Exams that have what this one needs, nearest first to a moment between the one it has and the one it should have."""
        day = self.day
        rooms = day.minutes[heart].keys() if len(day.minutes[heart]) <= SCARCE_MAX else {day.room[heart]}
        people = (
            set(day.people_for[heart]) if len(day.people_for[heart]) <= SCARCE_MAX else {day.person[heart]}
        )
        middle = first + (last - first) * self.random.random()
        ranked = []
        for i in self.movable:
            if i == heart:
                continue
            if day.room[i] < 0:
                if rooms & day.minutes[i].keys():
                    ranked.append((self.random.random() * WINDOW_MINUTES * 2, i))
            elif day.room[i] in rooms or (day.person[i] >= 0 and day.person[i] in people):
                ranked.append((abs(day.start[i] - middle) + self.random.random() * 20, i))
        return [i for _, i in sorted(ranked)]

    def _near(self, heart: int, first: int, last: int) -> list[int]:
        day = self.day
        low, high = first - WINDOW_MINUTES / 3, last + WINDOW_MINUTES
        if high - low > 4 * WINDOW_MINUTES:
            # It has been pushed far away: the room it wants is around its own time.
            low, high = first - WINDOW_MINUTES, first + 2 * WINDOW_MINUTES
        rooms, people = set(day.minutes[heart]), set(day.people_for[heart])
        ranked = []
        for i in self.movable:
            start = day.start[i] if day.room[i] >= 0 else day.ready[i]
            gap = max(0.0, low - start, start - high)
            if i != heart and gap <= 4 * WINDOW_MINUTES:
                ranked.append((gap + self._strange(heart, i, rooms, people) + self.random.random() * 40.0, i))
        return [i for _, i in sorted(ranked)]

    def _strange(self, heart: int, i: int, rooms: set[int], people: set[int]) -> float:
        """How little an exam has to do with another, in minutes."""
        day = self.day
        if day.patient[i] == day.patient[heart]:
            return -100.0
        if day.room[i] < 0:
            return 0.0 if rooms & day.minutes[i].keys() else 60.0
        if day.room[i] in rooms:
            return 0.0
        walk = 20.0 if day.way[heart] >= 0 and day.way[i] >= 0 else 0.0
        return (30.0 if day.person[i] in people else 70.0) - walk

    def _some_minute(self, i: int) -> int:
        """A minute at which the exam could stand if nobody else did, sooner rather than later."""
        day = self.day
        room = self.random.choice(list(day.minutes[i]))
        spans = [s for s in day.problem.rooms[room].open if s[1] > day.ready[i]]
        if not spans:
            return day.ready[i]
        first, last = day.ready[i], max(s[1] for s in spans)
        return first + int((last - first) * self.random.random() ** 1.5)

    def learn(self, found: Found | None, better: bool, heart: int, *, new: bool) -> None:
        """Larger where searches end early, smaller where they do not."""
        if better:
            self.tired[heart] = 0
        if new:
            return
        if found is not None and found.proven:
            self.size = min(SIZE_MAX, self.size + (0.5 if better else 1.0))
        else:
            self.size = max(SIZE_MIN, self.size * 0.93)
