"""One day as it comes to a department, whoever runs it: who is ordered what, who is late or absent, what breaks.

Everything left to chance is drawn here, before any policy decides anything, each source from a stream
of its own: so all policies meet the same patients, the same exam times and the same breakdowns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain, islice

from xraydesk.scheduling.engine.firstcome import first_come
from xraydesk.scheduling.engine.problem import Exam, Problem
from xraydesk.simulation.chance import Distribution, Streams
from xraydesk.simulation.department import MIDNIGHT, DepartmentDay, department_day, minutes_in
from xraydesk.simulation.scenario import HOURS, Kind, Scenario
from xraydesk.siteplan.hours import WEEKDAYS
from xraydesk.siteplan.plan import ProcedurePlan, SitePlan

APPOINTMENT_GRID_MINUTES = 5
PATIENTS_MAX = 5000
"""A day has no more."""

EPOCH = datetime(2026, 1, 5, tzinfo=UTC)
"""A Monday that stands for the first day: problems need a date, and no more of it is used."""


@dataclass(frozen=True)
class Patient:
    """One patient with one exam, and what fate has in store. Minutes from midnight.

    `ordered` is when the desk hears of it; None for an appointment, which it has known since before. `takes` is how
    long the exam really takes, `minutes` what is planned. `told` is the time of an appointment.
    """

    id: str
    kind: Kind
    priority: str
    procedure: str
    minutes: int
    takes: int
    skills: frozenset[str] = frozenset()
    ordered: int | None = None
    told: int | None = None
    room: str = ""
    """Where an appointment is booked, and with whom."""
    technologist: str | None = None
    ward: str = ""
    fetched: bool = False
    bedside: bool = False
    after: int = 0
    """From the order until they are here by themselves, or brought; an appointment: how late. Minutes."""
    absent: bool = False
    patience: int | None = None
    way_percent: tuple[float, float] = (100.0, 100.0)
    """How long the porters' ways really take, there and back, of the planned minutes."""


@dataclass(frozen=True)
class Breakdown:
    """A room that cannot be used from one minute on, for so long; `told` is what the desk expects, and is told at first."""

    room: str
    at: int
    minutes: int
    told: int


@dataclass(frozen=True)
class World:
    """One day as it comes. `day` counts from 0, `weekday` from Monday."""

    day: int
    weekday: int
    patients: tuple[Patient, ...]
    breakdowns: tuple[Breakdown, ...] = ()


def world_of(site: SitePlan, scenario: Scenario, *, seed: int, day: int) -> World:
    """Day number `day` of a scenario: the same for the same seed, whatever the policy."""
    weekday = day % len(WEEKDAYS)
    usual = department_day(site, weekday)
    drawn = _Day(site, scenario, usual, Streams(seed, day), WEEKDAYS[weekday])
    patients = (*drawn.appointments(), *drawn.orders())
    return World(day, weekday, patients[:PATIENTS_MAX], tuple(drawn.breakdowns()))


class _Day:
    def __init__(
        self, site: SitePlan, scenario: Scenario, usual: DepartmentDay, streams: Streams, weekday: str
    ) -> None:
        self.site, self.scenario, self.usual = site, scenario, usual
        self.streams, self.weekday = streams, weekday
        self.wards = {
            emergency: [w.code for w in site.wards if w.emergency is emergency] for emergency in (True, False)
        }
        asked = [p for p in site.procedures if scenario.procedures.get(p.code, 1)]
        self.bedside = [p for p in asked if usual.portable.issuperset(usual.suited[p.code, False])]
        """Exams for which the machine goes to the patient."""
        self.others = [p for p in asked if p not in self.bedside] or asked

    # -- who comes -----------------------------------------------------------------------------

    def orders(self) -> Iterator[Patient]:
        """Orders through the day, in order of time, surges among them."""
        coming = sorted((*self._usual_orders(), *self._surge()), key=lambda pair: pair[0])
        for number, (at, kind) in enumerate(coming, 1):
            yield self._patient(f"{kind[0].upper()}{number:04d}", kind, at)

    def _usual_orders(self) -> Iterator[tuple[int, Kind]]:
        """Orders that come by themselves: in each hour at its rate, independently of each other (a Poisson process)."""
        kinds = [kind for kind, share in self.scenario.shares.items() if share]
        weights = [self.scenario.shares[kind] for kind in kinds]
        when, which = self.streams.of("orders"), self.streams.of("kinds")
        for hour in range(HOURS):
            rate = self.scenario.rate(self.weekday, hour)
            at = when.expovariate(rate) if rate else 1.0
            while at < 1.0:
                yield int((hour + at) * 60), which.choices(kinds, weights)[0]
                at += when.expovariate(rate)

    def _surge(self) -> Iterator[tuple[int, Kind]]:
        surge, random = self.scenario.surge, self.streams.of("surges")
        if random.random() * 100 >= surge.percent:
            return
        begin = random.uniform(surge.hours[0], surge.hours[1] + 1) * 60
        for _ in range(round(surge.patients.draw(random))):
            at = int(begin + random.random() * surge.within_minutes)
            if at < MIDNIGHT:
                yield at, Kind.EMERGENCY

    def appointments(self) -> Iterator[Patient]:
        """Appointments, with their places: each in the first free place from the time wished, as at any desk."""
        when = self.streams.of("appointments")
        wished = [
            hour * 60 + int(when.random() * 60) // APPOINTMENT_GRID_MINUTES * APPOINTMENT_GRID_MINUTES
            for hour in range(HOURS)
            for _ in range(self.scenario.booked(self.weekday, hour))
        ]
        asked = [self._patient(f"B{n:04d}", Kind.BOOKED, at) for n, at in enumerate(sorted(wished), 1)]
        places = {p.exam: p for p in first_come(self._book(asked)).placed}
        for patient in asked:
            if patient.id in places:
                place = places[patient.id]
                yield replace(
                    patient, ordered=None, told=place.start, room=place.room, technologist=place.technologist
                )

    def _book(self, asked: list[Patient]) -> Problem:
        usual = self.usual
        exams = tuple(
            Exam(
                id=p.id,
                patient=p.id,
                minutes=dict.fromkeys(usual.suited[p.procedure, False], p.minutes),
                ready=p.ordered or 0,
                cleaning=usual.cleaning,
                skills=p.skills,
            )
            for p in asked
        )
        return Problem(EPOCH, exams, usual.rooms, usual.technologists)

    def _patient(self, name: str, kind: Kind, at: int) -> Patient:
        """One patient. Each source of chance is asked once for each patient of a kind, needed or not."""
        scenario = self.scenario

        def share(source: str) -> float:
            return self.streams.of(f"{source} {kind}").random() * 100

        urgency, bedside, fetched = share("urgency"), share("bedside"), share("fetched")
        absent, bed = share("absent"), share("ward")
        patience = self._minutes("patience", kind, scenario.patience)
        bedside_exam = kind is Kind.INPATIENT and bool(self.bedside) and bedside < scenario.bedside_percent
        procedure = self._procedure(kind, bedside_exam)
        real = scenario.exam_percent_of.get(procedure.code, scenario.exam_percent)
        takes = procedure.minutes * real.draw(self.streams.of(f"exam times {kind}")) / 100
        ways = self.streams.of(f"ways {kind}")
        wards = self.wards[kind is Kind.EMERGENCY] if kind in (Kind.EMERGENCY, Kind.INPATIENT) else []
        ward = wards[int(bed / 100 * len(wards))] if wards else ""
        return Patient(
            id=name,
            kind=kind,
            priority=self._priority(kind, urgency),
            procedure=procedure.code,
            minutes=procedure.minutes,
            takes=max(1, round(takes)),
            skills=frozenset(procedure.skills),
            ordered=at,
            ward=ward,
            fetched=kind is Kind.INPATIENT
            and not bedside_exam
            and ward != ""
            and fetched < scenario.fetched_percent,
            bedside=bedside_exam,
            after=self._after(kind, bedside_exam, ward),
            absent=kind is Kind.BOOKED and absent < scenario.absent_percent,
            patience=patience if kind in (Kind.BOOKED, Kind.WALK_IN) else None,
            way_percent=(scenario.way_percent.draw(ways), scenario.way_percent.draw(ways)),
        )

    def _minutes(self, source: str, kind: Kind, what: Distribution) -> int:
        return round(what.draw(self.streams.of(f"{source} {kind}")))

    def _priority(self, kind: Kind, share: float) -> str:
        if kind is Kind.EMERGENCY:
            return "stat" if share < self.scenario.stat_percent else "urgent"
        if kind is Kind.INPATIENT and share < self.scenario.urgent_percent:
            return "urgent"
        return "routine"

    def _procedure(self, kind: Kind, bedside: bool) -> ProcedurePlan:
        offered = self.bedside if bedside else self.others
        weights = [self.scenario.procedures.get(p.code, 1) for p in offered]
        return self.streams.of(f"procedures {kind}").choices(offered, weights)[0]

    def _after(self, kind: Kind, bedside: bool, ward: str) -> int:
        """Minutes from the order until somebody who is not fetched is here; how late somebody with an appointment is."""
        match kind:
            case Kind.BOOKED:
                return self._minutes("late", kind, self.scenario.late)
            case Kind.WALK_IN:
                return self._minutes("coming", kind, self.scenario.walk_in_after)
            case Kind.EMERGENCY:
                return self.usual.travel.get(ward, 0)
            case _:
                brought = self._minutes("coming", kind, self.scenario.brought)
                return 0 if bedside else self.usual.travel.get(ward, 0) + brought

    # -- what breaks ---------------------------------------------------------------------------

    def breakdowns(self) -> Iterator[Breakdown]:
        """Rooms that break down, at any minute that they are open, once a day at most."""
        for room in self.usual.rooms:
            random = self.streams.of(f"breakdown {room.id}")
            broken, at = random.random() * 100 < self.scenario.breakdown_percent, random.random()
            minutes = max(1, round(self.scenario.breakdown_minutes.draw(random)))
            # What a mechanic says at first is as good a guess as any other breakdown.
            told = max(1, round(self.scenario.breakdown_minutes.draw(random)))
            if broken and room.open:
                yield Breakdown(room.id, _nth(room.open, int(at * minutes_in(room.open))), minutes, told)


def _nth(spans: tuple[tuple[int, int], ...], number: int) -> int:
    """The minute that is so many minutes into some stretches."""
    return next(islice(chain.from_iterable(range(a, b) for a, b in spans), number, None))
