"""One invented day of a department: who was ordered what, where it was done, and when; pure, by seed.

Places are the scheduling engine's own proposals, one after the other, as they would have been at the time.
Delays are those that departments have measured (Emerg Radiol 2005; BMC Health Serv Res 2017;17:625).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from random import Random

from xraydesk.orders.states import Priority
from xraydesk.scheduling.engine.department import Department, Need, Work
from xraydesk.scheduling.engine.place import Place, Proposal
from xraydesk.scheduling.engine.propose import propose
from xraydesk.scheduling.engine.spans import Span
from xraydesk.siteplan.invented import PROVIDERS, Person, invent, reason_for
from xraydesk.siteplan.plan import ProcedurePlan, SitePlan

ORDERS_AN_HOUR = 27
ORDERS_A_NIGHT_HOUR = 2
FIRST_HOUR, LAST_HOUR = 7, 18
NO_SHOW_SHARE = 0.03
CANCELLED_SHARE = 0.02
PRELIMINARY_SHARE = 0.15
WISH_MINUTES = (20, 240)
FIRST_OF_GAP, NUMBERS_A_MINUTE = 3000, 4


def minutes(count: float) -> timedelta:
    """So many minutes."""
    return timedelta(minutes=count)


@dataclass(frozen=True)
class Invented:
    """One exam of an invented day. Moments are None where it did not come to that by the end of what is told."""

    person: Person
    procedure: ProcedurePlan
    priority: Priority
    side: str
    reason: str
    provider: tuple[str, str, str]
    received_at: datetime
    wished: datetime | None
    proposal: Proposal
    arrived_at: datetime | None = None
    begun_at: datetime | None = None
    ended_at: datetime | None = None
    preliminary_at: datetime | None = None
    read_at: datetime | None = None
    no_show_at: datetime | None = None
    cancelled_at: datetime | None = None
    exam_id: int | None = None
    """The exam that stands on the board already, where only what becomes of it is invented."""

    @property
    def place(self) -> Place:
        """Where and when it was booked."""
        return self.proposal.place


def invent_day(
    department: Department,
    plan: SitePlan,
    *,
    first: datetime,
    after: datetime,
    until: datetime,
    random: Random,
    since: datetime | None = None,
    waiting: Sequence[Invented] = (),
) -> list[Invented]:
    """The exams of one local day as far as they had come at `until`, in order of their orders.

    `department` is empty, or has what is booked already. An exam that would be under way at `until` has not
    begun yet: whoever is in the room then belongs to the living. `since` leaves out what came before it, `waiting`
    are exams that were booked before then: what became of them is told first, as they come first to their rooms.
    """
    numbers = iter(range(_first_number(first, since), 10_000))
    ready = {one.place.room_id: since for one in waiting} if since else {}
    found: list[Invented] = list(waiting)
    for received in _orders(first, after, random):
        if received >= until:
            break
        if since and received < since:
            continue
        exam = _order(plan, received, f"{first:%y%j}{next(numbers):04d}", random)
        booked = _book(department, exam, after)
        if booked is None:
            continue
        department, exam = booked
        found.append(exam)
    # Rooms are used in the order of the plan, whatever the order of the orders.
    found.sort(key=lambda one: (one.place.start, one.received_at))
    told = [_happened(exam, until, ready, random, since=since) for exam in found]
    return sorted(told, key=lambda one: one.received_at)


def _first_number(first: datetime, since: datetime | None) -> int:
    """Numbers of a day that was gone on with do not meet those that it began with, nor those of another time."""
    return FIRST_OF_GAP + NUMBERS_A_MINUTE * int((since - first) / timedelta(minutes=1)) if since else 1


def _orders(first: datetime, after: datetime, random: Random) -> Iterator[datetime]:
    """When orders come: many by day, few by night."""
    hours = int((after - first) / timedelta(hours=1))
    for hour in range(hours):
        by_day = FIRST_HOUR <= hour < LAST_HOUR
        count = ORDERS_AN_HOUR if by_day else ORDERS_A_NIGHT_HOUR
        moments = sorted(random.uniform(0, 60) for _ in range(random.randint(count - 2, count + 2)))
        yield from (first + timedelta(hours=hour) + minutes(moment) for moment in moments)


def _order(plan: SitePlan, received: datetime, number: str, random: Random) -> Invented:
    person = invent(random, "7" + number, received.date())
    night = random.random() < 0.25
    kind = random.choices("OEI", weights=(50, 25, 25))[0]
    wards = [ward for ward in plan.wards if ward.emergency is (kind == "E")]
    if kind != "O" and wards:
        person.patient_class, person.ward, person.bed = (
            kind,
            random.choice(wards).code,
            str(random.randint(1, 24)),
        )
    portable = kind == "I" and night
    procedure = random.choice(_offered(plan, portable=portable))
    priority = Priority.ROUTINE
    if kind == "E":
        priority = random.choice((Priority.STAT, Priority.STAT, Priority.URGENT))
    elif kind == "I" and random.random() < 0.3:
        priority = Priority.URGENT
    wished = (
        received + minutes(random.uniform(*WISH_MINUTES)) if kind == "O" and random.random() < 0.6 else None
    )
    return Invented(
        person=person,
        procedure=procedure,
        priority=priority,
        side=random.choice([side for side in procedure.laterality if side != "B"] or [""]),
        reason=reason_for(random, procedure.body_part or procedure.text),
        provider=random.choice(PROVIDERS),
        received_at=received,
        wished=wished.replace(second=0, microsecond=0) if wished else None,
        proposal=Proposal(Place(0, received, received)),
    )


def _offered(plan: SitePlan, *, portable: bool) -> Sequence[ProcedurePlan]:
    """What can be ordered without a question to anybody."""
    plain = [
        p
        for p in plan.procedures
        if not p.pregnancy_check and not p.sex and p.age_min_years is None and p.age_max_years is None
    ]
    fitting = [p for p in plain if (p.room_kinds == ("portable",)) is portable]
    return fitting or plain or plan.procedures


def _book(department: Department, exam: Invented, after: datetime) -> tuple[Department, Invented] | None:
    """The place that the engine proposes, taken; None where the day has none any more."""
    need = Need(
        now=exam.received_at + minutes(1),
        until=after,
        minutes=exam.procedure.minutes,
        room_kinds=frozenset(exam.procedure.room_kinds),
        skills=frozenset(exam.procedure.skills),
        wished=exam.wished,
        prompt=exam.priority is Priority.STAT,
        emergency=exam.person.patient_class == "E",
    )
    found = propose(department, need)
    if not found or found[0].place.end > after:
        return None
    return _taken(department, found[0].place), replace(exam, proposal=found[0])


def _taken(department: Department, place: Place) -> Department:
    """The department with one place less."""
    span = Span(place.start, place.end)
    rooms = tuple(
        replace(
            room, busy=tuple((*seat, span) if n == place.seat else seat for n, seat in enumerate(room.busy))
        )
        if room.room_id == place.room_id
        else room
        for room in department.rooms
    )
    people = department.technologists
    if people is not None:
        people = tuple(
            replace(one, work=(*one.work, Work(span, place.room_id)))
            if one.technologist_id == place.technologist_id
            else one
            for one in people
        )
    return replace(department, rooms=rooms, technologists=people)


def _happened(
    exam: Invented,
    until: datetime,
    ready: dict[int, datetime],
    random: Random,
    *,
    since: datetime | None,
) -> Invented:
    """What became of a booked exam by `until`. `ready` is when each room was free again."""
    start = exam.place.start
    fate = random.random()
    if exam.person.patient_class == "O" and fate < NO_SHOW_SHARE and exam.arrived_at is None:
        return replace(exam, no_show_at=_by(start + minutes(25), until))
    if fate > 1 - CANCELLED_SHARE and exam.exam_id is None:
        return replace(exam, cancelled_at=_by(exam.received_at + (start - exam.received_at) / 2, until))
    early = {"O": (-18, 8), "E": (-12, 4), "I": (-10, 8)}[exam.person.patient_class or "O"]
    came = max(exam.received_at + minutes(1.5), start + minutes(random.uniform(*early)))
    arrived = exam.arrived_at or max(came, since or came)
    begun = max(
        arrived + minutes(random.uniform(0.5, 6)), start - minutes(2), ready.get(exam.place.room_id, start)
    )
    ended = begun + minutes(exam.procedure.minutes * random.uniform(0.55, 1.2))
    if ended >= until:
        return replace(exam, arrived_at=_by(arrived, until))
    ready[exam.place.room_id] = ended
    read = ended + minutes(random.triangular(6, 110, 22))
    preliminary = ended + (read - ended) / 3 if random.random() < PRELIMINARY_SHARE else None
    return replace(
        exam,
        arrived_at=arrived,
        begun_at=begun,
        ended_at=ended,
        preliminary_at=_by(preliminary, until) if preliminary else None,
        read_at=_by(read, until),
    )


def _by(moment: datetime, until: datetime) -> datetime | None:
    """A moment that is told of; None where it lies ahead."""
    return moment if moment < until else None


def seed_of(seed: object, day: date) -> Random:
    """The chance of one day: the same for the same demonstration."""
    return Random(f"{seed} {day.isoformat()}")
