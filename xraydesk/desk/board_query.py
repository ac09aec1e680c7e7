"""What the board shows of one day, read in a fixed number of queries whatever the number of exams."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from django.db.backends.postgresql.psycopg_any import DateTimeTZRange
from django.db.models import Q

from xraydesk.access.models import Site
from xraydesk.desk.board_layout import (
    DAY_FIRST_HOUR,
    DAY_LAST_HOUR,
    Card,
    HeldPlace,
    load_percent,
    most_urgent_first,
)
from xraydesk.desk.words import how, origin, procedure_words
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.imaging.models import Image, StepExam
from xraydesk.imaging.states import ImageState, StepState, deciding_step
from xraydesk.journey.stage import Stage, stage_of
from xraydesk.lib import clock
from xraydesk.orders.models import Exam
from xraydesk.orders.states import Priority, TriageState
from xraydesk.patients.models import Visit
from xraydesk.patients.rules import Person, look_alikes
from xraydesk.results.states import READ_STATES, ReportState
from xraydesk.rooms.models import Room
from xraydesk.scheduling.engine.department import PORTABLE, Department, RoomTimes
from xraydesk.scheduling.engine.spans import Span
from xraydesk.scheduling.engine.words import whom_words
from xraydesk.scheduling.models import Booking
from xraydesk.scheduling.queries import department_of
from xraydesk.scheduling.states import LIVE, BookingState
from xraydesk.transport.models import TransportJob
from xraydesk.transport.states import JobKind, JobState

EXAMS_MAX = 2000
"""Exams of one day that are drawn; no department has more."""

TRAY_MAX = 60
"""Exams without a place that are shown; the rest are counted and listed on the day list."""

TRAY_READ_MAX = 1000

IMAGES_IN = (ImageState.MATCHED, ImageState.SENT, ImageState.HELD)


@dataclass(frozen=True)
class _Day:
    """The local day that is read, and the moment as of which."""

    first: datetime
    after: datetime
    at: datetime


@dataclass(frozen=True)
class Lane:
    """One room on the board with its exams. `opened` and `down` are stretches of the day."""

    code: str
    name: str
    kind: str
    location: str
    opened: tuple[Span, ...]
    down: Span | None
    down_reason: str
    technologist: str
    load: int | None
    to_place_again: int
    cards: tuple[Card, ...]
    kept: tuple[tuple[Span, str], ...] = ()
    """What is still kept for some, each with for whom; what was released is not among it."""
    held: tuple[HeldPlace, ...] = ()
    """Places that somebody is making up their mind about."""


@dataclass(frozen=True)
class Board:
    """One day of one site: lanes in the department's order, and the exams without a place."""

    day: date
    first: datetime
    after: datetime
    lanes: tuple[Lane, ...]
    tray: tuple[Card, ...]
    tray_total: int

    @property
    def cards(self) -> Iterable[Card]:
        """The exams that have a place on this day."""
        return (card for lane in self.lanes for card in lane.cards)

    def card(self, accession: str) -> Card | None:
        """One exam of the board or the tray."""
        every = (*self.cards, *self.tray)
        return next((card for card in every if card.accession == accession), None)


def board_of(
    *, site: Site, day: date, at: datetime, locations: frozenset[int] = frozenset(), chosen: str = ""
) -> Board:
    """The board of one local day as it stands at `at`.

    `locations` limits it to rooms of those; empty for all. `chosen` is shown in the tray even
    where the tray has more than it can show.
    """
    first, after = clock.day_bounds(day, site.timezone)
    rooms = list(
        Room.objects.filter(site=site, retired=False)
        .select_related("location")
        .order_by("location__sort", "location__name", "location_id", "sort", "code")
    )
    if locations:
        rooms = [room for room in rooms if room.location_id in locations]
    department, _ = department_of(site=site, since=first, until=after, at=at)
    asked = _Day(first, after, at)
    exams = _cards(site, asked, {room.pk: room.code for room in rooms})
    placed = [(room_id, card) for room_id, card in exams if room_id is not None]
    shown = {room.pk for room in rooms}
    lanes = _lanes(rooms, department, placed, asked, _held_places(site, asked))
    unplaced = [card for room_id, card in exams if room_id is None]
    again = [c for lane in lanes for c in lane.cards if c.displaced]
    tray = most_urgent_first([*unplaced, *again])
    ranked = _keep(tray, chosen)
    alike = _alike([*(c for r, c in placed if r in shown), *ranked])
    return Board(
        day=day,
        first=first,
        after=after,
        lanes=tuple(replace(lane, cards=_flagged(lane.cards, alike)) for lane in lanes),
        tray=_flagged(_with_old_places(site, ranked), alike),
        tray_total=len(tray),
    )


def _keep(tray: list[Card], chosen: str) -> list[Card]:
    # Those that wait for their patient ask nothing of anybody: they come last.
    ranked = sorted(tray, key=lambda c: c.priority is Priority.ROUTINE and c.why.startswith("Booked when"))
    kept = ranked[:TRAY_MAX]
    return kept + [c for c in ranked[TRAY_MAX:] if c.accession == chosen]


def _flagged(cards: Iterable[Card], alike: frozenset[int]) -> tuple[Card, ...]:
    return tuple(replace(card, alike=True) if card.patient in alike else card for card in cards)


def _alike(cards: Iterable[Card]) -> frozenset[int]:
    people = {c.patient: Person(c.patient, c.family, c.given, c.born) for c in cards}
    return frozenset(look_alikes(list(people.values())))


_EXAM = (
    "id",
    "accession",
    "patient_id",
    "patient__family",
    "patient__given",
    "patient__birth_date",
    "patient__isolation",
    "order__patient_class",
    "order__ward",
    "order__bed",
    "order__transport",
    "procedure_text",
    "procedure_code",
    "laterality",
    "priority",
    "triage",
    "findings",
    "booking_blocked",
    "due_at",
    "requested_at",
    "created_at",
    "reports__state",
)


def _cards(site: Site, asked: _Day, codes: Mapping[int, str]) -> list[tuple[int | None, Card]]:
    """Every exam of the day with the key of its room, and those without a place with None."""
    bookings = {
        row["exam_id"]: row
        for row in Booking.objects.filter(
            site=site,
            state__in=[s.value for s in LIVE],
            during__overlap=DateTimeTZRange(asked.first, asked.after),
        ).values("exam_id", "room_id", "room__kind", "during", "row", "state", "arrived_at")[:EXAMS_MAX]
    }
    steps: dict[int, list[Any]] = {}
    for row in StepExam.objects.filter(
        Q(exam__in=list(bookings)) | Q(step__started_at__gte=asked.first, step__started_at__lt=asked.after),
        step__site=site,
        voided=False,
    ).values(
        "exam_id", "step__state", "step__started_at", "step__ended_at", "step__room_id", "step__room__kind"
    ):
        steps.setdefault(row["exam_id"], []).append(row)
    known = Exam.objects.filter(site=site)
    rows = list(known.filter(pk__in={*bookings, *steps}).values(*_EXAM)[:EXAMS_MAX])
    unplaced = (
        known.exclude(triage=TriageState.CANCELLED)
        .exclude(bookings__state__in=[s.value for s in LIVE])
        .exclude(stepexam__voided=False)
        .order_by("id")
        .values(*_EXAM)[:TRAY_READ_MAX]
    )
    waiting = [row for row in unplaced if row["reports__state"] not in READ_STATES]
    lies = _where_they_lie(
        {r["patient_id"] for r in (*rows, *waiting) if r["order__patient_class"] in ("I", "E")}
    )
    images = set(
        Image.objects.filter(exam__in=list(steps), state__in=[s.value for s in IMAGES_IN])
        .values_list("exam_id", flat=True)
        .distinct()
    )
    fetched = set(
        TransportJob.objects.filter(
            exam__in=list(bookings), kind=JobKind.FETCH, state__in=[JobState.ACCEPTED, JobState.PICKED_UP]
        ).values_list("exam_id", flat=True)
    )
    known_too = _Beside(lies, images, codes, fetched)
    return [_card(row, bookings.get(row["id"]), steps.get(row["id"], []), known_too) for row in rows] + [
        _card(row, None, [], known_too) for row in waiting
    ]


@dataclass(frozen=True)
class _Beside:
    """What is known of all exams at once: where patients lie, which have images, the rooms' codes, who is being fetched."""

    lies: Mapping[int, tuple[str, str]]
    images: Set[int]
    codes: Mapping[int, str]
    fetched: Set[int]


def _where_they_lie(patients: set[int]) -> dict[int, tuple[str, str]]:
    """Ward and bed now, of patients who are in the house."""
    found = Visit.objects.filter(patient__in=patients, state=Visit.State.ACTIVE).order_by("changed_at")
    return {p: (ward, bed) for p, ward, bed in found.values_list("patient_id", "ward", "bed") if ward}


def _card(
    row: Mapping[str, Any], booking: Mapping[str, Any] | None, steps: list[Any], beside: _Beside
) -> tuple[int | None, Card]:
    state = deciding_step(StepState(s["step__state"]) for s in steps)
    deciding = (s for s in steps if s["step__state"] == state)
    newest = max(deciding, key=lambda s: s["step__started_at"], default=None)
    stage = stage_of(
        triage=TriageState(row["triage"]),
        booking=BookingState(booking["state"]) if booking else None,
        arrived=bool(booking and booking["arrived_at"]),
        step=state,
        report=ReportState(row["reports__state"]) if row["reports__state"] else None,
    )
    over = stage is Stage.DISCONTINUED and (booking is None or booking["state"] != BookingState.BOOKED)
    performed = newest if over or stage in (Stage.BEGUN, Stage.ENDED, Stage.READ) else None
    room_id, room_kind = (booking["room_id"], booking["room__kind"]) if booking else (None, "")
    if newest and newest["step__room_id"] and (performed or booking is None):
        room_id, room_kind = newest["step__room_id"], newest["step__room__kind"]
    ward, bed = beside.lies.get(row["patient_id"], (row["order__ward"], row["order__bed"]))
    placed: dict[str, Any] = {}
    if booking:
        during = booking["during"]
        placed = {"row": booking["row"], "planned_start": during.lower, "planned_end": during.upper}
        placed["arrived_at"] = booking["arrived_at"]
    return room_id, Card(
        accession=row["accession"],
        patient=row["patient_id"],
        family=row["patient__family"],
        given=row["patient__given"],
        born=row["patient__birth_date"],
        what=procedure_words(row["procedure_text"] or row["procedure_code"], row["laterality"]),
        stage=stage,
        priority=Priority(row["priority"]),
        room=beside.codes.get(room_id, "") if room_id else "",
        begun_at=performed["step__started_at"] if performed else None,
        ended_at=performed["step__ended_at"] if performed else None,
        images=int(row["id"] in beside.images),
        due_at=row["due_at"],
        requested_at=row["requested_at"],
        created_at=row["created_at"],
        origin=origin(row["order__patient_class"], ward, bed, bedside=room_kind == PORTABLE),
        patient_class=row["order__patient_class"],
        mode=how(row["order__transport"]),
        isolation=row["patient__isolation"],
        why=_why(row),
        preliminary=row["reports__state"] == ReportState.PRELIMINARY,
        held=row["triage"] == TriageState.HELD,
        fetching=row["id"] in beside.fetched,
        **placed,
    )


def _why(row: Mapping[str, Any]) -> str:
    if row["triage"] == TriageState.HELD:
        said = [str(f["sentence"]) for f in row["findings"] if f.get("level") in ("ask", "hold")]
        return " ".join(said) or "Held by a person."
    return str(row["booking_blocked"])


def _lanes(
    rooms: list[Room],
    department: Department,
    placed: list[tuple[int, Card]],
    asked: _Day,
    held: Mapping[int, list[HeldPlace]],
) -> list[Lane]:
    times = {room.room_id: room for room in department.rooms}
    since = _down_since([room for room in rooms if room.state == Room.State.DOWN])
    in_room: dict[int, list[Card]] = {}
    for room_id, card in placed:
        in_room.setdefault(room_id, []).append(card)
    people = _who_works_where(department, asked.at)
    return [
        _lane(
            room,
            times.get(room.pk),
            in_room.get(room.pk, []),
            technologist=people.get(room.pk, ""),
            down_since=since.get(room.code, asked.at),
            held=held.get(room.pk, ()),
            asked=asked,
        )
        for room in rooms
    ]


def _who_works_where(department: Department, at: datetime) -> dict[int, str]:
    """The technologist who is in each room now, or comes next."""
    coming = sorted(
        (work.span, work.room_id, person.name)
        for person in department.technologists or ()
        for work in person.work
        if work.span.end > at
    )
    found: dict[int, str] = {}
    for _, room_id, name in coming:
        found.setdefault(room_id, name)
    return found


def _lane(
    room: Room,
    times: RoomTimes | None,
    cards: list[Card],
    *,
    technologist: str,
    down_since: datetime,
    held: Iterable[HeldPlace],
    asked: _Day,
) -> Lane:
    opened = times.open if times else ()
    down = None
    if times and times.down:
        begins, ends = max(asked.first, down_since), min(asked.after, times.down.end)
        down = Span(begins, ends) if begins < ends else None
    told = tuple(_displaced(card, down) for card in cards) if down else tuple(cards)
    planned = [(c.planned_start, c.planned_end) for c in cards if c.planned_start and c.planned_end]
    return Lane(
        code=room.code,
        name=room.name,
        kind=room.kind,
        location=room.location.name,
        opened=opened,
        down=down,
        down_reason=room.down_reason,
        technologist=technologist,
        load=load_percent(planned, opened),
        to_place_again=sum(card.displaced for card in told),
        kept=tuple(
            (span, whom_words(one.whom))
            for one in (times.kept if times else ())
            if (span := one.left(asked.at)).start < span.end
        ),
        cards=told,
        held=tuple(held),
    )


def _held_places(site: Site, asked: _Day) -> dict[int, list[HeldPlace]]:
    """Places that are held on that day and not free again yet, by room."""
    found: dict[int, list[HeldPlace]] = {}
    rows: Iterable[Any] = (
        Booking.objects.filter(
            site=site,
            state=BookingState.HELD,
            held_until__gt=asked.at,
            during__overlap=DateTimeTZRange(asked.first, asked.after),
        )
        .order_by("during", "id")
        .values_list("room_id", "hold_id", "during", "held_until", "row")
    )
    for room_id, hold, during, until, row in rows:
        found.setdefault(room_id, []).append(HeldPlace(hold, during.lower, during.upper, until, row))
    return found


def _displaced(card: Card, down: Span | None) -> Card:
    waits = card.stage in (Stage.SCHEDULED, Stage.ARRIVED, Stage.HELD)
    lost = bool(waits and down and card.planned_start and down.start <= card.planned_start < down.end)
    return replace(card, displaced=True) if lost else card


def _down_since(rooms: list[Room]) -> dict[str, datetime]:
    """When each of these rooms was last said to be down. No query where none is."""
    if not rooms:
        return {}
    facts = Fact.objects.filter(
        site=rooms[0].site_id, kind=FactKind.ROOM_DOWN, room__in=[room.code for room in rooms]
    ).order_by("at")
    return dict(facts.values_list("room", "at"))


def _with_old_places(site: Site, cards: list[Card]) -> list[Card]:
    """Where those stood that have lost their place, as a word for the tray."""
    if not cards:
        return cards
    gone = Booking.objects.filter(site=site, exam__accession__in=[c.accession for c in cards]).exclude(
        state__in=[BookingState.HELD, *(s for s in LIVE if s != BookingState.BOOKED)]
    )
    was = {
        accession: (code, during.lower)
        for accession, code, during in gone.order_by("id").values_list(
            "exam__accession", "room__code", "during"
        )
    }
    return [
        replace(c, was=was[c.accession][0], was_at=was[c.accession][1]) if c.accession in was else c
        for c in cards
    ]


def usual_hours(board: Board, *, zone: str) -> tuple[datetime, datetime]:
    """From when to when a day is shown: the hours of the rooms that close at night, else 7 to 19."""
    whole = timedelta(hours=23)
    spans = [s for lane in board.lanes for s in lane.opened if s.end - s.start < whole]
    if spans:
        return min(s.start for s in spans), max(s.end for s in spans)
    midnight = datetime.min.time()
    return (
        clock.at_wall_time(board.day, midnight.replace(hour=DAY_FIRST_HOUR), zone),
        clock.at_wall_time(board.day, midnight.replace(hour=DAY_LAST_HOUR), zone),
    )
