"""A grid told to the compiled search, and what that found told back."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Any

import numpy as np

from xraydesk.scheduling.engine import inner
from xraydesk.scheduling.engine.compiling import inner_loop
from xraydesk.scheduling.engine.grid import LEAN_MINUTES, Grid, Seat
from xraydesk.scheduling.engine.line import NEVER, NOBODY
from xraydesk.scheduling.engine.moving import EPSILON
from xraydesk.scheduling.engine.state import Day
from xraydesk.scheduling.engine.together import HOT

HOT_SHARE = 0.6
HOT_MAX = 60.0
"""It begins the hotter the more an exam costs on average."""


class Quick:
    """One search on the day of a grid, as `Together` is, compiled. The grid is left as it stands."""

    frees_others = True

    def __init__(self, grid: Grid, random: Random) -> None:
        self.grid, self.day = grid, grid.day
        self.hot = max(HOT, min(HOT_MAX, HOT_SHARE * grid.total / max(1, len(grid.movable))))
        self.board = _Teller(grid).board(random.getrandbits(63) | 1)
        self.inner = inner_loop(self.board)

    @property
    def best(self) -> float:
        """What the best seen costs."""
        return float(self.board.total[inner.BEST])

    @property
    def tries(self) -> int:
        """So often exams were taken out and put back."""
        return int(self.board.count[inner.TRIES])

    @property
    def kept(self) -> list[Seat | None]:
        """The best seen."""
        return [self._seat(s) for s in self.board.kept]

    @property
    def kept_cost(self) -> list[float]:
        """What each exam costs in it."""
        return [float(c) for c in self.board.kept["cost"]]

    def run(self, tries: int, heat: float) -> None:
        """So many tries at a heat: that much more an exam's change may cost and yet now and then be kept."""
        self.inner.run(tries, heat)

    def hear(self, day: Day, exams: list[int]) -> None:
        """What another search found for some exams on a day: taken over where it makes the best here better."""
        grid = self.grid
        kept, costs = self.kept, self.kept_cost
        grid.load(kept, costs)
        if not (grid.try_all(grid.seats_of(day, exams)) and grid.total < self.best - EPSILON):
            if day.cost_now >= self.best - EPSILON:
                return
            told = grid.seats_of(day, range(day.count))
            grid.load([told[i][0] for i in range(day.count)], [told[i][1] for i in range(day.count)])
        self.start_from(grid)

    def start_from(self, grid: Grid) -> None:
        """Everybody where a grid of the same exams has them, as the best seen."""
        self.board.told[:] = _seats(grid, self.board.exams, self.board.options)
        self.inner.move_to()

    def _seat(self, s: Any) -> Seat | None:
        if s.option < 0:
            return None
        room = int(self.board.options[s.option].room)
        return (
            room, int(s.start), int(s.person), int(s.fetcher), int(s.fetch), int(s.returner), int(s.back),
        )  # fmt: skip


def _seats(grid: Grid, exams: Any, options: Any) -> Any:
    """Where a grid has everybody."""
    seats = np.recarray(grid.day.count, dtype=inner.SEAT)
    moving = set(grid.movable)
    for i, seat in enumerate(grid.seat):
        s = seats[i]
        s.cost, s.option, s.start, s.end, s.person = grid.cost[i], inner.NONE, 0, 0, NOBODY
        s.fetcher, s.fetch, s.returner, s.back = NOBODY, 0, NOBODY, 0
        if seat is None:
            continue
        room, s.start, s.person, s.fetcher, s.fetch, s.returner, s.back = seat
        s.end = s.start + grid.day.minutes[i][room]
        s.option = inner.FIXED
        if i in moving:
            s.option = next(
                o for o in range(exams[i].options, exams[i].options_end) if options[o].room == room
            )
    return seats


class _Teller:
    """Writes a grid down in arrays."""

    def __init__(self, grid: Grid) -> None:
        self.grid, self.day = grid, grid.day
        self.words = grid.size // inner.BITS + 1
        self.rows: list[int] = []
        self.row_of: dict[object, int] = {}
        self.team: list[tuple[int, int]] = []
        self.team_of: dict[tuple[tuple[int, ...], int], tuple[int, int]] = {}
        self.ways = sorted({w for w in self.day.way if w >= 0}) if self.day.porters_limited else []

    def board(self, seed: int) -> inner.Board:
        grid, day = self.grid, self.day
        exams, options, links = self._exams()
        rooms, people, patients = len(day.room_ids), len(day.person_ids), len(grid.patient_free)
        groups = self._groups()
        team = np.array(self.team or [(0, 0)], np.int64)
        seats = _seats(grid, exams, options)
        free = [*grid.room_free, *grid.person_free, *grid.patient_free]
        away = np.zeros((len(groups), self.words * inner.BITS), np.int64)
        for g, counts in enumerate(grid.counts):
            for k, digit in enumerate(counts):
                away[g, : grid.size] += [(digit >> m & 1) << k for m in range(grid.size)]
            free.append(sum(1 << m for m in range(grid.size) if away[g, m] < groups[g, 0]))
        owner = np.full((people, self.words * inner.BITS), inner.NONE, np.int64)
        movable = np.array(grid.movable, np.int64)
        line = np.zeros((rooms, len(movable) + 2), np.int64)
        for r, here in enumerate(grid.in_room):
            line[r, : 1 + len(here)] = [len(here), *(i for _, i in here)]
        for i in grid.movable:
            s = seats[i]
            if s.option >= 0 and s.person >= 0:
                owner[s.person, s.start : s.end] = i
        most = max((e.options_end - e.options for e in exams), default=0)
        n = day.count
        walkers = [i for i in grid.movable if day.way[i] > 0 and day.porters_limited]
        return inner.Board(
            size=grid.size, people=rooms, patients=rooms + people, porters=rooms + people + patients,
            limited=int(day.limited), exams=exams, options=options, team=team, rows=self._words(self.rows),
            links=np.array(links, np.int64), movable=movable, walkers=np.array(walkers, np.int64), groups=groups,
            free=self._words(free), away=away, owner=owner, line=line,
            seats=seats, kept=seats.copy(), old=seats.copy(), told=seats.copy(), spot=np.recarray(2, dtype=inner.SEAT),
            sums=np.zeros(len(movable)), total=np.array([grid.total, grid.total, 0.0]), push=np.zeros(n), count=np.zeros(5, np.int64),
            dice=np.array([seed], np.uint64), touched=np.zeros(n, np.int64), changed=np.zeros(n, np.int64),
            unplanned=np.zeros(n, np.int64), mark=np.zeros((n, 3), np.int64), out=np.zeros(n, np.int64),
            order=np.zeros(max(n, most), np.int64), key=np.zeros(n), starts=np.zeros(n, np.int64),
            scratch=np.zeros((most + len(groups) + 4, self.words), np.int64),
            hopes=np.zeros((most, 3)), ranks=np.zeros((most, 4)),
        )  # fmt: skip

    def _words(self, rows: Iterable[int]) -> Any:
        """Rows of bits in words."""
        found = [[row >> w * inner.BITS & inner.MASK for w in range(self.words)] for row in rows]
        return np.array(found, np.int64).reshape(-1, self.words)

    def _row(self, key: object, row: int) -> int:
        if key not in self.row_of:
            self.row_of[key] = len(self.rows)
            self.rows.append(row)
        return self.row_of[key]

    def _groups(self) -> Any:
        grid = self.grid
        told = [
            [
                grid.group_size[g],
                *(self._row(("way", g, w), grid.starts_within(grid.group_spans[g], w)) for w in self.ways),
            ]
            for g in grid.groups
        ]
        return np.array(told, np.int64).reshape(len(told), 1 + len(self.ways))

    def _exams(self) -> tuple[Any, Any, list[int]]:
        grid, day = self.grid, self.day
        exams = np.recarray(day.count, dtype=inner.EXAM)
        options: list[tuple[float, ...]] = []
        links: list[int] = []
        for i in range(day.count):
            e = exams[i]
            e.weight, e.per_minute, e.missing = day.weight[i], day.per_minute[i], day.missing_cost[i]
            window = grid.window[i]
            e.first = (window & -window).bit_length() - 1 if window else grid.size
            e.due = grid.due[i] if day.due[i] < NEVER else inner.FAR
            e.booked, e.ideal = grid.booked[i], grid.ideal[i]
            e.patient, e.shares = day.patient[i], int(grid.shares[i])
            carried = day.porters_limited and day.way[i] >= 0
            e.way = day.way[i] if carried else NOBODY
            e.way_row = 1 + self.ways.index(day.way[i]) if carried else 0
            e.length = min(day.minutes[i].values(), default=1)
            e.longest = max((hold for _, _, hold, _ in grid.rooms_of[i]), default=1)
            e.after = len(links)
            links += day.after[i]
            e.followers = len(links)
            links += day.followers[i]
            e.links_end = len(links)
            e.options = len(options)
            options += self._options(i)
            e.options_end = len(options)
        told = np.recarray(len(options), dtype=inner.OPTION)
        for o, option in enumerate(options):
            told[o] = option
        return exams, told, links

    def _options(self, i: int) -> Iterable[tuple[float, ...]]:
        grid, day = self.grid, self.day
        for room, minutes, hold, extra in grid.rooms_of[i]:
            opened = self._row(("room", room, hold), grid.starts_within(day.problem.rooms[room].open, hold))
            team = self._team(i, minutes)
            yield (extra, LEAN_MINUTES * grid.sought[room], room, minutes, hold, opened, *team)

    def _team(self, i: int, minutes: int) -> tuple[int, int]:
        if not self.day.limited:
            return 0, 0
        key = self.day.people_for[i], minutes
        if key not in self.team_of:
            first = len(self.team)
            self.team += [(t, self._row(("on", t, minutes), on)) for t, on in self.grid.team(i, minutes)]
            self.team_of[key] = first, len(self.team)
        return self.team_of[key]
