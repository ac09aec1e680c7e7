"""Taking several exams out at once and putting them back together, over and over (ruin and recreate).

Exams moved one at a time get stuck where technologists or porters are scarce. Here those who stand near each other
are taken out together and put back one after the other in another order; what comes out is kept when it costs
less, and at first sometimes when it costs a little more (Schrimpf et al., 2000; Christiaens and Vanden Berghe, 2020).
"""

from __future__ import annotations

from bisect import bisect_left
from math import log
from random import Random

from xraydesk.scheduling.engine.grid import Grid, Seat
from xraydesk.scheduling.engine.line import NEVER
from xraydesk.scheduling.engine.moving import EPSILON
from xraydesk.scheduling.engine.state import Day

OUT_MEAN = 5
OUT_NEW = 11
"""So many exams are taken out at once on average; and so many around one that has no place."""

ROOMS_MAX = 3
ROOMS_NEW_MAX = 2
"""They stand in so many rooms at most; the same around one that has no place."""

UNPLANNED_MAX = 4
"""So many of those without a place are tried each time."""

POWER = 0.6
"""Who costs more is sought out more often, by this power of the cost."""

STOOD = 0.35
"""So often they are put back in about the order in which they stood, the one it is about anywhere among them."""

FEW = 0.5
"""So often of these, whoever has fewer rooms to go to comes first."""

LINE = 0.1
LINE_MEAN = 12
"""So often whole stretches of rooms are taken out, of so many exams on average."""

FIRST = 0.3
"""So often whoever it is about is put back first."""

HOT = 4.0
COLD = 0.1
"""A change may cost about so much more and yet now and then be kept, at the beginning and at the end."""

PACKED = 0.25
PACKED_NEW = 0.5
"""So often they are put back one right after the other: what many small moves make room for is found no other way."""

PUSH = 60.0
"""What is put back so may cost so much more before each goes to where it is cheapest."""

BACK_MINUTES = 20
"""It begins up to so long before the first of them stood."""

REFRESH_TRIES = 64
"""Who costs something is looked up anew after so many tries."""


class Together:
    """One search on one grid. The best seen is kept beside where the search stands."""

    frees_others = False
    """Whether another thread can go on beside it."""

    def __init__(self, grid: Grid, random: Random) -> None:
        self.grid, self.day, self.random = grid, grid.day, random
        self.best = grid.total
        self.kept: list[Seat | None] = list(grid.seat)
        self.kept_cost = list(grid.cost)
        self.tries = 0
        self.hot = HOT
        self.near = self._neighbours()
        self.walkers = [i for i in grid.movable if self.day.way[i] > 0 and self.day.porters_limited]
        day = self.day
        self.length = [min(day.minutes[i].values(), default=1) for i in range(day.count)]
        self._refresh()

    def _neighbours(self) -> list[tuple[int, ...]]:
        return [tuple(r for r, *_ in rooms) for rooms in self.grid.rooms_of]

    def _refresh(self) -> None:
        grid = self.grid
        total, sums = 0.0, []
        floor = 0.02 + 0.1 * max(grid.total, 0.0) / max(1, len(grid.movable))
        floor = min(floor, 1.0)
        for i in grid.movable:
            total += grid.cost[i] ** POWER + floor
            sums.append(total)
        self.sums = sums
        self.unplanned = [i for i in grid.movable if grid.seat[i] is None]

    # -- one try -----------------------------------------------------------------------------------------

    def run(self, tries: int, heat: float) -> None:
        """So many tries at a heat: that much more an exam's change may cost and yet now and then be kept."""
        grid = self.grid
        for _ in range(tries):
            self.tries += 1
            if self.tries % REFRESH_TRIES == 0:
                self._refresh()
            self._once(heat)
            if grid.total < self.best - EPSILON:
                self._keep()

    def _keep(self) -> None:
        self.best = self.grid.total
        self.kept[:] = self.grid.seat
        self.kept_cost[:] = self.grid.cost

    def hear(self, day: Day, exams: list[int]) -> None:
        """What another search found for some exams on a day: taken over where it makes the best here better."""
        grid = self.grid
        here, costs = list(grid.seat), list(grid.cost)
        grid.load(self.kept, self.kept_cost)
        if grid.try_all(grid.seats_of(day, exams)) and grid.total < self.best - EPSILON:
            self._keep()
        elif day.cost_now < self.best - EPSILON:
            told = grid.seats_of(day, range(day.count))
            grid.load([told[i][0] for i in range(day.count)], [told[i][1] for i in range(day.count)])
            self._keep()
        else:
            grid.load(here, costs)

    def _once(self, heat: float) -> None:
        grid, random = self.grid, self.random
        before = grid.total
        out = self._choose()
        new = grid.seat[out[0]] is None
        grid.begin()
        starts = {}
        for i in out:
            seat = grid.seat[i]
            if seat is not None:
                starts[i] = seat[1]
                grid.take(i)
        limit = before + EPSILON - heat * log(1.0 - random.random())
        spent = grid.total - sum(self.day.missing_cost[i] for i in out)
        packed = starts and random.random() < (PACKED_NEW if new else PACKED)
        if not (self._packed(out, starts, spent, limit) if packed else self._back(out, starts, spent, limit)):
            grid.undo()

    def _back(self, out: list[int], starts: dict[int, int], spent: float, limit: float) -> bool:
        """Put them back one after the other; False as soon as it costs more than the limit."""
        grid, day, random = self.grid, self.day, self.random
        for i in self._order(out, starts):
            missing = day.missing_cost[i]
            found = grid.cheapest(i, min(missing + 1e-6, limit - spent), random)
            if found is None:
                spent += missing
            else:
                cost, seat = found
                grid.put(i, seat, cost)
                spent += cost
            if spent >= limit:
                return False
        return True

    def _packed(self, out: list[int], starts: dict[int, int], spent: float, limit: float) -> bool:
        """Put them back one right after the other in order of time, the first anew among them, and then each to where it is cheapest."""
        grid, day, random = self.grid, self.day, self.random
        low, high = min(starts.values()), max(starts.values())
        low = max(0, low - int(random.random() * BACK_MINUTES))
        turn = {i: starts.get(i, low + random.random() * (high - low)) + random.random() * 10 for i in out}
        turn[out[0]] = low + random.random() * (high - low)
        order = sorted(out, key=turn.__getitem__)
        if any(day.after[i] for i in out):
            order = self._in_turn(order)
        loose = limit + PUSH
        for i in order:
            missing = day.missing_cost[i]
            found = grid.cheapest(i, min(missing + 1e-6, loose - spent), random, low)
            if found is None:
                spent += missing
            else:
                grid.put(i, found[1], found[0])
                spent += found[0]
            if spent >= loose:
                return False
        for i in reversed(order):
            if grid.seat[i] is None:
                if any(grid.seat[f] is not None for f in day.followers[i]):
                    continue
                found = grid.cheapest(i, day.missing_cost[i] + 1e-6, random)
                if found:
                    spent += found[0] - day.missing_cost[i]
                    grid.put(i, found[1], found[0])
                continue
            if grid.cost[i] <= 0:
                continue
            seat, cost = grid.seat[i], grid.cost[i]
            assert seat is not None
            grid.take(i)
            found = grid.cheapest(i, cost, random)
            if found is None:
                grid.put(i, seat, cost)
            else:
                spent += found[0] - cost
                grid.put(i, found[1], found[0])
        return spent < limit

    # -- choosing ----------------------------------------------------------------------------------------

    def _choose(self) -> list[int]:
        grid, random = self.grid, self.random
        heart = grid.movable[bisect_left(self.sums, random.random() * self.sums[-1])]
        seat = grid.seat[heart]
        ideal = max(grid.ideal[heart], self.day.ready[heart] - grid.base)
        if self.day.per_minute[heart] <= 0 and grid.due[heart] < NEVER // 2:
            ideal = max(ideal, min(grid.due[heart], grid.end))
        if seat is None:
            at = ideal + int(random.random() ** 2 * max(0, grid.end - ideal))
        elif grid.cost[heart] > 0 and random.random() < 0.7:
            at = ideal + int((seat[1] - ideal) * random.random())
        else:
            at = seat[1]
        size = 2 + int(random.expovariate(1 / (OUT_MEAN if seat else OUT_NEW)))
        out = {heart: None}
        kind = random.random()
        if self.walkers and (self.day.way[heart] > 0 and kind < 0.4):
            self._walkers(out, at, size)
        elif kind < 0.75:
            self._strings(out, heart, at, size)
        else:
            self._slice(out, heart, at, size)
        for i in self.unplanned[:]:
            if grid.seat[i] is None and random.random() * len(self.unplanned) < UNPLANNED_MAX:
                out[i] = None
        return self._closed(out)

    def _strings(self, out: dict[int, None], heart: int, at: int, size: int) -> None:
        """Some who stand next to each other in the rooms that one could have."""
        random, in_room = self.random, self.grid.in_room
        rooms = list(self.near[heart])
        random.shuffle(rooms)
        rooms = rooms[: 1 + int(random.random() * (ROOMS_MAX if self.grid.seat[heart] else ROOMS_NEW_MAX))]
        each = max(1, size // len(rooms))
        if random.random() < LINE:
            each = 3 + int(random.expovariate(1 / LINE_MEAN))
        for r in rooms:
            line = in_room[r]
            k = bisect_left(line, (at, -1)) - int(random.random() * (each + 1))
            for _, i in line[max(0, k) : max(0, k) + each]:
                out[i] = None

    def _slice(self, out: dict[int, None], heart: int, at: int, size: int) -> None:
        """Those about one time, whatever the room, of the people who could do this one."""
        random, grid = self.random, self.grid
        people = self.day.people_for[heart]
        found = []
        for line in grid.in_room:
            k = bisect_left(line, (at, -1))
            for start, i in line[max(0, k - 2) : k + 2]:
                seat = grid.seat[i]
                if not people or (seat is not None and seat[2] in people):
                    found.append((abs(start - at) + random.random() * 15, i))
        found.sort()
        for _, i in found[:size]:
            out[i] = None

    def _walkers(self, out: dict[int, None], at: int, size: int) -> None:
        """Those about one time who are brought."""
        random, seat = self.random, self.grid.seat
        found = []
        for i in self.walkers:
            place = seat[i]
            if place is not None:
                found.append((abs(place[1] - at) + random.random() * 25, i))
        found.sort()
        for _, i in found[:size]:
            out[i] = None

    def _closed(self, out: dict[int, None]) -> list[int]:
        """With those that come after them."""
        followers = self.day.followers
        todo = list(out)
        for i in todo:
            for f in followers[i]:
                if f not in out and not self.day.fixed[f]:
                    out[f] = None
                    todo.append(f)
        return todo

    def _order(self, out: list[int], starts: dict[int, int]) -> list[int]:
        """In which order they are put back: one of several, none of which suits every day."""
        random, day, grid = self.random, self.day, self.grid
        kind = random.random()
        if starts and random.random() < STOOD:
            end = grid.end
            key = {i: starts.get(i, random.random() * end) + random.random() * 12 for i in out}
            low, high = min(starts.values()), max(starts.values())
            key[out[0]] = low + random.random() * (high - low)
            if random.random() < FEW:
                for i in out:
                    key[i] += end * len(grid.rooms_of[i])
        elif kind < 0.3:
            key = {i: -day.weight[i] / self.length[i] * (0.5 + random.random()) for i in out}
        elif kind < 0.6:
            key = {i: min(grid.due[i], grid.end) - 3 * day.weight[i] + random.random() * 20 for i in out}
        elif kind < 0.75:
            key = {i: day.ready[i] - 2 * day.weight[i] + random.random() * 20 for i in out}
        elif kind < 0.85:
            key = {i: -self.length[i] + random.random() * 3 for i in out}
        else:
            key = {i: random.random() for i in out}
        if random.random() < FIRST:
            key[out[0]] = float("-inf")
        order = sorted(out, key=key.__getitem__)
        if any(day.after[i] for i in out):
            return self._in_turn(order)
        return order

    def _in_turn(self, order: list[int]) -> list[int]:
        inside = set(order)
        done: dict[int, None] = {}

        def add(i: int) -> None:
            if i in done:
                return
            for before in self.day.after[i]:
                if before in inside:
                    add(before)
            done[i] = None

        for i in order:
            add(i)
        return list(done)
