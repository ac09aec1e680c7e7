"""Telling the engine of a department, and finding bookings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any

from django.db.backends.postgresql.psycopg_any import DateTimeTZRange
from django.db.models import QuerySet

from xraydesk.access.models import Site
from xraydesk.lib.prepared import rows_with
from xraydesk.rooms.models import PlannedClosure, Room
from xraydesk.rooms.queries import rooms_in_use
from xraydesk.scheduling.engine.department import (
    EMERGENCY_WORDS,
    Department,
    Kept,
    RoomTimes,
    TechnologistTimes,
    Work,
)
from xraydesk.scheduling.engine.hours import hours_between, slot_starts, wall_spans
from xraydesk.scheduling.engine.spans import Span, merged, without
from xraydesk.scheduling.models import Booking
from xraydesk.scheduling.states import LIVE, OCCUPYING, BookingState
from xraydesk.siteplan.hours import Hours
from xraydesk.staff.queries import technologists

_Taken = tuple[int, int, int | None, int | None, Span]
"""Room, seat, technologist, patient, when."""


def live_booking(exam_id: int) -> Booking | None:
    """The exam's present booking, whatever its state; None where it has none, or where one is only held."""
    return next(iter(live_bookings([exam_id])), None)


def live_bookings(exam_ids: Iterable[int]) -> list[Booking]:
    """The present bookings of exams, each with its room and technologist."""
    return rows_with(
        Booking,
        "exam_id = ANY ($1::bigint[]) AND state = ANY ($2::text[])",
        [[*exam_ids], [state.value for state in LIVE]],
        "room",
        "room__location",
        "technologist",
    )


def occupying_between(
    *, site: Site, since: datetime, until: datetime, room: Room | None = None
) -> QuerySet[Booking]:
    """Bookings and held places that take room, technologist and patient between two moments, in order of time."""
    found = Booking.objects.filter(
        site=site, state__in=OCCUPYING, during__overlap=DateTimeTZRange(since, until)
    )
    return (found.filter(room=room) if room else found).order_by("during", "id")


def booked_between(*, site: Site, since: datetime, until: datetime, room: Room) -> QuerySet[Booking]:
    """Exams that are booked in a room between two moments, in order of time; what is only held is not among them."""
    found = occupying_between(site=site, since=since, until=until, room=room)
    return found.filter(state=BookingState.BOOKED)


def hours_from_json(data: Mapping[str, Iterable[Iterable[str]]]) -> Hours:
    """Hours or shifts as they are kept: weekday to pairs of `HH:MM`."""
    hours: dict[str, tuple[tuple[time, time], ...]] = {}
    for day, pairs in data.items():
        hours[day] = tuple((time.fromisoformat(a), time.fromisoformat(b)) for a, b in pairs)
    return hours


def department_of(
    *,
    site: Site,
    since: datetime,
    until: datetime,
    cleaning: timedelta = timedelta(),
    without_exam: int | None = None,
    without_holds: Collection[int] = (),
    on_table: Mapping[int, Span] | None = None,
    at: datetime | None = None,
) -> tuple[Department, dict[int, tuple[Span, ...]]]:
    """A site's rooms and technologists between two moments, and when each patient booked there is busy.

    Four queries. `without_exam` leaves out the booking of the exam that is to be placed, and
    `without_holds` places held for whoever asks. A hold that has run out by `at` (the start of
    the time looked at, where it is not said) takes nothing.
    `on_table` says in which rooms an exam is under way, and when it will be over: the whole
    room is busy so long.
    """
    taken = _taken(site, Span(since, until), at or since, without_exam, without_holds)
    closures = _planned_closures(site, Span(since, until))
    by_seat: dict[tuple[int, int], list[Span]] = defaultdict(list)
    by_technologist: dict[int, list[Work]] = defaultdict(list)
    by_patient: dict[int, list[Span]] = defaultdict(list)
    for room_id, seat, technologist_id, patient_id, span in taken:
        by_seat[room_id, seat].append(span)
        if patient_id is not None:
            by_patient[patient_id].append(span)
        if technologist_id is not None:
            by_technologist[technologist_id].append(Work(span, room_id))
    zone = site.timezone
    rooms = tuple(
        _room_times(
            room,
            zone,
            Span(since, until),
            closed=closures[room.pk],
            busy=[by_seat.get((room.pk, seat), []) for seat in range(room.seats)],
            on_table=(on_table or {}).get(room.pk),
        )
        for room in rooms_in_use(site=site)
    )
    people = tuple(
        TechnologistTimes(
            technologist_id=t.pk,
            code=t.code,
            name=t.name,
            skills=frozenset(t.skills),
            on=hours_between(hours_from_json(t.shifts), zone=zone, since=since, until=until),
            work=tuple(by_technologist[t.pk]),
            away=Span(since, min(t.away_until, until)) if t.away_until and t.away_until > since else None,
        )
        for t in technologists(site=site)
    )
    department = Department(zone, rooms, people or None, cleaning)
    return department, {patient: merged(spans) for patient, spans in by_patient.items()}


def _taken(
    site: Site, during: Span, at: datetime, without_exam: int | None, without_holds: Collection[int]
) -> list[_Taken]:
    found = occupying_between(site=site, since=during.start, until=during.end).exclude(held_until__lte=at)
    if without_exam is not None:
        found = found.exclude(exam=without_exam, state=BookingState.BOOKED)
    if without_holds:
        found = found.exclude(hold__in=without_holds, state=BookingState.HELD)
    rows: Iterable[Any] = found.values_list(
        "room_id", "seat", "technologist_id", "patient_id", "during__startswith", "during__endswith"
    )
    # One zone object for all: moments of the same zone compare several times faster.
    return [(r, s, t, p, Span(a.astimezone(UTC), b.astimezone(UTC))) for r, s, t, p, a, b in rows]


def _planned_closures(site: Site, during: Span) -> dict[int, list[Span]]:
    """When rooms are closed because somebody here planned it, by room."""
    found: dict[int, list[Span]] = defaultdict(list)
    rows = PlannedClosure.objects.filter(
        site=site, ended_at=None, during__overlap=DateTimeTZRange(during.start, during.end)
    ).values_list("room_id", "during")
    for room_id, closed in rows:
        found[room_id].append(Span(closed.lower, closed.upper))
    return found


def kept_times(room: Room, zone: str, during: Span) -> tuple[Kept, ...]:
    """The stretches of a room that are kept for some, in order of time."""
    found = [
        Kept(span, frozenset(one["whom"]), timedelta(minutes=one["release_minutes"]))
        for one in room.kept
        for span in hours_between(
            hours_from_json(one["hours"]), zone=zone, since=during.start, until=during.end
        )
    ]
    return tuple(sorted(found, key=lambda k: (k.span, sorted(k.whom))))


def _room_times(
    room: Room,
    zone: str,
    during: Span,
    *,
    closed: Iterable[Span],
    busy: Iterable[list[Span]],
    on_table: Span | None,
) -> RoomTimes:
    closures = wall_spans(
        ((datetime.fromisoformat(c["start"]), datetime.fromisoformat(c["end"])) for c in room.closures),
        zone=zone,
    )
    hours = hours_between(hours_from_json(room.hours), zone=zone, since=during.start, until=during.end)
    published = hours_from_json(room.published)
    under_way = (on_table,) if on_table else ()
    return RoomTimes(
        room_id=room.pk,
        code=room.code,
        kind=room.kind,
        open=without(hours, (*closures, *closed)),
        busy=tuple((*spans, *under_way) for spans in busy),
        down=Span(during.start, room.down_until or during.end) if room.state == Room.State.DOWN else None,
        emergency=not EMERGENCY_WORDS.isdisjoint({room.kind, *room.abilities}),
        sort=room.sort,
        location=room.location_id,
        kept=kept_times(room, zone, during),
        published=hours_between(published, zone=zone, since=during.start, until=during.end)
        if published
        else None,
        slots=slot_starts(
            published, minutes=room.slot_minutes, zone=zone, since=during.start, until=during.end
        ),
    )
