"""Making a plan better for as long as nobody needs it, in two ways that help each other.

Exams are taken out together and put back, thousands of times a second; and fifteen to forty around a costly
one are searched exactly. Where time ends it, the two go on side by side, each on its core, and tell each other what
they find; where steps do, they take turns, so that the same seed gives the same day. The day only ever gets
better, so it can be stopped at any moment.
"""

from __future__ import annotations

import sys
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from xraydesk.scheduling.engine.choosing import Chooser
from xraydesk.scheduling.engine.grid import SPAN_MINUTES_MAX, Grid
from xraydesk.scheduling.engine.moving import EPSILON
from xraydesk.scheduling.engine.placing import put_all
from xraydesk.scheduling.engine.state import Day
from xraydesk.scheduling.engine.stop import Stop
from xraydesk.scheduling.engine.together import COLD, Together

if TYPE_CHECKING:
    from xraydesk.scheduling.engine.board import Quick
    from xraydesk.scheduling.engine.exact import Found

WHOLE_MAX = 60
"""A day of so many exams is searched as a whole first, which may prove how good a plan can be at all."""

WHOLE_SHARE = 0.5
"""That takes so much of the time that is left at most."""

SEARCH_SECONDS = 0.2
NEW_SECONDS = 0.6
EFFORT = 0.25
WHOLE_EFFORT = 1.5
"""How long one exact search may take: in seconds where time ends it all, else in CP-SAT's own measure."""

TRIES = 20
"""Between two looks at the clock so many exams' worth of putting back is tried."""

TRIES_MAX = 10_000
LOOK_SECONDS = 0.01
"""As many more, up to so many, as are done within so long."""

TRIES_A_STEP = 1000
"""The same for each exact search where steps end it."""

IMPORT_SECONDS = 2.0
"""With less time than this left, the exact solver is not even imported: that takes a third of a second of both ways' time."""

MARGIN_SECONDS = 0.05
"""An exact search is not begun so shortly before the end."""

SOLVER = "ortools.sat.python.cp_model"


@dataclass
class Told:
    """What was done, for whoever measures."""

    tries: int = 0
    searches: int = 0
    better: int = 0
    bound: float = 0.0
    """A proven lower bound of the whole day's cost."""
    proven: bool = False


def improve(day: Day, stop: Stop, *, seed: int = 0, told: Told | None = None) -> Told:
    """Better the day until told to stop, or nothing can be better."""
    told = told or Told()
    _Search(day, stop, Random(seed), told).run()
    return told


class _Search:
    """Both ways on one day. The day is the best plan that both know of; the quick way goes on from there by itself."""

    def __init__(self, day: Day, stop: Stop, random: Random, told: Told) -> None:
        self.day, self.stop, self.random, self.told = day, stop, random, told
        grid = Grid(day)
        able = grid.movable and grid.size <= SPAN_MINUTES_MAX and not day.hours_overlap
        self.quick = _quick(grid, random, stop) if able else None
        self.chooser = Chooser(day, random)
        self.exams: list[int] = []
        self.whole = 0 < len(self.chooser.movable) <= WHOLE_MAX
        self.begun = stop.left_seconds() or 0.0

    def run(self) -> None:
        """Search until the end."""
        if not self.chooser.movable:
            return
        if self.stop.left_seconds() is None:
            self._in_turn()
        else:
            self._side_by_side()
        self._write()

    def _in_turn(self) -> None:
        while not self._done():
            if self.quick:
                most = self.stop.steps_max or 1
                self.quick.run(TRIES_A_STEP, _heat(self.quick.hot, self.told.searches / most))
                self._write()
            if not self._choose():
                return
            effort = WHOLE_EFFORT if self.whole else EFFORT
            asked = _Asked(self.exams, self._must(), self.whole, self._seed(), effort=effort)
            self._take_in(_searched(self.day, asked, self.stop))

    def _side_by_side(self) -> None:
        with ThreadPoolExecutor(1) as pool:
            if self.quick and self.quick.frees_others and not self._worth_importing():
                self._twice(pool, self.quick)
            else:
                self._with_exact(pool)

    def _twice(self, pool: ThreadPoolExecutor, quick: Together | Quick) -> None:
        """The quick way on both cores, from the same day on."""
        other = _quick(quick.grid, self.random, self.stop)
        running = pool.submit(self._go, other)
        self._go(quick)
        running.result()
        if other.best < quick.best:
            self.quick = other

    def _go(self, quick: Together | Quick) -> None:
        pace = _Pace()
        while not self._done():
            pace.go(quick, self.stop, self.begun)

    def _with_exact(self, pool: ThreadPoolExecutor) -> None:
        running: Future[Found | None] | None = None
        pace = _Pace()
        while not self._done():
            if running is not None and running.done():
                self._take_in(running.result())
                running = None
            if running is None:
                running = self._exact(pool)
            if self.quick:
                pace.go(self.quick, self.stop, self.begun)
            elif running is None:
                return
            else:
                running.exception()
        if running is not None:
            self._take_in(running.result())

    def _worth_importing(self) -> bool:
        """Whether there is time enough for exact searches."""
        return SOLVER in sys.modules or (self.stop.left_seconds() or 0.0) >= IMPORT_SECONDS

    def _exact(self, pool: ThreadPoolExecutor) -> Future[Found | None] | None:
        """An exact search on the other core, where there is time for one."""
        left = self.stop.left_seconds() or 0.0
        if left < MARGIN_SECONDS or not self._worth_importing():
            return None
        self._write()
        if not self._choose():
            return None
        must = self._must()
        seconds = left * WHOLE_SHARE if self.whole else NEW_SECONDS if must is not None else SEARCH_SECONDS
        asked = _Asked(self.exams, must, self.whole, self._seed(), seconds=seconds)
        return pool.submit(_searched, self.day, asked, self.stop)

    def _done(self) -> bool:
        best = min(self.day.cost_now, self.quick.best if self.quick else self.day.cost_now)
        return self.stop.now(self.told.searches) or self.told.proven or best <= self.told.bound + EPSILON

    def _seed(self) -> int:
        return self.random.randrange(1 << 30)

    def _choose(self) -> bool:
        self.exams = list(self.chooser.movable) if self.whole else self.chooser.pick(set())
        return bool(self.exams)

    def _must(self) -> int | None:
        """Around an exam without a place, only answers that give it one are looked for."""
        return self.exams[0] if self.day.room[self.exams[0]] < 0 and not self.whole else None

    def _write(self) -> None:
        """The best that the quick way knows of, on the day."""
        if self.quick:
            self.told.tries = self.quick.tries
            if self.quick.best < self.day.cost_now - EPSILON:
                put_all(self.day, self.quick.grid.write(self.quick.kept, self.quick.kept_cost))

    def _take_in(self, found: Found | None) -> None:
        """What an exact search found, on the day and to the quick way."""
        day, exams, told = self.day, self.exams, self.told
        told.searches += 1
        better = False
        if found is not None:
            now = sum(day.cost_of(i) for i in exams)
            better = found.cost < now - EPSILON and put_all(day, found.spots)
            if self.whole and not day.returns_fixed:
                told.bound = found.bound + sum(day.cost_of(i) for i in range(day.count) if day.fixed[i])
                told.proven = found.proven and day.cost_now <= told.bound + EPSILON
        if better:
            told.better += 1
            if self.quick:
                self.quick.hear(day, exams)
        if self.whole:
            self.whole = False
        else:
            new = not better and day.room[exams[0]] < 0
            self.chooser.learn(found, better, exams[0], new=new)


def _quick(grid: Grid, random: Random, stop: Stop) -> Together | Quick:
    """The quick way: compiled, unless somebody would have to wait for that."""
    from xraydesk.scheduling.engine.compiling import is_compiled

    if stop.left_seconds() is not None and not is_compiled():
        return Together(grid, Random(random.random()))
    from xraydesk.scheduling.engine.board import Quick

    return Quick(grid, Random(random.random()))


def _heat(hot: float, done: float) -> float:
    """Hot at first, cold at the end; `done` from 0 to 1."""
    return float(hot * (COLD / hot) ** min(1.0, done))


class _Pace:
    """As many tries at once as are done between two looks at the clock."""

    def __init__(self) -> None:
        self.tries = TRIES

    def go(self, quick: Together | Quick, stop: Stop, begun: float) -> None:
        """So many tries; `begun` is how many seconds there were at first."""
        left = stop.left_seconds() or 0.0
        quick.run(self.tries, _heat(quick.hot, 1 - left / (begun or 1.0)))
        took = left - (stop.left_seconds() or 0.0)
        if took < LOOK_SECONDS:
            self.tries = min(2 * self.tries, TRIES_MAX)
        elif took > 2 * LOOK_SECONDS:
            self.tries = max(self.tries // 2, TRIES)


@dataclass(frozen=True)
class _Asked:
    """One exact search to be made: which exams, and how long at most."""

    exams: list[int]
    must: int | None
    whole: bool
    seed: int
    effort: float | None = None
    seconds: float | None = None


def _searched(day: Day, asked: _Asked, stop: Stop) -> Found | None:
    """One exact search. The solver is imported by whoever first needs it."""
    from xraydesk.scheduling.engine.exact import Neighbourhood

    model = Neighbourhood(day, asked.exams, whole=asked.whole, must=asked.must)
    if not model.possible:
        return None
    seconds = asked.seconds
    if seconds is not None:
        seconds = min(seconds, stop.left_seconds() or 0.0)
        if seconds <= 0.0:
            return None
    return model.solve(seconds=seconds, effort=asked.effort, seed=asked.seed)
