"""A room is closed for a while on a day to come: when that moves the fewest, and what follows once it is agreed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from django.db import transaction
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange

from xraydesk.facts.actions import record
from xraydesk.facts.kinds import FactKind
from xraydesk.journey.book import has_begun, locked_exam
from xraydesk.journey.errors import BoardChanged, Refused, WrongState
from xraydesk.journey.places import places_for
from xraydesk.journey.rearrange import MOVES_MAX, keep_and_tell
from xraydesk.journey.room_state import locked_room
from xraydesk.rooms import actions as rooms
from xraydesk.rooms.models import PlannedClosure, Room
from xraydesk.rooms.queries import rooms_in_use
from xraydesk.scheduling import actions
from xraydesk.scheduling.actions import SlotTaken
from xraydesk.scheduling.closure_rules import Taken, Window, windows
from xraydesk.scheduling.engine.hours import hours_between, slot_starts
from xraydesk.scheduling.engine.spans import Span, Timeline
from xraydesk.scheduling.models import Booking, Rearrangement
from xraydesk.scheduling.queries import booked_between, department_of
from xraydesk.scheduling.rules import IN_HOUSE_CLASSES
from xraydesk.siteplan.hours import WEEKDAYS
from xraydesk.staff.queries import technologists

LENGTH_MINUTES_MAX = 12 * 60
"""A longer closure is no gap between patients: it belongs in the site file."""

BETWEEN_DAYS_MAX = 62
STEP_MINUTES = 15


class UnknownClosure(Refused):
    """There is no such planned closure here, or it was taken back."""


@dataclass(frozen=True)
class Proposed:
    """One window with the bookings that would have to move, in order of time."""

    window: Window
    bookings: tuple[Booking, ...]


def propose_windows(
    *, room: Room, minutes: int, since: datetime, until: datetime, first: time, last: time, at: datetime
) -> list[Proposed]:
    """The first windows of so many minutes between two moments, and between two times on the wall, for a room.

    Those that move the fewest patients come first. Writes nothing.

    Raises WrongState where the length or the days are out of bounds.
    """
    since = max(since, at)
    if not 1 <= minutes <= LENGTH_MINUTES_MAX:
        raise WrongState(
            f"A window has 1 to {LENGTH_MINUTES_MAX} minutes. Longer closures go into the site file."
        )
    if not since < until <= since + timedelta(days=BETWEEN_DAYS_MAX):
        raise WrongState(f"Choose days from now on, at most {BETWEEN_DAYS_MAX} of them.")
    zone, length = room.site.timezone, timedelta(minutes=minutes)
    wanted = dict.fromkeys(WEEKDAYS, ((first, last),))
    fits = Timeline(hours_between(wanted, zone=zone, since=since, until=until))
    starts = slot_starts(wanted, minutes=STEP_MINUTES, zone=zone, since=since, until=until)
    bookings = {b.pk: b for b in _bookings(room, Span(since, until))}
    found = windows(
        (start for start in starts if fits.covers(start, start + length)),
        length=length,
        taken=[
            Taken(b.pk, Span(b.during.lower, b.during.upper), told=_was_told(b)) for b in bookings.values()
        ],
        opened=_opened(room, since, until, at),
    )
    return [Proposed(window, tuple(bookings[t.key] for t in window.displaced)) for window in found]


def _bookings(room: Room, span: Span) -> list[Booking]:
    found = booked_between(site=room.site, since=span.start, until=span.end, room=room)
    return list(found.select_related("exam__order", "exam__patient", "exam__procedure", "room"))


def _was_told(booking: Booking) -> bool:
    return bool(booking.exam and booking.exam.order.patient_class not in IN_HOUSE_CLASSES)


def _opened(room: Room, since: datetime, until: datetime, at: datetime) -> tuple[Span, ...]:
    department, _ = department_of(site=room.site, since=since, until=until, at=at)
    return next(r.open for r in department.rooms if r.room_id == room.pk)


@transaction.atomic
def close_room(
    *, room_id: int, span: Span, reason: str, seen: Collection[str], at: datetime, by: str
) -> tuple[PlannedClosure, Rearrangement | None]:
    """Close a room for a while, and give everybody who is booked there then the next place that fits.

    `seen` are the accessions that were shown as having to move. Those for whom no place is
    found wait for a person. Whoever was told a time is to be told the new one; what was moved
    can be undone as any rearrangement.

    Raises UnknownRoom, WrongState, and BoardChanged where others are booked there now.
    """
    room = locked_room(room_id)
    if not at <= span.start < span.end <= span.start + timedelta(minutes=LENGTH_MINUTES_MAX):
        raise WrongState(
            f"{room.code} can be closed from now on, for at most {LENGTH_MINUTES_MAX // 60} hours."
        )
    before = _bookings(room, span)
    if {b.exam.accession for b in before if b.exam} != set(seen):
        raise BoardChanged(f"Others are booked in {room.code} then by now. Nothing was changed; look again.")
    if len(before) > MOVES_MAX:
        raise WrongState(f"More than {MOVES_MAX} patients would have to move. Choose a shorter time.")
    exams = {exam_id: locked_exam(exam_id) for exam_id in sorted(b.exam_id for b in before if b.exam_id)}
    if any(has_begun(exam) for exam in exams.values()):
        raise WrongState(f"Somebody is in {room.code} then. Choose another time.")
    actions.lock_places(
        room_ids=rooms_in_use(site=room.site).values_list("pk", flat=True),
        technologist_ids=technologists(site=room.site).values_list("pk", flat=True),
        patient_ids=[exam.patient_id for exam in exams.values()],
    )
    closure = rooms.plan_closure(
        room, during=DateTimeTZRange(span.start, span.end), reason=reason, at=at, by=by
    )
    why = f"{room.code} is closed: {closure.reason}" if closure.reason else f"{room.code} is closed"
    record(
        site_id=room.site_id,
        kind=FactKind.ROOM_CLOSURE_PLANNED,
        at=at,
        by=by,
        room=room.code,
        data={
            "closure": closure.pk,
            "start": span.start.isoformat(),
            "end": span.end.isoformat(),
            "reason": closure.reason,
            "exams": sorted(seen),
        },
    )
    moves = [
        (exams[b.exam_id], b, _elsewhere(b, why=why, at=at, by=by)) for b in before if b.exam_id is not None
    ]
    if not moves:
        return closure, None
    return closure, keep_and_tell(site=room.site, moves=moves, asked=why, why=[why], at=at, by=by)


def _elsewhere(booking: Booking, *, why: str, at: datetime, by: str) -> Booking | None:
    """The next place that fits an exam which loses its own, from the same time on; None where there is none."""
    exam = locked_exam(booking.exam_id or 0)
    found = places_for(exam, at=at, count=1, wished=booking.during.lower)
    actions.release(booking, at=at, why=why)
    for proposal in found:
        try:
            return actions.insert_booking(
                exam=exam,
                place=proposal.place,
                at=at,
                by=by,
                why=(why, *proposal.why),
                time_was_given=booking.time_was_given,
            )
        except SlotTaken:  # its patient is elsewhere, or somebody is held there: a person looks
            return None
    return None


@transaction.atomic
def open_again(*, room_id: int, closure_id: int, at: datetime, by: str) -> PlannedClosure:
    """A room is not to be closed after all. Nobody who was moved comes back by that.

    Raises UnknownRoom and UnknownClosure.
    """
    room = locked_room(room_id)
    closure = PlannedClosure.objects.filter(room=room, pk=closure_id, ended_at=None).first()
    if closure is None:
        raise UnknownClosure("That closure was taken back already.")
    rooms.end_closure(closure, at=at, by=by)
    record(
        site_id=room.site_id,
        kind=FactKind.ROOM_CLOSURE_ENDED,
        at=at,
        by=by,
        room=room.code,
        data={"closure": closure.pk, "reason": closure.reason},
    )
    return closure


def closures_to_come(*, room: Room, at: datetime) -> list[PlannedClosure]:
    """When a room will be closed because somebody here planned it, in order of time."""
    found = PlannedClosure.objects.filter(room=room, ended_at=None, during__endswith__gt=at)
    return list(found.order_by("during"))
