"""A day as rows of minutes, one whole number a row, made to take exams out and put them back a hundred thousand times.

Bit k of a row is minute k after the problem's `now`. Whether so many minutes in a row are free anywhere in
the day is then a handful of shifts, whatever else is on it: `Line` answers the same for one minute at a time.
Porters of a group are counted, not named: who of them goes is told when the plan is written back.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from random import Random

from xraydesk.scheduling.engine.line import NEVER, NOBODY
from xraydesk.scheduling.engine.placing import porter_groups
from xraydesk.scheduling.engine.problem import FETCH_EARLY_MINUTES, RETURN_LATE_MINUTES, Interval
from xraydesk.scheduling.engine.state import MUST_COST, Day, Jobs, Spot

SPAN_MINUTES_MAX = 6_000
"""Longer days make longer rows, and the search slow: they are left to the others."""

FETCH_CHOICES = FETCH_EARLY_MINUTES + 1
RETURN_CHOICES = RETURN_LATE_MINUTES + 1
RETURN_MASK = (1 << RETURN_CHOICES) - 1

WORTH_RESEATING = 0.5
"""A place that costs so much less is worth giving others to other technologists."""

LEAN_MINUTES = 30.0
"""At the same cost, a room that nobody seeks may end so much later than one whose hours are all sought."""

SKIP = 0.03
"""So often a room is passed over."""

BLINK = 0.1
"""So often the technologist next in turn is passed over."""

Seat = tuple[int, int, int, int, int, int, int]
"""Room, start, technologist, group and start of the fetch, group and start of the return; starts from `now`."""


Team = list[tuple[int, int]]
"""Technologists, and when each could begin."""


class _Before:
    """How everything touched was before it was touched."""

    __slots__ = ("fetches", "groups", "patients", "people", "returns", "rooms", "seats", "total")

    def __init__(self, total: float) -> None:
        self.total = total
        self.seats: dict[int, tuple[Seat | None, float]] = {}
        self.rooms: dict[int, tuple[int, dict[int, int], list[tuple[int, int]]]] = {}
        self.people: dict[int, tuple[int, dict[int, int], list[tuple[int, int]]]] = {}
        self.patients: dict[int, int] = {}
        self.groups: dict[int, tuple[list[int], dict[int, int]]] = {}
        self.fetches: dict[int, int] = {}
        self.returns: dict[int, int] = {}


class Grid:
    """The exams of a day that may be moved, and everything that they may be moved to."""

    def __init__(self, day: Day) -> None:
        self.day = day
        self.base = day.now
        self.before = _Before(0.0)
        self.end = max((b for r in day.problem.rooms for _, b in r.open), default=0) - self.base
        longest = max(day.way, default=0)
        self.size = max(1, self.end + RETURN_LATE_MINUTES + max(longest, 0) + 1)
        self.every = (1 << self.size) - 1
        self.movable = [i for i in range(day.count) if not day.fixed[i] and self._may_move(i)]
        self._tell_rooms()
        self._tell_people()
        self._tell_porters()
        self._tell_exams()
        self.seat: list[Seat | None] = [None] * day.count
        self.cost: list[float] = [day.cost_of(i) for i in range(day.count)]
        self.total = 0.0
        self._stand()
        self.total = day.cost_now
        self.begin()

    def _may_move(self, i: int) -> bool:
        """What a fixed exam comes after is never left out, so it stays where it is."""
        return self.day.missing_cost[i] < MUST_COST or self.day.room[i] < 0

    # -- what there is -----------------------------------------------------------------------------

    def starts_within(self, spans: Iterable[Interval], length: int) -> int:
        """The starts at which so long lies in one of the spans."""
        row = 0
        for first, last in spans:
            a, b = max(first - self.base, 0), min(last - length - self.base, self.size - 1)
            if a <= b:
                row |= ((1 << (b - a + 1)) - 1) << a
        return row

    def _stretch(self, first: int, last: int) -> int:
        """The minutes between two, counted from `now`."""
        first, last = max(first, 0), min(last, self.size)
        return ((1 << (last - first)) - 1) << first if first < last else 0

    def _tell_rooms(self) -> None:
        day = self.day
        self.room_free = [self.every for _ in day.room_ids]
        self.room_starts: list[dict[int, int]] = [{} for _ in day.room_ids]
        self.room_open: list[dict[int, int]] = [{} for _ in day.room_ids]
        wanted = [0.0] * len(day.room_ids)
        for minutes in day.minutes:
            for r, m in minutes.items():
                wanted[r] += m / len(minutes)
        hours = [max(1, sum(b - a for a, b in room.open)) for room in day.problem.rooms]
        self.sought = [work / time for work, time in zip(wanted, hours, strict=True)]
        """By room, how much of its hours those who could have it would take."""
        self.in_room: list[list[tuple[int, int]]] = [[] for _ in day.room_ids]
        """By room, start and exam of those that may move, in order."""

    def _tell_people(self) -> None:
        day = self.day
        self.person_free = [self.every for _ in day.person_ids]
        self.person_starts: list[dict[int, int]] = [{} for _ in day.person_ids]
        self.teams: dict[tuple[tuple[int, ...], int], Team] = {}
        self.in_hand: list[list[tuple[int, int]]] = [[] for _ in day.person_ids]
        """By technologist, start and exam of those that may move, in order."""

    def _tell_porters(self) -> None:
        day = self.day
        porters = day.problem.porters or ()
        groups = porter_groups(day)
        self.group_of = {q: g for g, one in enumerate(groups) for q in one}
        self.groups = range(len(groups))
        self.group_size = [len(one) for one in groups]
        self.counts = [[0] * len(one).bit_length() for one in groups]
        """By group, how many of its porters are away, minute by minute: one row for each binary digit."""
        self.ways: list[dict[int, int]] = [{} for _ in groups]
        """By group and length, when a porter can set out."""
        self.way_open: list[dict[int, int]] = [{} for _ in groups]
        self.fetches: dict[int, int] = {}
        self.returns: dict[int, int] = {}
        self.group_spans: list[list[Interval]] = []
        for g, one in enumerate(groups):
            on = porters[one[0]].on
            if len(on) == 1:
                first = min(porters[q].on[0][0] for q in one)
                for q in one:
                    self._go(g, self._stretch(first - self.base, porters[q].on[0][0] - self.base))
                on = ((first, on[0][1]),)
            self.group_spans.append(list(on))

    def _tell_exams(self) -> None:
        day = self.day
        self.window = [0] * day.count
        self.rooms_of: list[tuple[tuple[int, int, int, float], ...]] = [()] * day.count
        """By exam, its rooms: number, minutes, minutes with cleaning, what it costs to be in that room."""
        self.patient_free = [self.every] * (max(day.patient, default=-1) + 1)
        self.weight, self.per_minute = day.weight, day.per_minute
        self.due = [0] * day.count
        self.booked = [0] * day.count
        self.ideal = [0] * day.count
        shared = [0] * len(self.patient_free)
        for p in day.patient:
            shared[p] += 1
        self.shares = [shared[p] > 1 for p in day.patient]
        self.chained = [bool(day.after[i] or day.followers[i]) for i in range(day.count)]
        for i in self.movable:
            first = day.ready[i] - self.base
            if day.way[i] > 0 and not day.porters_limited:
                first = max(first, day.way[i])
            self.window[i] = self.every & ~((1 << first) - 1) if first < self.size else 0
            self.due[i] = min(day.due[i], NEVER) - self.base
            self.booked[i] = day.booked_start[i] - self.base
            self.ideal[i] = min(max(0, day.ideal(i, 0) - self.base), self.size)
            self.rooms_of[i] = tuple(
                (r, m, m + day.cleaning[i], day.per_room[i] if day.booked_room[i] not in (r, NOBODY) else 0.0)
                for r, m in day.minutes[i].items()
            )

    def _stand(self) -> None:
        """Everybody where the day has them."""
        day = self.day
        moving = set(self.movable)
        for i in range(day.count):
            if day.room[i] < 0:
                continue
            seat = self._seat_on(day, i)
            self.put(i, seat, self.cost[i])
            if i not in moving:
                self.in_room[seat[0]].remove((seat[1], i))
                if seat[2] >= 0:
                    self.in_hand[seat[2]].remove((seat[1], i))

    # -- putting and taking --------------------------------------------------------------------------

    def begin(self) -> None:
        """What is put and taken from here on can be taken back by `undo`."""
        self.before = _Before(self.total)

    def undo(self) -> None:
        """Everything as it was at `begin`, with all that was known of it."""
        before = self.before
        for i, (seat, cost) in before.seats.items():
            self.seat[i], self.cost[i] = seat, cost
        for r, (free, starts, line) in before.rooms.items():
            self.room_free[r], self.room_starts[r], self.in_room[r] = free, starts, line
        for t, (free, starts, line) in before.people.items():
            self.person_free[t], self.person_starts[t], self.in_hand[t] = free, starts, line
        for p, free in before.patients.items():
            self.patient_free[p] = free
        for g, (counts, ways) in before.groups.items():
            self.counts[g], self.ways[g] = counts, ways
        if before.groups:
            self.fetches, self.returns = before.fetches, before.returns
        self.total = before.total

    def _touch_room(self, r: int) -> None:
        if r not in self.before.rooms:
            self.before.rooms[r] = (self.room_free[r], self.room_starts[r], self.in_room[r])
            self.in_room[r] = self.in_room[r][:]
        self.room_starts[r] = {}

    def _touch_person(self, t: int) -> None:
        if t not in self.before.people:
            self.before.people[t] = (self.person_free[t], self.person_starts[t], self.in_hand[t])
            self.in_hand[t] = self.in_hand[t][:]
        self.person_starts[t] = {}

    def put(self, i: int, seat: Seat, cost: float) -> None:
        """Place an exam where it is free; `cost` is what it costs there."""
        room, start, person, fetcher, fetch, returner, back = seat
        day, before = self.day, self.before
        if i not in before.seats:
            before.seats[i] = (self.seat[i], self.cost[i])
        minutes = day.minutes[i][room]
        took = self._stretch(start, start + minutes)
        self._touch_room(room)
        self.room_free[room] &= ~self._stretch(start, start + minutes + day.cleaning[i])
        insort(self.in_room[room], (start, i))
        if person >= 0:
            self._touch_person(person)
            self.person_free[person] &= ~took
            insort(self.in_hand[person], (start, i))
        if self.shares[i]:
            p = day.patient[i]
            before.patients.setdefault(p, self.patient_free[p])
            self.patient_free[p] &= ~took
        way = day.way[i]
        if way > 0:
            if fetcher >= 0:
                self._go(fetcher, self._stretch(fetch, fetch + way))
            if returner >= 0:
                self._go(returner, self._stretch(back, back + way))
        self.seat[i] = seat
        self.total += cost - self.cost[i]
        self.cost[i] = cost

    def take(self, i: int) -> None:
        """Take an exam that may move out of its place."""
        seat, cost = self.seat[i], self.cost[i]
        assert seat is not None
        room, start, person, fetcher, fetch, returner, back = seat
        day, before = self.day, self.before
        if i not in before.seats:
            before.seats[i] = (seat, cost)
        minutes = day.minutes[i][room]
        took = ((1 << minutes) - 1) << start
        self._touch_room(room)
        self.room_free[room] |= ((1 << (minutes + day.cleaning[i])) - 1) << start
        line = self.in_room[room]
        del line[bisect_left(line, (start, i))]
        if person >= 0:
            self._touch_person(person)
            self.person_free[person] |= took
            line = self.in_hand[person]
            del line[bisect_left(line, (start, i))]
        if self.shares[i]:
            p = day.patient[i]
            before.patients.setdefault(p, self.patient_free[p])
            self.patient_free[p] |= took
        way = day.way[i]
        if way > 0:
            if fetcher >= 0:
                self._come(fetcher, ((1 << way) - 1) << fetch)
            if returner >= 0:
                self._come(returner, ((1 << way) - 1) << back)
        self.seat[i] = None
        missing = day.missing_cost[i]
        self.total += missing - cost
        self.cost[i] = missing

    def give(self, j: int, person: int) -> None:
        """Give an exam to another technologist, who is free for it."""
        seat = self.seat[j]
        assert seat is not None
        room, start, before, *jobs = seat
        if j not in self.before.seats:
            self.before.seats[j] = (seat, self.cost[j])
        took = ((1 << self.day.minutes[j][room]) - 1) << start
        self._touch_person(before)
        self.person_free[before] |= took
        line = self.in_hand[before]
        del line[bisect_left(line, (start, j))]
        self._touch_person(person)
        self.person_free[person] &= ~took
        insort(self.in_hand[person], (start, j))
        self.seat[j] = (room, start, person, *jobs)  # type: ignore[assignment]

    def _go(self, g: int, row: int) -> None:
        """One porter of a group more is away in those minutes."""
        counts = self._touch_group(g)
        for k, digit in enumerate(counts):
            counts[k] = digit ^ row
            row &= digit
            if not row:
                break

    def _come(self, g: int, row: int) -> None:
        """One porter of a group more is back in those minutes."""
        counts = self._touch_group(g)
        for k, digit in enumerate(counts):
            counts[k] = digit ^ row
            row &= ~digit
            if not row:
                break

    def _touch_group(self, g: int) -> list[int]:
        before = self.before
        if g not in before.groups:
            if not before.groups:
                before.fetches, before.returns = self.fetches, self.returns
            before.groups[g] = (self.counts[g], self.ways[g])
            self.counts[g] = self.counts[g][:]
        self.ways[g], self.fetches, self.returns = {}, {}, {}
        return self.counts[g]

    # -- where it is free ----------------------------------------------------------------------------

    def _in_a_row(self, row: int, length: int) -> int:
        """The starts of so many minutes in a row."""
        have = 1
        while have * 2 <= length:
            row &= row >> have
            have *= 2
        if have < length:
            row &= row >> (length - have)
        return row

    def starts_in_room(self, room: int, hold: int) -> int:
        """When a room can be held so long."""
        row = self.room_starts[room].get(hold)
        if row is None:
            opened = self.room_open[room].get(hold)
            if opened is None:
                opened = self.starts_within(self.day.problem.rooms[room].open, hold)
                self.room_open[room][hold] = opened
            row = self.room_starts[room][hold] = self._in_a_row(self.room_free[room], hold) & opened
        return row

    def team(self, i: int, minutes: int) -> Team:
        """Who can do an exam of so many minutes, and when each could begin if idle."""
        people = self.day.people_for[i]
        found = self.teams.get((people, minutes))
        if found is None:
            staff = self.day.problem.technologists or ()
            found = self.teams[people, minutes] = [
                (t, self.starts_within(staff[t].on, minutes)) for t in people
            ]
        return found

    def starts_with_anybody(self, team: Team, minutes: int) -> int:
        """When somebody of a team has so long."""
        row = 0
        starts = self.person_starts
        for t, on in team:
            known = starts[t]
            one = known.get(minutes)
            if one is None:
                one = known[minutes] = self._in_a_row(self.person_free[t], minutes) & on
            row |= one
        return row

    def somebody(self, team: Team, start: int, minutes: int, random: Random) -> int:
        """Who of a team is free then: whoever comes first, now and then the next; or nobody."""
        took = ((1 << minutes) - 1) << start
        free, found = self.person_free, NOBODY
        for t, on in team:
            if on >> start & 1 and free[t] & took == took:
                found = t
                if random.random() > BLINK:
                    break
        return found

    def set_out(self, g: int, way: int) -> int:
        """When a porter of a group can set out on a way."""
        row = self.ways[g].get(way)
        if row is None:
            opened = self.way_open[g].get(way)
            if opened is None:
                opened = self.starts_within(self.group_spans[g], way)
                self.way_open[g][way] = opened
            row = opened
            if way:
                full = self.every
                for k, digit in enumerate(self.counts[g]):
                    full &= digit if self.group_size[g] >> k & 1 else ~digit
                row &= self._in_a_row(self.every ^ full, way)
            self.ways[g][way] = row
        return row

    def starts_with_fetch(self, way: int) -> int:
        """Starts of an exam to which a patient can be brought."""
        row = self.fetches.get(way)
        if row is None:
            row = 0
            for g in self.groups:
                row |= self.set_out(g, way)
            have = 1
            while have * 2 <= FETCH_CHOICES:
                row |= row << have
                have *= 2
            row |= row << (FETCH_CHOICES - have)
            row = self.fetches[way] = row << way
        return row

    def ends_with_return(self, way: int) -> int:
        """Ends of an exam from which a patient can be brought back."""
        row = self.returns.get(way)
        if row is None:
            row = 0
            for g in self.groups:
                row |= self.set_out(g, way)
            have = 1
            while have * 2 <= RETURN_CHOICES:
                row |= row >> have
                have *= 2
            row |= row >> (RETURN_CHOICES - have)
            self.returns[way] = row
        return row

    # -- the cheapest place ----------------------------------------------------------------------------

    def cheapest(
        self, i: int, limit: float, random: Random, since: int = NOBODY
    ) -> tuple[float, Seat] | None:
        """The cheapest seat that costs less than `limit`, everybody else staying where they are.

        With `since`, the one that ends first, begun from that minute on, in place of the cheapest.
        """
        day = self.day
        pick = self._least if since < 0 else self._first
        way = day.way[i] if day.porters_limited else NOBODY
        best, person, hopes = None, NOBODY, []
        for key, _, _, room, minutes, extra, free in self._rooms_for(i, limit, random, since):
            if key >= limit and since < 0:
                break
            row = free
            if way >= 0:
                row &= self.starts_with_fetch(way) & (self.ends_with_return(way) >> minutes)
            if not row:
                continue
            cost, start = pick(i, row, extra)
            who = NOBODY
            if day.limited and cost < limit:
                team = self.team(i, minutes)
                who = self.somebody(team, start, minutes, random)
                if who < 0:
                    hopes.append((cost, start, room, minutes))
                    row &= self.starts_with_anybody(team, minutes)
                    if not row:
                        continue
                    cost, start = pick(i, row, extra)
                    who = self.somebody(team, start, minutes, random)
            if cost >= limit:
                continue
            limit, person = cost, who
            best = room, start, minutes
            if since >= 0:
                break
        for cost, start, room, minutes in hopes:
            if cost < limit - WORTH_RESEATING:
                who = self._free_somebody(i, start, minutes)
                if who >= 0:
                    return cost, self._seat(i, room, start, minutes, who)
        if best is None:
            return None
        return limit, self._seat(i, *best, person)

    def _rooms_for(
        self, i: int, limit: float, random: Random, since: int
    ) -> list[tuple[float, float, float, int, int, float, int]]:
        """Rooms in which there could be a seat, the best first, with the starts at which room and patient are free."""
        day = self.day
        window = self.window[i]
        last = NEVER
        if self.chained[i]:
            first, last = self._bounds(i)
            if first >= NEVER:
                return []
            window &= self.every << first
        if since >= 0:
            window &= self.every << since
        alone = self.patient_free[day.patient[i]] if self.shares[i] else 0
        starts = self.room_starts
        found = []
        for room, minutes, hold, extra in self.rooms_of[i]:
            if extra >= limit or random.random() < SKIP:
                continue
            row = starts[room].get(hold)
            if row is None:
                row = self.starts_in_room(room, hold)
            row &= window
            if alone:
                row &= self._in_a_row(alone, minutes)
            if last < NEVER:
                row &= (1 << max(0, last - minutes + 1)) - 1
            if row:
                cost, start = self._least(i, row, extra) if since < 0 else self._first(i, row, extra)
                if cost < limit:
                    key = cost if since < 0 else float(start + hold)
                    found.append(
                        (
                            key,
                            start + hold + LEAN_MINUTES * self.sought[room],
                            random.random(),
                            room,
                            minutes,
                            extra,
                            row,
                        )
                    )
        found.sort()
        return found

    def _free_somebody(self, i: int, start: int, minutes: int) -> int:
        """Give what one who could do this exam does then to others who are free; whom that frees, or nobody."""
        took = ((1 << minutes) - 1) << start
        end = start + minutes
        for t, on in self.team(i, minutes):
            if not on >> start & 1:
                continue
            line = self.in_hand[t]
            free = self.person_free[t]
            given = []
            k = max(0, bisect_left(line, (start, -1)) - 1)
            for first, j in line[k : k + 4]:
                seat = self.seat[j]
                assert seat is not None
                length = self.day.minutes[j][seat[0]]
                if first >= end or first + length <= start:
                    continue
                other = self._somebody_else(j, t, first, length)
                if other < 0:
                    break
                given.append((j, other))
                free |= ((1 << length) - 1) << first
            else:
                if free & took == took:
                    for j, other in given:
                        self.give(j, other)
                    return t
        return NOBODY

    def _somebody_else(self, j: int, t: int, start: int, minutes: int) -> int:
        took = ((1 << minutes) - 1) << start
        free = self.person_free
        for u, on in self.team(j, minutes):
            if u != t and on >> start & 1 and free[u] & took == took:
                return u
        return NOBODY

    def _least(self, i: int, row: int, extra: float) -> tuple[float, int]:
        """The start of a row that costs least, and what it costs."""
        per_minute = self.per_minute[i]
        if per_minute <= 0.0:
            start = (row & -row).bit_length() - 1
            late = start - self.due[i]
            return (extra + self.weight[i] * late if late > 0 else extra), start
        ideal = self.ideal[i]
        best, at = float("inf"), 0
        upper = row >> ideal
        if upper:
            at = ideal + (upper & -upper).bit_length() - 1
            best = self._price(i, at, extra)
            if at == ideal:
                return best, at
        lower = row & ((1 << ideal) - 1)
        if lower:
            start = lower.bit_length() - 1
            cost = self._price(i, start, extra)
            if cost < best:
                return cost, start
        return best, at

    def _first(self, i: int, row: int, extra: float) -> tuple[float, int]:
        start = (row & -row).bit_length() - 1
        return self._price(i, start, extra), start

    def _price(self, i: int, start: int, extra: float) -> float:
        late = start - self.due[i]
        cost = extra + self.per_minute[i] * abs(start - self.booked[i])
        return cost + self.weight[i] * late if late > 0 else cost

    def _bounds(self, i: int) -> tuple[int, int]:
        """Between which minutes an exam must lie for those that it comes after, and those that come after it."""
        day = self.day
        first, last = 0, NEVER
        for other in day.after[i]:
            seat = self.seat[other]
            if seat is None:
                return NEVER, NEVER
            first = max(first, seat[1] + day.minutes[other][seat[0]])
        for other in day.followers[i]:
            seat = self.seat[other]
            if seat is not None:
                last = min(last, seat[1])
        return first, last

    def _seat(self, i: int, room: int, start: int, minutes: int, person: int) -> Seat:
        """The last fetch and the first return for a place that is known to have both."""
        day = self.day
        way = day.way[i]
        if way < 0 or not day.porters_limited:
            return room, start, person, NOBODY, 0, NOBODY, 0
        fetcher, fetch = NOBODY, NOBODY
        latest = start - way
        low = max(0, latest - FETCH_EARLY_MINUTES)
        mask = (1 << (latest - low + 1)) - 1
        for g in self.groups:
            at = low + ((self.set_out(g, way) >> low) & mask).bit_length() - 1
            if at >= low and at > fetch:
                fetcher, fetch = g, at
        returner, back = NOBODY, NEVER
        end = start + minutes
        for g in self.groups:
            row = (self.set_out(g, way) >> end) & RETURN_MASK
            if row:
                at = end + (row & -row).bit_length() - 1
                if at < back:
                    returner, back = g, at
        return room, start, person, fetcher, fetch, returner, back

    # -- other plans of the same day -----------------------------------------------------------------

    def load(self, seats: list[Seat | None], costs: list[float]) -> None:
        """Everybody as in another plan of the same exams."""
        self.begin()
        other = [i for i in self.movable if self.seat[i] != seats[i]]
        for i in other:
            if self.seat[i] is not None:
                self.take(i)
        for i in other:
            seat = seats[i]
            if seat is not None:
                self.put(i, seat, costs[i])

    def seats_of(self, day: Day, exams: Iterable[int]) -> dict[int, tuple[Seat | None, float]]:
        """Where exams stand on a day of the same problem, and what they cost there."""
        found: dict[int, tuple[Seat | None, float]] = {}
        for i in exams:
            found[i] = (self._seat_on(day, i) if day.room[i] >= 0 else None, day.cost_of(i))
        return found

    def _seat_on(self, day: Day, i: int) -> Seat:
        fetcher, fetch, returner, back = day.jobs[i]
        return (
            day.room[i], day.start[i] - self.base, day.person[i],
            self.group_of.get(fetcher, NOBODY), fetch - self.base,
            self.group_of.get(returner, NOBODY), back - self.base,
        )  # fmt: skip

    def try_all(self, told: dict[int, tuple[Seat | None, float]]) -> bool:
        """Put exams where they are told, all at once; False, and nothing changed, where that is not free."""
        self.begin()
        for i in told:
            if self.seat[i] is not None:
                self.take(i)
        for i, (seat, cost) in told.items():
            if seat is None:
                continue
            if not self._free(i, seat):
                self.undo()
                return False
            self.put(i, seat, cost)
        if all(self._in_turn(i) for i in told):
            return True
        self.undo()
        return False

    def _free(self, i: int, seat: Seat) -> bool:
        room, start, person, fetcher, fetch, returner, back = seat
        minutes = self.day.minutes[i][room]
        took = ((1 << minutes) - 1) << start
        hold = ((1 << (minutes + self.day.cleaning[i])) - 1) << start
        if self.room_free[room] & hold != hold or (person >= 0 and self.person_free[person] & took != took):
            return False
        if self.shares[i] and self.patient_free[self.day.patient[i]] & took != took:
            return False
        way = self.day.way[i]
        jobs = ((fetcher, fetch), (returner, back))
        return way <= 0 or all(g < 0 or self.set_out(g, way) >> at & 1 for g, at in jobs)

    def _in_turn(self, i: int) -> bool:
        """Whether an exam stands between those that it comes after, and those that come after it."""
        seat = self.seat[i]
        if not self.chained[i]:
            return True
        if seat is None:
            return all(self.seat[f] is None for f in self.day.followers[i])
        first, last = self._bounds(i)
        return first <= seat[1] and seat[1] + self.day.minutes[i][seat[0]] <= last

    def write(self, seats: list[Seat | None], costs: list[float]) -> dict[int, Spot | None]:
        """A plan's places that are not those of the day; a porter's group in the porter's place."""
        day, base = self.day, self.base
        told: dict[int, Spot | None] = {}
        for i in self.movable:
            seat = seats[i]
            if seat is None:
                if day.room[i] >= 0:
                    told[i] = None
                continue
            room, start, person, fetcher, fetch, returner, back = seat
            if not day.porters_limited:
                jobs = (NOBODY, start + base - day.way[i], NOBODY, start + base + day.minutes[i][room])
            else:
                jobs = (fetcher, fetch + base, returner, back + base)
            if not self._stands(i, room, start + base, person, jobs):
                told[i] = Spot(costs[i], room, start + base, person, jobs)
        return told

    def _stands(self, i: int, room: int, start: int, person: int, jobs: Jobs) -> bool:
        """Whether the day has an exam just there already."""
        day = self.day
        if (day.room[i], day.start[i], day.person[i]) != (room, start, person):
            return False
        fetcher, fetch, returner, back = day.jobs[i]
        return jobs == (self.group_of.get(fetcher, NOBODY), fetch, self.group_of.get(returner, NOBODY), back)
