"""A day under way, told to the planner: what may move, what keeps its place, and what moving costs.

Pure. What has begun, has passed or is held for a question keeps its place: its room, technologist
and porter are simply not there for others so long. Everything else that is booked may move, at a
cost that says who would mind.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from xraydesk.scheduling.engine.department import Department, Kept, Need, RoomTimes, TechnologistTimes
from xraydesk.scheduling.engine.problem import (
    FETCH_EARLY_MINUTES,
    RETURN_LATE_MINUTES,
    Booked,
    Exam,
    Interval,
    Job,
    Placed,
    Plan,
    Porter,
    Problem,
    Room,
    Technologist,
)
from xraydesk.scheduling.engine.spans import Span
from xraydesk.scheduling.engine.zones import ANYBODY, KeptMinutes, Reserved, Stands, Template, Zone, zones_of

_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Costs:
    """Who minds what, in minutes of one outpatient's time: the scale on which places are weighed.

    These are a department's own views, not a norm.
    """

    stat_wait_minute: float = 4.0
    urgent_wait_minute: float = 1.0
    routine_wait_minute: float = 0.25
    outpatient_moved_minute: float = 1.0
    """An outpatient was told a time."""
    here_moved_minute: float = 0.75
    """A patient who sits in the corridor."""
    inpatient_moved_minute: float = 0.25
    other_room: float = 3.0
    left_out: float = 8000.0
    """Times the weight of a minute's wait: more than a whole day's move, so that nobody loses a place who could have another."""


@dataclass(frozen=True)
class Standing:
    """One exam as it stands. `span`, `room` and `seat` are those of its booking; None without one.

    `until` is when an exam under way is to be over. `told_time` is True for a patient who was
    told when to come and is not here.
    """

    accession: str
    patient: str
    need: Need
    priority: str = "routine"
    due_at: datetime | None = None
    span: Span | None = None
    room: str = ""
    seat: int = 0
    technologist: str | None = None
    until: datetime | None = None
    pinned: bool = False
    here: bool = False
    told_time: bool = False
    ward: str | None = None
    """Where a porter fetches the patient from; None for whoever comes alone or is here."""
    coming: bool = False
    """A porter is on the way with them already."""


@dataclass(frozen=True)
class PorterTimes:
    """A porter: when on, and what is taken of it."""

    code: str
    on: tuple[Span, ...]
    busy: tuple[Span, ...] = ()


@dataclass(frozen=True)
class Told:
    """The day as the planner sees it. `left_alone` are exams whose place breaks a rule already, and who keep it."""

    problem: Problem
    plan: Plan
    left_alone: tuple[str, ...] = ()
    seats: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    """The planner's name of a place for one exam, and the room's code and seat that it is. Where some of a room's time is kept
    for some, that time has a name of its own."""
    reserved: Reserved = field(default_factory=Reserved)

    def room_at(self, code: str, minute: int) -> str:
        """What the planner calls a room at a minute: of its seats the first, of its time what is kept where it is."""
        named = (r for r in self.problem.rooms if self.seats.get(r.id) == (code, 0))
        return next((r.id for r in named if any(a <= minute < b for a, b in r.open)), code)


def seat_name(code: str, seat: int) -> str:
    """How the planner names a seat: the room's code for the first one."""
    return code if seat == 0 else f"{code}#{seat + 1}"


def tell_planner(
    department: Department,
    exams: Sequence[Standing],
    *,
    start: datetime,
    until: datetime,
    porters: Sequence[PorterTimes] | None = None,
    travel: Mapping[str, int] | None = None,
    wanted: Iterable[str] = (),
    repairing: bool = False,
    by_hand: bool = False,
    costs: Costs | None = None,
) -> Told:
    """The planning problem and the plan in force of a day, from `start` (a whole minute) to `until`.

    `wanted` are exams that are to be given a place, or a better one than they have; `by_hand` in time that is kept for
    others too, as a person may choose. Where
    `repairing`, who would stand there if the room were not down and the technologist had not gone is
    in the problem without being in the plan; whoever did not stand before either, or all of them where
    nothing happened, is left alone.
    """
    costs = costs or Costs()
    teller = _Teller(department, start=start, until=until, costs=costs, wanted={*wanted}, repairing=repairing)
    teller.by_hand = by_hand
    return teller.tell(exams, porters, travel or {})


@dataclass(frozen=True)
class _KeptWay:
    """Somebody who keeps their place and is brought and taken back by porters all the same."""

    begins: int
    ends: int
    ward: str
    fetched: bool
    """Nobody has to be sent to fetch them any more."""


class _Teller:
    def __init__(
        self,
        department: Department,
        *,
        start: datetime,
        until: datetime,
        costs: Costs,
        wanted: set[str],
        repairing: bool,
    ) -> None:
        self.department = department
        self.start, self.until, self.costs, self.wanted = start, until, costs, wanted
        self.repairing = repairing
        self.by_hand = False
        self.end = self.minute(until)
        self.cleaning = int(department.cleaning / _MINUTE)
        self.rooms: dict[str, RoomTimes] = {}
        self.seats: dict[str, tuple[str, int]] = {}
        for room in department.rooms:
            for seat in range(len(room.busy)):
                name = seat_name(room.code, seat)
                self.rooms[name], self.seats[name] = room, (room.code, seat)
        self.room_taken: dict[str, list[Interval]] = defaultdict(list)
        self.person_taken: dict[str, list[Interval]] = defaultdict(list)
        self.patient_until: dict[str, int] = defaultdict(int)
        self.kept_ways: list[_KeptWay] = []
        self.skills = {t.code: t.skills for t in department.technologists or ()}
        self.zones: dict[str, dict[Zone, tuple[Interval, ...]]] = {}
        """Each seat's open time by who may use it."""
        self.stands_in: dict[str, Zone] = {}

    def minute(self, at: datetime) -> int:
        """The whole minute in which a moment lies."""
        return (at - self.start) // _MINUTE

    def ceil(self, at: datetime) -> int:
        """The first whole minute that is not before a moment."""
        return -((self.start - at) // _MINUTE)

    # -- who keeps their place ---------------------------------------------------------------

    def tell(
        self, exams: Sequence[Standing], porters: Sequence[PorterTimes] | None, travel: Mapping[str, int]
    ) -> Told:
        movable, fresh = [], []
        for exam in exams:
            if exam.accession in self.wanted and exam.until is None:
                fresh.append(replace(exam, span=None, told_time=False))
            elif exam.span is not None and self._may_move(exam):
                movable.append(exam)
            elif exam.span is not None:
                self._keep(exam)
        movable.sort(key=lambda e: (e.span.start if e.span else self.start, e.accession))
        opened, on = self._opened(), self._on()
        standing = [e for e in movable if self._still_stands(e, opened, on)]
        lost = [e for e in movable if e not in standing]
        if self.repairing:
            # Who did not stand before either was put there by a person, who knew why.
            opened, on = self._opened(before=True), self._on(before=True)
            alone = [e for e in lost if not self._still_stands(e, opened, on)]
        else:
            alone = lost
        for exam in alone:
            self._keep(exam)
        lost = [e for e in lost if e not in alone]
        opened = self._opened()
        problem = Problem(
            start=self.start,
            exams=(),
            rooms=(),
            technologists=self._technologists(),
            porters=self._porters(porters),
            travel=dict(travel),
            unplanned_cost=self.costs.left_out,
        )
        gaps = self._gaps(standing, opened)
        templates = self._templates(fresh, (*standing, *lost, *fresh))
        self._cut(opened, templates, standing, gaps)
        problem = replace(problem, rooms=self._rooms())
        told = [self._exam(e, gaps.get(e.accession, self.cleaning)) for e in (*standing, *lost, *fresh)]
        placed = [self._placed(e) for e in standing]
        told, placed, porters_left = _with_porters(told, placed, problem, self.kept_ways)
        problem = replace(problem, exams=tuple(told), porters=porters_left)
        return Told(
            problem,
            Plan(tuple(placed), tuple(e.accession for e in (*lost, *fresh))),
            tuple(e.accession for e in alone),
            self._seats(),
            self._reserved((*standing, *lost, *fresh), opened, templates),
        )

    def _may_move(self, exam: Standing) -> bool:
        assert exam.span is not None
        begun = exam.until is not None
        # The planner counts in whole minutes; what was put down by the second is left where it is.
        whole = exam.span.start == self.start + self.minute(exam.span.start) * _MINUTE
        return (
            whole
            and not begun
            and not exam.pinned
            and exam.span.start >= self.start
            and exam.span.end <= self.until
        )

    def _keep(self, exam: Standing) -> None:
        """The exam's room, technologist and patient are taken as long as it lasts."""
        assert exam.span is not None
        begins = max(0, self.minute(exam.span.start))
        ends = self.ceil(max(exam.span.end, exam.until or exam.span.end))
        if ends <= 0:
            return
        self.room_taken[seat_name(exam.room, exam.seat)].append((begins, ends + self.cleaning))
        if exam.technologist is not None:
            self.person_taken[exam.technologist].append((begins, ends))
        self.patient_until[exam.patient] = max(self.patient_until[exam.patient], ends)
        if exam.ward is not None:
            begun = exam.until is not None or self.minute(exam.span.start) < 0
            self.kept_ways.append(_KeptWay(begins, ends, exam.ward, fetched=begun or exam.coming))

    def _still_stands(
        self,
        exam: Standing,
        opened: Mapping[str, tuple[Interval, ...]],
        on: Mapping[str, tuple[Interval, ...]],
    ) -> bool:
        assert exam.span is not None
        name = seat_name(exam.room, exam.seat)
        first, last = self.minute(exam.span.start), self.minute(exam.span.end)
        if name not in self.rooms or not exam.need.suits(self.rooms[name]):
            return False
        if not _covered(opened[name], first, last):
            return False
        if self.department.technologists is None:
            return True
        who = exam.technologist
        return (
            who in self.skills
            and exam.need.skills <= self.skills[who or ""]
            and _covered(on[who or ""], first, last)
        )

    # -- rooms and people ---------------------------------------------------------------------

    def _opened(self, *, before: bool = False) -> dict[str, tuple[Interval, ...]]:
        """When each seat can be used, with time to clean after closing, less what is taken or down; `before` any of that."""
        found = {}
        for name, room in self.rooms.items():
            spans = [(self.ceil(s.start), self.minute(s.end) + self.cleaning) for s in room.open]
            taken = [] if before else [*self.room_taken[name]]
            if room.down and not before:
                taken.append((self.minute(room.down.start), self.ceil(room.down.end)))
            found[name] = _less(spans, taken, self.end)
        return found

    def _on(self, *, before: bool = False) -> dict[str, tuple[Interval, ...]]:
        """When each technologist is on, less what is taken and when they are away; `before` any of that."""
        return {
            t.code: _less(
                [(self.ceil(s.start), self.minute(s.end)) for s in t.on],
                () if before else self._not_there(t),
                self.end,
            )
            for t in self.department.technologists or ()
        }

    def _not_there(self, technologist: TechnologistTimes) -> list[Interval]:
        taken = [*self.person_taken[technologist.code]]
        if technologist.away:
            taken.append((self.minute(technologist.away.start), self.ceil(technologist.away.end)))
        return taken

    def _technologists(self) -> tuple[Technologist, ...] | None:
        if self.department.technologists is None:
            return None
        on = self._on()
        return tuple(Technologist(t.code, on[t.code], t.skills) for t in self.department.technologists)

    def _porters(self, porters: Sequence[PorterTimes] | None) -> tuple[Porter, ...] | None:
        if porters is None:
            return None
        return tuple(
            Porter(
                p.code,
                _less(
                    [(self.ceil(s.start), self.minute(s.end)) for s in p.on],
                    [(self.minute(s.start), self.ceil(s.end)) for s in p.busy],
                    self.end,
                ),
            )
            for p in porters
        )

    # -- whose time it is --------------------------------------------------------------------

    def _templates(self, fresh: Sequence[Standing], exams: Sequence[Standing]) -> dict[str, Template]:
        """What each seat's time is for. Published time binds who is booked ahead, and counts where one of them is to be placed."""
        ahead = any(e.need.ahead for e in fresh) and not self.by_hand
        found = {}
        for name, room in self.rooms.items():
            published = None
            if ahead and room.published is not None:
                # A room is cleaned after the last exam of published time, as it is after its last of the day.
                published = tuple(
                    (self.ceil(s.start), self.minute(s.end) + self.cleaning) for s in room.published
                )
            kept = (self._kept(k, exams) for k in room.kept)
            found[name] = Template(tuple(k for k in kept if k.first < k.last), published)
        return found

    def _kept(self, kept: Kept, exams: Sequence[Standing]) -> KeptMinutes:
        """What of a kept stretch is still kept now; empty where nothing is."""
        begins, release = self.minute(kept.span.start), int(kept.release / _MINUTE)
        first, last = max(0, begins), min(self.ceil(kept.span.end), self.end)
        if release > first:
            # A place is released by when it begins: the shortest exam that has to wait for it may end beyond what is released.
            lengths = [e.need.minutes for e in exams if not kept.whom & e.need.claims]
            first = release + min(lengths, default=0) + self.cleaning
        return KeptMinutes(first, last, kept.whom, release, begins)

    def _cut(
        self,
        opened: Mapping[str, tuple[Interval, ...]],
        templates: Mapping[str, Template],
        standing: Sequence[Standing],
        gaps: Mapping[str, int],
    ) -> None:
        """Each seat's open time by who may use it; who stands in time that is kept for others keeps a right to it."""
        there: dict[str, list[Stands]] = defaultdict(list)
        for exam in standing:
            assert exam.span is not None
            name = seat_name(exam.room, exam.seat)
            first, last = self.minute(exam.span.start), self.minute(exam.span.end)
            there[name].append(Stands(first, last, last + gaps[exam.accession]))
            self.stands_in[exam.accession] = templates[name].zone(first, last)
        for name in self.rooms:
            self.zones[name] = zones_of(opened[name], templates[name], there[name])

    def _rooms(self) -> tuple[Room, ...]:
        """The rooms as the planner is told of them: each seat, then what of its time is not anybody's."""
        return tuple(
            Room(zone.name(name), zones.get(zone, ()))
            for name, zones in self.zones.items()
            for zone in (ANYBODY, *sorted(z for z in zones if z != ANYBODY))
        )

    def _seats(self) -> dict[str, tuple[str, int]]:
        return {
            zone.name(name): seat
            for name, seat in self.seats.items()
            for zone in (ANYBODY, *self.zones[name])
        }

    def _reserved(
        self,
        exams: Iterable[Standing],
        opened: Mapping[str, tuple[Interval, ...]],
        templates: Mapping[str, Template],
    ) -> Reserved:
        names = [(zone.name(name), name) for name in self.rooms for zone in (ANYBODY, *self.zones[name])]
        return Reserved(
            kept={zone: templates[name].kept for zone, name in names},
            opened={zone: opened[name] for zone, name in names},
            claims={e.accession: e.need.claims for e in exams},
        )

    def _zone_of(self, exam: Standing) -> str:
        """What the planner calls the stretch in which an exam stands, or stood."""
        zone = self.stands_in.get(exam.accession, ANYBODY)
        return zone.name(seat_name(exam.room, exam.seat))

    # -- exams -------------------------------------------------------------------------------

    def _gaps(
        self, standing: Sequence[Standing], opened: Mapping[str, tuple[Interval, ...]]
    ) -> dict[str, int]:
        """Where something follows sooner than a room is cleaned, that is how it was agreed, and it stands."""
        found, latest = dict[str, int](), dict[str, Standing]()
        for exam in standing:
            assert exam.span is not None
            name = seat_name(exam.room, exam.seat)
            first, last = self.minute(exam.span.start), self.minute(exam.span.end)
            until = next(b for a, b in opened[name] if a <= first and last <= b)
            found[exam.accession] = min(self.cleaning, until - last)
            before = latest.get(name)
            if before and before.span:
                gap = first - self.minute(before.span.end)
                found[before.accession] = min(found[before.accession], gap)
            latest[name] = exam
        return found

    def _exam(self, exam: Standing, cleaning: int) -> Exam:
        minutes = exam.need.minutes
        if exam.span is not None:
            minutes = self.minute(exam.span.end) - self.minute(exam.span.start)
        ready = max(0, self.patient_until[exam.patient])
        if exam.need.wished and exam.span is None:
            ready = max(ready, self.minute(exam.need.wished))
        if exam.told_time and exam.span is not None:
            # Nobody is called to come sooner than they were told.
            ready = max(ready, self.minute(exam.span.start))
        return Exam(
            id=exam.accession,
            patient=exam.patient,
            minutes=dict.fromkeys(self._rooms_for(exam), minutes),
            priority=exam.priority,
            ready=ready,
            due=self._due(exam, ready),
            weight=self._weight(exam),
            cleaning=cleaning,
            skills=exam.need.skills,
            origin=exam.ward,
            booked=self._booked(exam),
        )

    def _rooms_for(self, exam: Standing) -> list[str]:
        """Rooms in which it can be done, as far as their time is for it; for one that is booked, those of the same building."""
        booked = self.rooms.get(seat_name(exam.room, exam.seat)) if exam.span is not None else None
        ahead = exam.need.ahead and exam.span is None
        by_hand = self.by_hand and exam.accession in self.wanted
        mine = self._zone_of(exam)
        return [
            zone.name(name)
            for name, room in self.rooms.items()
            if exam.need.suits(room) and (booked is None or booked.location == room.location)
            for zone in (ANYBODY, *sorted(z for z in self.zones[name] if z != ANYBODY))
            if by_hand or zone.lets_in(exam.need.claims, ahead=ahead) or zone.name(name) == mine
        ]

    def _due(self, exam: Standing, ready: int) -> int | None:
        if exam.span is None:
            return ready
        return self.minute(exam.due_at) if exam.due_at else None

    def _weight(self, exam: Standing) -> float:
        return {"stat": self.costs.stat_wait_minute, "urgent": self.costs.urgent_wait_minute}.get(
            exam.priority, self.costs.routine_wait_minute
        )

    def _booked(self, exam: Standing) -> Booked | None:
        if exam.span is None:
            return None
        if exam.told_time:
            minute = self.costs.outpatient_moved_minute
        elif exam.here:
            minute = self.costs.here_moved_minute
        else:
            minute = self.costs.inpatient_moved_minute
        return Booked(
            self._zone_of(exam),
            self.minute(exam.span.start),
            exam.technologist,
            per_minute=minute,
            per_room=self.costs.other_room,
        )

    def _placed(self, exam: Standing) -> Placed:
        assert exam.span is not None
        who = exam.technologist if self.department.technologists is not None else None
        return Placed(exam.accession, self._zone_of(exam), self.minute(exam.span.start), technologist=who)


def _covered(intervals: Iterable[Interval], first: int, last: int) -> bool:
    return any(a <= first and last <= b for a, b in intervals)


def _less(spans: Iterable[Interval], taken: Iterable[Interval], end: int) -> tuple[Interval, ...]:
    """What is left of stretches from minute 0 to `end` without what is taken of them."""
    left = [(max(0, a), min(b, end)) for a, b in spans if max(0, a) < min(b, end)]
    for first, last in taken:
        left = [
            piece for a, b in left for piece in ((a, min(b, first)), (max(a, last), b)) if piece[0] < piece[1]
        ]
    return tuple(sorted({*left}))


def _with_porters(
    exams: Sequence[Exam], placed: Sequence[Placed], problem: Problem, kept: Sequence[_KeptWay] = ()
) -> tuple[list[Exam], list[Placed], tuple[Porter, ...] | None]:
    """Porters for the plan in force, first come, first served; and what of their time those leave who keep their places.

    It was agreed without asking whether a porter is free: where none is, the exam stands as
    it is and the porters' page shows the lateness, as it does today.
    """
    free = {p.id: list(p.on) for p in problem.porters or ()}
    taken: dict[str, list[Interval]] = defaultdict(list)
    by_id = {e.id: e for e in exams}
    found = []
    ways = sorted(kept, key=lambda way: way.begins)
    for place in sorted(placed, key=lambda p: (p.start, p.exam)):
        while ways and ways[0].begins <= place.start:
            _serve(ways.pop(0), free, problem, taken)
        exam = by_id[place.exam]
        if exam.origin is None:
            found.append(place)
            continue
        length = 2 * problem.travel[exam.origin]
        ends = place.start + exam.minutes[place.room]
        latest = place.start - length
        if problem.porters is None:
            fetch: Job | None = Job(latest) if latest >= 0 else None
            back: Job | None = Job(ends)
        else:
            fetch = _first_free(free, latest - FETCH_EARLY_MINUTES, latest, length, latest_first=True)
            back = (
                _first_free(free, ends, ends + RETURN_LATE_MINUTES, length, latest_first=False)
                if fetch
                else None
            )
        if fetch is None or back is None:
            if fetch is not None and fetch.porter is not None:
                _give_back(free[fetch.porter], fetch.start, length)
            by_id[exam.id] = replace(exam, origin=None)
            found.append(place)
        else:
            found.append(replace(place, fetch=fetch, back=back))
    for way in ways:
        _serve(way, free, problem, taken)
    left = problem.porters and tuple(
        Porter(p.id, _less(p.on, taken[p.id], max((b for _, b in p.on), default=0))) for p in problem.porters
    )
    return [by_id[e.id] for e in exams], found, left


def _serve(
    way: _KeptWay, free: Mapping[str, list[Interval]], problem: Problem, taken: dict[str, list[Interval]]
) -> None:
    """Keep porters' time for somebody who keeps their place; where nobody is free then, the porters' page shows it."""
    length = 2 * problem.travel[way.ward]
    jobs = [_first_free(free, way.ends, way.ends + RETURN_LATE_MINUTES, length, latest_first=False)]
    if not way.fetched:
        latest = way.begins - length
        jobs.append(_first_free(free, latest - FETCH_EARLY_MINUTES, latest, length, latest_first=True))
    for job in jobs:
        if job is not None and job.porter is not None:
            taken[job.porter].append((job.start, job.start + length))


def _first_free(
    free: Mapping[str, list[Interval]], since: int, until: int, length: int, *, latest_first: bool
) -> Job | None:
    """A job that begins between two minutes, both counted, and is taken from the porter's free time."""
    best: tuple[int, str, Interval] | None = None
    for code, stretches in free.items():
        for a, b in stretches:
            begin, last = max(a, since, 0), min(b - length, until)
            if begin > last:
                continue
            at = last if latest_first else begin
            better = best is None or (at > best[0] if latest_first else at < best[0])
            if better:
                best = (at, code, (a, b))
    if best is None:
        return None
    at, code, (a, b) = best
    free[code].remove((a, b))
    free[code] += [piece for piece in ((a, at), (at + length, b)) if piece[0] < piece[1]]
    return Job(at, code)


def _give_back(stretches: list[Interval], start: int, length: int) -> None:
    before = next((s for s in stretches if s[1] == start), None)
    after = next((s for s in stretches if s[0] == start + length), None)
    for piece in (before, after):
        if piece:
            stretches.remove(piece)
    stretches.append((before[0] if before else start, after[1] if after else start + length))
