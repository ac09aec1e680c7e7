"""The department at one minute, told to the planner: a planning problem, and the plan in force.

What is under way is simply not there for others so long, as at the desk itself; who waits, costs; who was
told a time costs more where it changes. The prices are the desk's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import replace

from xraydesk.scheduling.engine.problem import (
    Booked,
    Exam,
    Interval,
    Placed,
    Plan,
    Porter,
    Problem,
    Room,
    Technologist,
)
from xraydesk.scheduling.engine.under_way import Costs
from xraydesk.simulation.department import MIDNIGHT, DepartmentDay, less
from xraydesk.simulation.floor import Case, Floor, State
from xraydesk.simulation.scenario import Kind
from xraydesk.simulation.world import EPOCH

AHEAD_MINUTES = 240
"""The desk looks so far ahead: what lies later keeps its place whatever happens now."""

UNMOVED = 10_000.0
"""What a minute costs an outpatient whose time is not to be changed; and the weight of leaving them out."""

RANK = {"stat": 0, "urgent": 1, "routine": 2}


def in_line(floor: Floor, *, by_priority: bool, overtime: bool = False) -> Problem:
    """The problem as a queue: exams in the order in which they are there, or by priority first.

    Whoever was told a time and is not here yet is there then.
    """

    def turn(case: Case) -> tuple[int, int, str]:
        return RANK[case.patient.priority] if by_priority else 0, case.since, case.id

    told = _Teller(floor, overtime=overtime)
    return told.problem([told.queued(case) for case in sorted(told.known, key=turn)])


def under_way(
    floor: Floor, *, costs: Costs, unmoved: Set[str] = frozenset(), overtime: bool = False
) -> tuple[Problem, Plan]:
    """The problem with what everybody minds, and the plan in force.

    Outpatients who are `unmoved` keep the time that they were told. With `overtime` people stay on as
    long as they do at the most.
    """
    told = _Teller(floor, overtime=overtime)
    exams = [told.exam(case, costs, unmoved=case.id in unmoved) for case in told.known]
    problem = replace(told.problem(exams), unplanned_cost=costs.left_out)
    placed = tuple(_in_force(c, c.place) for c in told.known if c.place is not None)
    return problem, Plan(placed, tuple(c.id for c in told.known if c.place is None))


def _in_force(case: Case, place: Placed) -> Placed:
    """A place as it is now: who is here, or on the way, is not fetched again."""
    return place if _origin(case) else replace(place, fetch=None, back=None)


def _origin(case: Case) -> str | None:
    """Where a porter is to fetch somebody from; None for who comes alone, or is here."""
    return case.patient.ward if case.patient.fetched and case.state is State.COMING else None


class _Teller:
    def __init__(self, floor: Floor, *, overtime: bool) -> None:
        self.floor = floor
        self.department: DepartmentDay = floor.overtime if overtime else floor.department
        self.until = min(floor.now + AHEAD_MINUTES, MIDNIGHT)
        self.known: list[Case] = []
        self.kept: list[Case] = []
        for case in floor.waiting():
            self._sort(case)
        self.open = {
            r.id: self._left(r.open, (*floor.room_taken(r.id), *self._kept(room=r.id)))
            for r in self.department.rooms
        }
        busy = floor.busy_until()
        self.on = {
            t.id: self._left(t.on, ((0, busy.get(t.id, 0)), *self._kept(technologist=t.id)))
            for t in self.department.technologists or ()
        }

    def _sort(self, case: Case) -> None:
        """Who is planned now: everybody who waits, but for those late for their time, and those whose time is far off."""
        if case.comes_by_appointment and case.told is not None:
            if case.told < self.floor.now or case.told >= self.until:
                return
            if case.told + case.patient.minutes > self.until:
                self.kept.append(case)
                return
        self.known.append(case)

    def _kept(self, *, room: str = "", technologist: str = "") -> Iterable[Interval]:
        """Places over the edge of the time looked at, which are not to be given away."""
        for case in self.kept:
            place = case.place
            if place is not None and (place.room == room or place.technologist == technologist):
                yield place.start, MIDNIGHT

    def _left(self, spans: Sequence[Interval], taken: Iterable[Interval]) -> tuple[Interval, ...]:
        """What is left of stretches in the time looked at."""
        return less(spans, ((0, self.floor.now), *taken, (self.until, MIDNIGHT)))

    def problem(self, exams: Sequence[Exam]) -> Problem:
        """The rooms and people that are left, and these exams."""
        department = self.department
        free = self.floor.porter_free(department)
        return Problem(
            start=EPOCH,
            exams=tuple(exams),
            rooms=tuple(Room(r.id, self.open[r.id]) for r in department.rooms),
            technologists=None
            if department.technologists is None
            else tuple(Technologist(t.id, self.on[t.id], t.skills) for t in department.technologists),
            porters=None
            if department.porters is None
            else tuple(Porter(p.id, self._left(free[p.id], ())) for p in department.porters),
            travel=department.travel,
            now=self.floor.now,
        )

    # -- exams ---------------------------------------------------------------------------------

    def queued(self, case: Case) -> Exam:
        """An exam in a line: nothing costs anything, the first free place is taken."""
        booked = None
        if case.comes_by_appointment and case.told is not None:
            booked = Booked(case.patient.room, case.told)
        return self._exam(case, due=None, weight=1.0, booked=booked)

    def exam(self, case: Case, costs: Costs, *, unmoved: bool) -> Exam:
        """An exam with what its patient minds."""
        if not case.comes_by_appointment:
            return self._exam(case, due=case.since, weight=_weight(case, costs), booked=None)
        booked = _booked(case, costs, unmoved=unmoved)
        return self._exam(case, due=None, weight=UNMOVED if unmoved else _weight(case, costs), booked=booked)

    def _exam(self, case: Case, *, due: int | None, weight: float, booked: Booked | None) -> Exam:
        patient, now = case.patient, self.floor.now
        ready = now if case.state is State.HERE else max(now, case.expected)
        if booked is not None:
            # Nobody is called to come sooner than they were told.
            ready = max(ready, booked.start)
        return Exam(
            id=case.id,
            patient=case.id,
            minutes=dict.fromkeys(self._rooms(case), patient.minutes),
            priority=patient.priority,
            ready=ready,
            due=due,
            weight=weight,
            cleaning=self.department.cleaning,
            skills=patient.skills,
            origin=_origin(case),
            booked=booked,
        )

    def _rooms(self, case: Case) -> tuple[str, ...]:
        """Rooms that can do it; for somebody with an appointment, those of its building."""
        department, patient = self.department, case.patient
        rooms = department.suited[patient.procedure, patient.kind is Kind.EMERGENCY]
        if patient.room:
            here = department.location[patient.room]
            rooms = tuple(r for r in rooms if department.location[r] == here)
        return rooms


def _booked(case: Case, costs: Costs, *, unmoved: bool) -> Booked:
    place = case.place
    minute = UNMOVED if unmoved else costs.outpatient_moved_minute
    return Booked(
        place.room if place else case.patient.room,
        case.told or 0,
        place.technologist if place else None,
        minute,
        costs.other_room,
    )


def _weight(case: Case, costs: Costs) -> float:
    weight = {"stat": costs.stat_wait_minute, "urgent": costs.urgent_wait_minute}.get(
        case.patient.priority, costs.routine_wait_minute
    )
    in_corridor = case.state is State.HERE and not case.patient.bedside
    return weight + costs.here_moved_minute if in_corridor else weight
