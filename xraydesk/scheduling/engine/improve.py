"""Making a plan better for as long as nobody needs it: moves first, then exact searches of neighbourhoods.

Moving exams one by one gets stuck where technologists or porters are scarce; searching fifteen to
forty exams around a costly one exactly gets past that. The day only ever gets better, so it can be
stopped at any moment.
"""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from random import Random

from xraydesk.scheduling.engine.exact import Found, Neighbourhood, put_all
from xraydesk.scheduling.engine.moving import EPSILON, Mover
from xraydesk.scheduling.engine.state import Day
from xraydesk.scheduling.engine.stop import Stop

SIZE_FIRST = 12
SIZE_MIN = 8
SIZE_MAX = 45
"""So many exams are searched at once; the number follows how soon the searches end."""

WHOLE_MAX = 60
"""A day of so many exams is searched as a whole first."""

WHOLE_WORKERS = 8
"""More than there are cores: each looks in its own way, and one of them finds it."""

SIZE_NEW = 26
"""So many where one has no place: to find it one takes more than to better it."""

SEARCH_SECONDS = 0.2
NEW_SECONDS = 0.6
EFFORT = 0.25
WHOLE_EFFORT = 1.5
"""How long one search may take: in seconds where time ends it all, else in CP-SAT's own measure."""

WINDOW_MINUTES = 45
"""A neighbourhood reaches so far around the time an exam has and the one it should have."""

SCARCE_MAX = 5
"""So few rooms, or technologists, are scarce: what has them matters more than what is near in time."""

NEW_MAX = 6
"""So many exams without a place are in one neighbourhood."""

WORKERS = 2
ROUNDS_OF_MOVES = 3
TRIES = (12, 30, 60)
"""Places that others have, tried for an exam in each round of moves."""


@dataclass
class Told:
    """What was done, for whoever measures."""

    moves: int = 0
    searches: int = 0
    better: int = 0
    bound: float = 0.0
    """A proven lower bound of the whole day's cost."""
    proven: bool = False


def settle(day: Day, stop: Stop, told: Told, *, rounds: int = ROUNDS_OF_MOVES) -> None:
    """Place who has no place, and move who costs something, one after the other, until nothing gets better."""
    mover = Mover(day, stop)
    for number in range(rounds):
        tries = TRIES[min(number, len(TRIES) - 1)]
        changed = False
        for i in sorted(range(day.count), key=lambda i: (-day.cost_of(i), i)):
            if stop.now(told.searches) or day.cost_of(i) <= EPSILON:
                break
            if day.fixed[i]:
                continue
            if day.room[i] < 0:
                found = mover.best_for(i, day.worth[i], depth=2, tries_max=tries)
                if found:
                    mover.apply(found[1], [])
                better = found is not None
            else:
                better = mover.better(i, [], tries_max=tries)
            told.moves += better
            changed = changed or better
        if not changed:
            break


def improve(day: Day, stop: Stop, *, seed: int = 0, told: Told | None = None) -> Told:
    """Search neighbourhoods until told to stop, or nothing can be better.

    Where time ends it, two searches run at once; where steps do, one after the other with a
    stated effort each, so that the same seed gives the same day.
    """
    told = told or Told()
    if stop.left_seconds() is None:
        _one_at_a_time(day, stop, Random(seed), told)
    else:
        _two_at_once(day, stop, Random(seed), told)
    return told


def search_whole(day: Day, stop: Stop, *, seed: int, told: Told) -> None:
    """Search a day of few exams as a whole, which also proves how good a plan can be at all."""
    exams = [i for i in range(day.count) if not day.fixed[i]]
    if not 0 < len(exams) <= WHOLE_MAX or stop.now(told.searches):
        return
    fixed = sum(day.cost_of(i) for i in range(day.count) if day.fixed[i])
    model = Neighbourhood(day, exams, whole=True)
    left = stop.left_seconds()
    if left is None:
        found = model.solve(effort=WHOLE_EFFORT, seed=seed)
    else:
        found = model.solve(seconds=left, workers=WHOLE_WORKERS, seed=seed)
    _take_in(day, exams, found, told)
    if found is not None:
        told.bound, told.proven = (
            fixed + found.bound,
            found.proven and day.cost_now <= fixed + found.cost + EPSILON,
        )


# -- choosing ------------------------------------------------------------------------------------------


class _Chooser:
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


# -- searching -----------------------------------------------------------------------------------------


def _take_in(day: Day, exams: list[int], found: Found | None, told: Told) -> bool:
    told.searches += 1
    if found is None:
        return False
    now = sum(day.cost_of(i) for i in exams)
    if found.cost > now + EPSILON:
        return False
    better = found.cost < now - EPSILON
    if put_all(day, found.spots) and better:
        told.better += 1
        return True
    return False


def _must(day: Day, exams: list[int]) -> int | None:
    """Around an exam without a place, only answers that give it one are looked for."""
    return exams[0] if day.room[exams[0]] < 0 else None


def _one_at_a_time(day: Day, stop: Stop, random: Random, told: Told) -> None:
    chooser = _Chooser(day, random)
    while not stop.now(told.searches):
        exams = chooser.pick(set())
        if not exams:
            return
        model = Neighbourhood(day, exams, must=_must(day, exams))
        found = model.solve(effort=EFFORT, seed=random.randrange(1 << 30)) if model.possible else None
        new = model.must is not None
        chooser.learn(found, _take_in(day, exams, found, told), exams[0], new=new)


def _two_at_once(day: Day, stop: Stop, random: Random, told: Told) -> None:
    chooser = _Chooser(day, random)
    running: dict[Future[Found | None], list[int]] = {}
    with ThreadPoolExecutor(WORKERS) as pool:
        while not stop.now(told.searches):
            while len(running) < WORKERS:
                exams = chooser.pick({i for one in running.values() for i in one})
                left = stop.left_seconds() or 0.0
                if not exams or left <= 0.02:
                    break
                model = Neighbourhood(day, exams, must=_must(day, exams))
                seconds = min(NEW_SECONDS if model.must is not None else SEARCH_SECONDS, left)
                running[pool.submit(model.solve, seconds=seconds, seed=random.randrange(1 << 30))] = exams
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                exams = running.pop(future)
                found = future.result()
                new = day.room[exams[0]] < 0
                chooser.learn(found, _take_in(day, exams, found, told), exams[0], new=new)
        for future, exams in running.items():
            _take_in(day, exams, future.result(), told)
