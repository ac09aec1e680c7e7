"""Today as the planner sees it: read here from what is booked, under way and wanted; written nowhere."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from django.db.backends.postgresql.psycopg_any import DateTimeTZRange
from django.db.models import Exists, OuterRef, Q

from xraydesk.access.models import Site
from xraydesk.imaging.models import StepExam
from xraydesk.imaging.states import StepState
from xraydesk.journey.places import OVERRUN_MINUTES, UNKNOWN_PROCEDURE_MINUTES, in_minutes
from xraydesk.journey.policy import policies_of
from xraydesk.orders.models import Exam
from xraydesk.orders.states import Priority, TriageState
from xraydesk.scheduling.engine.department import PORTABLE, Department, Need
from xraydesk.scheduling.engine.hours import hours_between
from xraydesk.scheduling.engine.place import Place
from xraydesk.scheduling.engine.problem import Placed
from xraydesk.scheduling.engine.spans import Span, merged, without
from xraydesk.scheduling.engine.under_way import PorterTimes, Standing, Told, tell_planner
from xraydesk.scheduling.models import Booking
from xraydesk.scheduling.queries import department_of, hours_from_json
from xraydesk.scheduling.rules import IN_HOUSE_CLASSES, claims_of, is_booked_ahead, is_prompt, wished_time
from xraydesk.scheduling.states import BookingState
from xraydesk.siteplan.plan import SitePlan
from xraydesk.siteplan.reading import from_json
from xraydesk.staff.models import Porter
from xraydesk.transport.models import TransportJob
from xraydesk.transport.states import JobKind, JobState

AHEAD = timedelta(hours=24)
"""The planner looks so far ahead."""

BEHIND = timedelta(hours=12)
"""What began so long ago and is not over is still seen."""

EXAMS_MAX = 3000
"""So many exams are told to the planner at once; no department has more in a day."""

UNKNOWN_WARD_MINUTES = 5
SLACK_MINUTES = 5
"""A proposal is read before it is accepted: what was to begin now may begin so many minutes ago."""


@dataclass(frozen=True)
class Event:
    """Something that happened and touches the plan. One of these, or none where only an exam is wanted.

    `room_down` is a room's code with the moment until which it is down (None: nobody knows).
    `room_back` is a room's code with the moment from which it can be used again. `gone` is a
    technologist's code. `porters_late_minutes` is how far behind all porters are. `longer` is
    the accession of an exam under way and how many minutes more it needs.
    """

    room_down: tuple[str, datetime | None] | None = None
    room_back: tuple[str, datetime] | None = None
    gone: str = ""
    porters_late_minutes: int = 0
    longer: tuple[str, int] | None = None

    @property
    def is_one(self) -> bool:
        """False where nothing happened."""
        return self != Event()


@dataclass(frozen=True)
class PlannedDay:
    """The planner's problem and plan with the way back to rooms, people and exams here."""

    told: Told
    zone: str
    start: datetime
    rooms: Mapping[str, int]
    technologists: Mapping[str, int]
    exams: Mapping[str, int]
    bookings: Mapping[str, int]
    stood: Mapping[str, tuple[str, datetime]] = field(default_factory=dict)
    """Room and start of each booked exam, as it is booked."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Names of rooms, technologists, porters and wards, as a coordinator says them."""
    patients: Mapping[str, str] = field(default_factory=dict)
    """The names of exams' patients, for the screen alone: what is kept of a proposal says accession numbers."""

    def place(self, placed: Placed) -> Place:
        """A place in the planner's terms as the department books it."""
        code, seat = self.told.seats[placed.room]
        exam = next(e for e in self.told.problem.exams if e.id == placed.exam)
        start = self.start + timedelta(minutes=placed.start)
        who = self.technologists[placed.technologist] if placed.technologist else None
        return Place(self.rooms[code], start, start + timedelta(minutes=exam.minutes[placed.room]), who, seat)


def later(placed: Placed, minutes: int) -> Placed:
    """The same place so many minutes later: as another reading of the day counts it."""
    return replace(
        placed,
        start=placed.start + minutes,
        fetch=replace(placed.fetch, start=placed.fetch.start + minutes) if placed.fetch else None,
        back=replace(placed.back, start=placed.back.start + minutes) if placed.back else None,
    )


def day_of(
    *,
    site: Site,
    at: datetime,
    wanted: tuple[str, ...] = (),
    event: Event | None = None,
    slack_minutes: int = 0,
    locations: Collection[int] = (),
    keep: Collection[str] = (),
    by_hand: bool = False,
) -> PlannedDay:
    """The next 24 hours of a site from `at`, for the planner.

    `wanted` are accessions that are to have a place, or a better one. With an `event` the day is as it
    will be after it, and exams that lost their place by it, or before, are wanted too. With `locations`
    (keys) only rooms there are planned, and who is booked elsewhere keeps their place, as do the exams
    of `keep` (accession numbers). `by_hand`: who is wanted may use time that is kept for others.
    """
    event = event or Event()
    start = at.replace(second=0, microsecond=0) - timedelta(minutes=slack_minutes)
    until = start + AHEAD
    policies = policies_of(site)
    department, _ = department_of(
        site=site, since=start, until=until, cleaning=timedelta(minutes=policies.cleaning_minutes), at=at
    )
    # The bookings are told one by one below; of the rooms only the number of seats is wanted here.
    department = replace(
        department,
        rooms=tuple(
            replace(r, busy=tuple(() for _ in r.busy))
            for r in department.rooms
            if not locations or r.location in locations
        ),
    )
    department = _after(_without_holds(department, site, at=at), event, at=at, until=until)
    plan = from_json(site.plan) if site.plan else None
    rows = _rows(site, start, until, wanted)
    ends = _under_way(site, at=at, stale_hours=policies.step_open_hours, event=event)
    travel = {w.code: w.travel_minutes for w in plan.wards} if plan else {}
    coming = set(
        TransportJob.objects.filter(
            site=site, kind=JobKind.FETCH, state__in=[JobState.ACCEPTED, JobState.PICKED_UP]
        ).values_list("exam_id", flat=True)
    )
    standing = [
        _standing(
            row,
            at=at,
            ends=ends,
            fetch_classes=policies.fetch_classes,
            travel=travel,
            coming=row["exam_id"] in coming,
            kept=row["accession"] in keep
            or (bool(locations) and row.get("location") not in (None, *locations)),
        )
        for row in rows
    ]
    told = tell_planner(
        department,
        standing,
        start=start,
        until=until,
        porters=_porters(site, at=at, until=until, late_minutes=event.porters_late_minutes),
        travel=travel,
        wanted=wanted,
        repairing=event.is_one,
        by_hand=by_hand,
    )
    people = department.technologists or ()
    return PlannedDay(
        told=told,
        zone=site.timezone,
        start=start,
        rooms={r.code: r.room_id for r in department.rooms},
        technologists={t.code: t.technologist_id for t in people},
        exams={row["accession"]: row["exam_id"] for row in rows},
        bookings={row["accession"]: row["booking_id"] for row in rows if row["booking_id"]},
        stood={row["accession"]: (row["room"], row["during"].lower) for row in rows if row["booking_id"]},
        names=_names(site, plan, department, told),
        patients={r["accession"]: r["patient__family"] for r in rows if r["patient__family"]},
    )


def _without_holds(department: Department, site: Site, *, at: datetime) -> Department:
    """The department without the places that are held for somebody: nobody else is planned there."""
    rooms: dict[int, list[Span]] = {}
    people: dict[int | None, list[Span]] = {}
    held = Booking.objects.filter(
        site=site, state=BookingState.HELD, held_until__gt=at, during__startswith__lt=at + AHEAD
    ).values_list("room_id", "technologist_id", "during")
    for room_id, technologist_id, during in held:
        rooms.setdefault(room_id, []).append(Span(during.lower, during.upper))
        people.setdefault(technologist_id, []).append(Span(during.lower, during.upper))
    if not rooms:
        return department
    return replace(
        department,
        rooms=tuple(replace(r, open=without(r.open, rooms.get(r.room_id, ()))) for r in department.rooms),
        technologists=None
        if department.technologists is None
        else tuple(
            replace(t, on=without(t.on, people.get(t.technologist_id, ()))) for t in department.technologists
        ),
    )


def _names(site: Site, plan: SitePlan | None, department: Department, told: Told) -> dict[str, str]:
    found = {t.code: t.name for t in department.technologists or ()}
    found |= dict(Porter.objects.filter(site=site, retired=False).values_list("code", "name"))
    for seat, (code, number) in told.seats.items():
        found[seat] = code if number == 0 else f"{code} (place {number + 1})"
    found |= {w.code: w.name for w in plan.wards} if plan else {}
    return found


# -- what happened ---------------------------------------------------------------------------------


def _after(department: Department, event: Event, *, at: datetime, until: datetime) -> Department:
    """The department as it is once an event is known."""
    rooms = department.rooms
    if event.room_down:
        code, back = event.room_down
        down = Span(at, back or until)
        rooms = tuple(replace(r, down=down) if r.code == code else r for r in rooms)
    if event.room_back:
        code, moment = event.room_back
        down_until = Span(at, moment) if moment > at else None
        rooms = tuple(replace(r, down=down_until) if r.code == code else r for r in rooms)
    people = department.technologists
    if event.gone and people is not None:
        gone = Span(at.replace(second=0, microsecond=0), until)
        people = tuple(replace(t, away=gone) if t.code == event.gone else t for t in people)
    return replace(department, rooms=rooms, technologists=people)


# -- exams -----------------------------------------------------------------------------------------

_FIELDS = (
    "accession",
    "patient_id",
    "priority",
    "triage",
    "due_at",
    "requested_at",
    "patient__family",
    "order__patient_class",
    "order__ward",
    "procedure__minutes",
    "procedure__room_kinds",
    "procedure__skills",
)


def _rows(site: Site, start: datetime, until: datetime, wanted: tuple[str, ...]) -> list[dict[str, Any]]:
    under_way = StepExam.objects.filter(exam=OuterRef("exam"), step__state=StepState.IN_PROGRESS)
    booked = (
        Booking.objects.filter(
            site=site,
            state=BookingState.BOOKED,
            during__overlap=DateTimeTZRange(start - BEHIND, until),
        )
        .filter(Q(during__endswith__gt=start) | Exists(under_way))
        .order_by("id")
        .values(
            "id", "exam_id", "state", "during", "seat", "arrived_at", "room__code", "room__location_id",
            "technologist__code",
            *(f"exam__{name}" for name in _FIELDS),
        )[:EXAMS_MAX]
    )  # fmt: skip
    found = [
        {name: row[f"exam__{name}"] for name in _FIELDS}
        | {
            "exam_id": row["exam_id"],
            "booking_id": row["id"],
            "state": row["state"],
            "during": row["during"],
            "seat": row["seat"],
            "arrived_at": row["arrived_at"],
            "room": row["room__code"],
            "location": row["room__location_id"],
            "technologist": row["technologist__code"],
        }
        for row in booked
    ]
    for exam in Exam.objects.filter(site=site, accession__in=wanted, triage=TriageState.ACCEPTED).values(
        "id", *_FIELDS
    ):
        if not any(row["exam_id"] == exam["id"] for row in found):
            found.append(
                exam | {"exam_id": exam["id"], "booking_id": None, "during": None, "arrived_at": None}
            )
    return found


def _under_way(site: Site, *, at: datetime, stale_hours: int, event: Event) -> dict[int, datetime]:
    """Exams that have begun, and when each is expected to be over."""
    rows = StepExam.objects.filter(
        step__site=site,
        step__state=StepState.IN_PROGRESS,
        step__started_at__gt=at - timedelta(hours=stale_hours),
        voided=False,
    ).values_list("exam_id", "exam__accession", "step__started_at", "exam__procedure__minutes")
    found: dict[int, datetime] = {}
    for exam_id, accession, started_at, minutes in rows:
        end = max(
            started_at + timedelta(minutes=minutes or UNKNOWN_PROCEDURE_MINUTES),
            at + timedelta(minutes=OVERRUN_MINUTES),
        )
        if event.longer and event.longer[0] == accession:
            end = at + timedelta(minutes=event.longer[1])
        found[exam_id] = max(end, found.get(exam_id, end))
    return found


def _standing(
    row: Mapping[str, Any],
    *,
    at: datetime,
    ends: Mapping[int, datetime],
    fetch_classes: tuple[str, ...],
    travel: dict[str, int],
    coming: bool,
    kept: bool,
) -> Standing:
    """One exam as it stands. A ward that the site does not name is added to `travel` with the usual way.

    `kept`: where it has a place it is not to move.
    """
    during, here = row["during"], row["arrived_at"] is not None
    patient_class = row["order__patient_class"]
    priority = Priority(row["priority"])
    kinds = frozenset(row["procedure__room_kinds"] or ())
    minutes = row["procedure__minutes"] or UNKNOWN_PROCEDURE_MINUTES
    ward = row["order__ward"] or None
    fetched = bool(ward) and patient_class in fetch_classes and not here and PORTABLE not in kinds
    if fetched and ward:
        travel.setdefault(ward, UNKNOWN_WARD_MINUTES)
    return Standing(
        accession=row["accession"],
        patient=str(row["patient_id"]),
        need=Need(
            now=at,
            until=at + AHEAD,
            minutes=minutes,
            room_kinds=kinds,
            skills=frozenset(row["procedure__skills"] or ()),
            wished=wished_time(
                priority, patient_class=patient_class, requested_at=in_minutes(row["requested_at"])
            ),
            prompt=is_prompt(priority),
            claims=claims_of(priority, patient_class),
            ahead=is_booked_ahead(priority, patient_class),
        ),
        priority=str(priority),
        due_at=row["due_at"] if is_prompt(priority) else None,
        span=Span(during.lower, during.upper) if during else None,
        room=row.get("room") or "",
        seat=row.get("seat") or 0,
        technologist=row.get("technologist"),
        until=ends.get(row["exam_id"]),
        pinned=kept or row["triage"] != TriageState.ACCEPTED,
        here=here,
        told_time=not here and patient_class not in IN_HOUSE_CLASSES,
        ward=ward if fetched else None,
        coming=coming,
    )


# -- porters ---------------------------------------------------------------------------------------


def _porters(
    site: Site, *, at: datetime, until: datetime, late_minutes: int
) -> tuple[PorterTimes, ...] | None:
    """Who brings patients and when they are free; None where the site names no porters."""
    people = list(Porter.objects.filter(site=site, retired=False).order_by("code"))
    if not people:
        return None
    since = at + timedelta(minutes=late_minutes)
    busy: dict[int, list[Span]] = {}
    for porter_id, kind, due_at, minutes in TransportJob.objects.filter(
        site=site, state__in=[JobState.ACCEPTED, JobState.PICKED_UP], porter__isnull=False
    ).values_list("porter_id", "kind", "due_at", "minutes"):
        back = timedelta(minutes=minutes if kind == JobKind.RETURN else 0)
        ends = max(due_at, at + timedelta(minutes=minutes)) + back
        busy.setdefault(porter_id, []).append(Span(at, ends))
    return tuple(
        PorterTimes(
            code=p.code,
            on=hours_between(
                hours_from_json(p.shifts), zone=site.timezone, since=max(since, at), until=until
            ),
            busy=merged(busy.get(p.pk, ())),
        )
        for p in people
    )
