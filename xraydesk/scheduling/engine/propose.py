"""The earliest feasible place for one exam. It proposes; the database decides.

A planner that weighs all exams against each other can take its place behind `propose`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice

from xraydesk.scheduling.engine import words
from xraydesk.scheduling.engine.department import Department, Need, RoomTimes, TechnologistTimes
from xraydesk.scheduling.engine.place import Place, Proposal
from xraydesk.scheduling.engine.spans import Span, Timeline, merged, without
from xraydesk.scheduling.engine.words import Hindrance, Obstacle

GRID_MINUTES = 5
"""Without a wish, exams start on these minutes; a prompt one on any whole minute."""

PREFERENCE_MINUTES = 15
"""So much later an exam may start to be in the room it is better off in, where nothing hurries."""

APART_MINUTES = 15
"""Places proposed in one room lie at least so far apart, else they are no choice."""

LATE_MINUTES = 5
"""A person may choose a time that has just passed, by so much: screens are read, then clicked."""

REASONS_MAX = 5
"""So many reasons go with a proposal."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_Rank = tuple[datetime, datetime, int, int, str]


@dataclass(frozen=True)
class Verdict:
    """Whether a place that a person chose fits; `taken` where only other bookings are in its way.

    `mind` is what the rules would not have done: a person may use what is kept for others.
    """

    place: Place | None
    why_not: tuple[str, ...] = ()
    taken: bool = False
    mind: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Room:
    """A room made ready to be asked: free time by seat, and every moment something becomes free for it.

    With `slots` an exam begins at one of `starts` and at no other moment. `found` keeps what was answered: a search
    for a visit asks for the same moments again after each first exam.
    """

    times: RoomTimes
    seats: tuple[Timeline, ...]
    starts: tuple[datetime, ...]
    slots: bool = False
    found: dict[datetime, Place | None] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True)
class _Technologist:
    times: TechnologistTimes
    free: Timeline


def _not_there(technologist: TechnologistTimes) -> tuple[Span, ...]:
    away = (technologist.away,) if technologist.away else ()
    return (*(w.span for w in technologist.work), *away)


class Finder:
    """One department and one exam, made ready to be asked for places.

    `named` keeps to one technologist; None leaves the choice open. `by_hand` takes what is kept
    for others, and any time at which a room is open, as a person may.
    """

    def __init__(
        self, department: Department, need: Need, *, named: int | None = None, by_hand: bool = False
    ) -> None:
        self.department = department
        self.need = need
        self.by_hand = by_hand
        self.technologists = tuple(
            _Technologist(t, Timeline(without(t.on, _not_there(t))))
            for t in department.technologists or ()
            if need.skills <= t.skills and named in (None, t.technologist_id)
        )
        self._rooms: dict[int, _Room] = {}
        self._work: dict[tuple[int, int], list[datetime]] = {}
        self._published: dict[int, Timeline] = {}
        self._able_at: dict[datetime, list[_Technologist]] = {}
        whole = Span(need.now - timedelta(days=1), need.until + timedelta(days=1))
        self.patient_free = Timeline(without((whole,), need.patient_busy))
        moments = {start + need.preparation for start in self.patient_free.starts}
        for technologist in self.technologists:
            moments.update(technologist.free.starts)
        self._starts = {self.aligned(moment) for moment in moments}

    def prepared(self, times: RoomTimes) -> _Room:
        """One room made ready, once for all that is asked of it."""
        if times.room_id not in self._rooms:
            self._rooms[times.room_id] = self.room(times)
        return self._rooms[times.room_id]

    def room(self, times: RoomTimes) -> _Room:
        """One room made ready."""
        clean = self.department.cleaning
        down = (times.down,) if times.down else ()
        seats = tuple(
            Timeline(without(times.open, (*down, *(Span(b.start, b.end + clean) for b in busy))))
            for busy in times.busy
        )
        if self._only_published(times) and not self.by_hand:
            return _Room(times, seats, times.slots, slots=True)
        moments = {k.span.end for k in times.kept}.union(*(seat.starts for seat in seats))
        return _Room(times, seats, tuple(sorted(self._starts.union(map(self.aligned, moments)))))

    def _only_published(self, times: RoomTimes) -> bool:
        return self.need.ahead and times.published is not None

    def earliest(self, times: RoomTimes) -> datetime:
        """Before this moment the exam is not to start in that room."""
        ready = self.need.now + (timedelta() if times.portable else self.need.travel) + self.need.preparation
        if self.need.wished and self.need.wished >= ready:
            return self.need.wished
        return self.aligned(ready)

    def aligned(self, at: datetime) -> datetime:
        """The first minute from then at which exams begin."""
        grid = timedelta(minutes=1 if self.need.prompt else GRID_MINUTES)
        past = (at - _EPOCH) % grid
        return at + (grid - past) if past else at

    def places(self, times: RoomTimes) -> Iterator[Place]:
        """Feasible places in one room, earliest first."""
        room = self.prepared(times)
        apart = timedelta(minutes=max(self.need.minutes, APART_MINUTES))
        place = self.first(room, self.earliest(times))
        while place:
            yield place
            place = self.first(room, place.start + apart)

    def first(self, room: _Room, lower: datetime, *, before: datetime | None = None) -> Place | None:
        """The earliest place not before `lower` that begins before a moment, where one is given.

        It starts there, or at the first moment on the grid after something became free, so
        that no other moment needs to be tried.
        """
        until = min(self.need.until, before) if before else self.need.until
        number = bisect_left(room.starts, lower)
        moment = lower
        if room.slots:
            moment, number = (room.starts[number], number + 1) if number < len(room.starts) else (until, 0)
        while moment < until:
            place = self.at(room, moment)
            if place:
                return place
            if number == len(room.starts):
                return None
            moment, number = room.starts[number], number + 1
        return None

    def at(self, room: _Room, start: datetime) -> Place | None:
        """The place in a room at a moment, with a seat and a technologist; None where it does not fit."""
        if start not in room.found:
            room.found[start] = self._at(room, start)
        return room.found[start]

    def _at(self, room: _Room, start: datetime) -> Place | None:
        end = start + self.need.length
        seat = self._seat(room, start)
        if seat is None or not self.patient_free.covers(start - self.need.preparation, end):
            return None
        if not self.by_hand and self.against_rules(room.times, start):
            return None
        if self.department.technologists is None:
            return Place(room.times.room_id, start, end, None, seat)
        able = self._able(start)
        if not able:
            return None
        best = min(able, key=lambda t: self._distance(t.times, room.times.room_id, start))
        return Place(room.times.room_id, start, end, best.times.technologist_id, seat)

    def _distance(
        self, who: TechnologistTimes, room_id: int, at: datetime
    ) -> tuple[timedelta, int, int, str]:
        """Who is best for a room: at work in it near that time, then without rare skills, then with little to do."""
        key = who.technologist_id, room_id
        if key not in self._work:
            self._work[key] = sorted(w.span.start for w in who.work if w.room_id == room_id)
        starts, day = self._work[key], timedelta(days=1)
        after = bisect_left(starts, at)
        near = min((abs(start - at) for start in starts[max(0, after - 1) : after + 1]), default=day)
        return min(near, day), len(who.skills), len(who.work), who.code

    def against_rules(self, times: RoomTimes, start: datetime) -> Obstacle | None:
        """What keeps the rules from using a free place there: kept for others, or not published; None where nothing does."""
        end = start + self.need.length
        for kept in times.kept:
            overlaps = kept.span.start < end and start < kept.span.end
            if overlaps and not kept.whom & self.need.claims and self.need.now < kept.until(start):
                return Obstacle(Hindrance.KEPT, kept.until(start), kept.whom)
        if self._only_published(times):
            if times.room_id not in self._published:
                self._published[times.room_id] = Timeline(times.published or ())
            number = bisect_left(times.slots, start)
            begins = times.slots[number : number + 1] == (start,)
            if not begins or not self._published[times.room_id].covers(start, end):
                later = times.slots[number + begins : number + begins + 1]
                return Obstacle(Hindrance.UNPUBLISHED, later[0] if later else None)
        return None

    def obstacle(self, room: _Room, start: datetime) -> Obstacle | None:
        """What keeps the exam from starting in a room at a moment, and until when; None where nothing does."""
        end = start + self.need.length
        clean = self.department.cleaning
        down = (room.times.down,) if room.times.down else ()
        for what, spans in (
            (Hindrance.CLOSED, merged(room.times.open)),
            (Hindrance.DOWN, without(room.times.open, down)),
        ):
            open_time = Timeline(spans)
            if not open_time.covers(start, end + clean):
                return Obstacle(what, open_time.opening_after(start, self.need.length + clean))
        if self._seat(room, start) is None:
            return Obstacle(Hindrance.TAKEN, _opening(room.seats, start, self.need.length + clean))
        if not self.patient_free.covers(start - self.need.preparation, end):
            return Obstacle(Hindrance.PATIENT, _opening((self.patient_free,), start, self.need.length))
        if self.department.technologists is not None and not self._able(start):
            free = tuple(t.free for t in self.technologists)
            there = any(Timeline(merged(t.times.on)).covers(start, end) for t in self.technologists)
            what = Hindrance.BUSY if there else Hindrance.NOBODY
            return Obstacle(what, _opening(free, start, self.need.length))
        return None if self.by_hand else self.against_rules(room.times, start)

    def _seat(self, room: _Room, start: datetime) -> int | None:
        end = start + self.need.length + self.department.cleaning
        return next((n for n, free in enumerate(room.seats) if free.covers(start, end)), None)

    def _able(self, start: datetime) -> list[_Technologist]:
        if start not in self._able_at:
            end = start + self.need.length
            self._able_at[start] = [t for t in self.technologists if t.free.covers(start, end)]
        return self._able_at[start]

    def why(self, place: Place) -> tuple[str, ...]:
        """The reasons for a place: it is free, the wish, and why no other room serves sooner."""
        need, zone = self.need, self.department.zone
        rooms = {r.room_id: r for r in self.department.rooms}
        code = rooms[place.room_id].code
        names = {t.times.technologist_id: t.times.name for t in self.technologists}
        who = names.get(place.technologist_id or 0, "")
        reasons = [words.free_words(code, who, place.start, today=need.now, zone=zone)]
        if need.wished:
            reasons.append(words.wish_words(place.start, need.wished, today=need.now, zone=zone))
        elif need.prompt:
            reasons.append("the first free place from now")
        reasons += self._why_not_sooner(place, rooms)
        return tuple(reasons[:REASONS_MAX])

    def _why_not_sooner(self, place: Place, rooms: dict[int, RoomTimes]) -> list[str]:
        need, zone = self.need, self.department.zone
        reasons: list[str] = []
        for times in sorted(rooms.values(), key=lambda r: (r.room_id != place.room_id, r.sort, r.code)):
            earliest = self.earliest(times)
            if not need.suits(times) or earliest > place.start:
                continue
            if times.room_id == place.room_id and earliest == place.start:
                continue
            obstacle = self.obstacle(self.prepared(times), earliest)
            if obstacle:
                said = words.obstacle_words(times.code, obstacle, today=need.now, zone=zone)
                reasons += [said] if said not in reasons else []
        return reasons


def _opening(timelines: tuple[Timeline, ...], after: datetime, length: timedelta) -> datetime | None:
    openings = [o for o in (t.opening_after(after, length) for t in timelines) if o]
    return min(openings, default=None)


def awkward(need: Need, room: RoomTimes) -> int:
    """0 where the exam is best off in that room, more where it is less so."""
    if room.portable:
        return 0 if need.room_kinds == {room.kind} else 2
    return int(need.emergency != room.emergency)


def _rank(need: Need, room: RoomTimes, place: Place) -> _Rank:
    awkwardness = awkward(need, room)
    kept = need.prompt or need.wished is not None
    given_up = timedelta() if kept else timedelta(minutes=PREFERENCE_MINUTES * awkwardness)
    return place.start + given_up, place.start, awkwardness, room.sort, room.code


def propose(department: Department, need: Need, *, count: int = 1) -> list[Proposal]:
    """Feasible places for one exam, the best first, each with its reasons; empty where there is none.

    The best is the earliest; where nothing hurries, a few minutes are given up for the room
    the patient is better off in. No place lies before a wished time, nor begins before the
    patient can be there.
    """
    finder = Finder(department, need)
    found: list[tuple[_Rank, Place]] = []
    for room in department.rooms:
        if need.suits(room):
            found += [(_rank(need, room, place), place) for place in islice(finder.places(room), count)]
    found.sort(key=lambda pair: pair[0])
    return [Proposal(place, finder.why(place)) for _, place in found[:count]]


def judge(department: Department, need: Need, place: Place) -> Verdict:
    """Whether a place that a person chose fits; its end, seat and, unless named, technologist are filled in."""
    times = next((r for r in department.rooms if r.room_id == place.room_id), None)
    if times is None:
        return Verdict(None, ("that room is not in use",))
    if not need.suits(times):
        return Verdict(None, (f"{times.code} is of kind {times.kind}, which cannot do this exam",))
    if place.start < need.now - timedelta(minutes=LATE_MINUTES):
        return Verdict(None, ("that time has passed",))
    finder = Finder(department, need, named=place.technologist_id, by_hand=True)
    room = finder.room(times)
    fitting = finder.at(room, place.start)
    if fitting:
        against = finder.against_rules(times, place.start)
        zone = department.zone
        mind = (words.obstacle_words(times.code, against, today=need.now, zone=zone),) if against else ()
        return Verdict(fitting, mind=mind)
    obstacle = finder.obstacle(room, place.start)
    assert obstacle is not None
    said = words.obstacle_words(times.code, obstacle, today=need.now, zone=department.zone)
    return Verdict(None, (said,), taken=obstacle.what in words.TAKEN)
