"""Writing bookings, holds and who goes along: the only writer of those tables. All of it inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.db import IntegrityError, transaction
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange
from django.db.models import Q

from xraydesk.lib import locks
from xraydesk.lib.text import shortened
from xraydesk.orders.models import Exam
from xraydesk.patients.models import Patient
from xraydesk.scheduling.engine.place import Place
from xraydesk.scheduling.engine.spans import Span
from xraydesk.scheduling.models import Attendance, Booking, Hold, Rearrangement
from xraydesk.scheduling.rules import ROW_LABEL_MINUTES, row_for
from xraydesk.scheduling.states import (
    LIVE,
    OCCUPYING,
    TRANSITIONS,
    BookingAction,
    BookingState,
    Going,
    HoldState,
)

T = TypeVar("T")

SEATS_MAX = 100
"""A room holds no more exams at once than this, those taken there without a place in the plan included."""

_TAKEN = {
    "one_exam_a_room_and_seat": "room",
    "one_exam_a_technologist": "technologist",
    "one_exam_a_patient": "patient",
    "one_live_booking_an_exam": "exam",
    "one_hold_an_exam": "exam",
    "one_way_a_porter": "porter",
    "one_patient_a_companion": "companion",
}


class SlotTaken(Exception):
    """Another booking has that room, technologist, patient or exam (`what`) at that time; nothing was written."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the {what} is taken at that time")
        self.what = what


class NotInThatState(Exception):
    """The booking's state does not allow what was asked; nothing was written."""

    def __init__(self, state: str, action: str) -> None:
        super().__init__(f"a booking that is {state} cannot {action}")


@dataclass(frozen=True)
class Company:
    """Somebody whose time is kept beside the technologist's; a porter, or else a companion."""

    going: Going
    span: Span
    porter_id: int | None = None
    companion_id: int | None = None


@dataclass(frozen=True)
class ToHold:
    """A place to be held: for an exam, or for nobody yet, with whoever goes along."""

    place: Place
    exam: Exam | None = None
    patient_id: int | None = None
    along: tuple[Company, ...] = ()


def lock_places(
    *,
    room_ids: Iterable[int],
    technologist_ids: Iterable[int | None],
    patient_ids: Iterable[int],
    company_of: int | None = None,
) -> None:
    """Wait for whoever is booking one of these rooms, technologists or patients, and hold them.

    `company_of` is the site where the time of porters and others who go along is to be kept too: who keeps
    several stretches of several people at once keeps them alone, so that no two wait for each other's.

    All at once and in one order, so that no two writers wait for each other in a circle.
    Take these locks after the exam's, and before the first write to a booking: whoever
    inserts beside a row that is being changed waits for that change to commit. They last
    until the transaction (or the savepoint they were taken in) ends. Beyond the number of
    locks allowed at once the last are left out: the constraints hold all the same.
    """
    names = [] if company_of is None else [f"booking company:{company_of}"]
    names += [f"booking patient:{pk}" for pk in patient_ids]
    names += [f"booking room:{pk}" for pk in room_ids]
    names += [f"booking technologist:{pk}" for pk in technologist_ids if pk is not None]
    locks.take(names[: locks.LOCKS_AT_ONCE_MAX])


def insert_booking(
    *,
    exam: Exam,
    place: Place,
    at: datetime,
    by: str,
    why: Iterable[str] = (),
    time_was_given: bool = False,
    arrived_at: datetime | None = None,
) -> Booking:
    """Write a booking; the database decides whether the place is still free.

    Raises SlotTaken, with the transaction still good.
    """

    def insert() -> Booking:
        return Booking.objects.create(
            site_id=exam.site_id,
            exam=exam,
            patient_id=exam.patient_id,
            room_id=place.room_id,
            technologist_id=place.technologist_id,
            seat=place.seat,
            during=DateTimeTZRange(place.start, place.end),
            row=row_for(_blocks_near(place), place.start),
            why=list(why),
            time_was_given=time_was_given,
            arrived_at=arrived_at,
            booked_at=at,
            booked_by=by,
        )

    return _past_expired_holds(insert, [ToHold(place, exam, exam.patient_id)], site_id=exam.site_id, at=at)


def _past_expired_holds(
    insert: Callable[[], T], wanted: Sequence[ToHold], *, site_id: int, at: datetime
) -> T:
    """Do an insertion under the locks of its places; where places whose holds have run out are in its way, they go.

    Raises SlotTaken, with the transaction still good.
    """
    try:
        with transaction.atomic():
            _lock(wanted, site_id=site_id)
            return insert()
    except IntegrityError as trouble:
        try:
            with transaction.atomic():
                _lock(wanted, site_id=site_id)
                if not _drop_expired(wanted, at=at):
                    raise _slot_taken(trouble) from trouble
                return insert()
        except IntegrityError as again:
            raise _slot_taken(again) from again


def _lock(wanted: Sequence[ToHold], *, site_id: int) -> None:
    lock_places(
        room_ids=[one.place.room_id for one in wanted],
        technologist_ids=[one.place.technologist_id for one in wanted],
        patient_ids=[one.patient_id for one in wanted if one.patient_id is not None],
        company_of=site_id if any(one.along for one in wanted) else None,
    )


def _drop_expired(wanted: Iterable[ToHold], *, at: datetime) -> bool:
    """Take away places whose holds have run out where they are in the way of those wanted, which are locked.

    Rows are waited for in one order, and whoever waits holds none that another waits for: no circle.
    """
    in_the_way = Q(pk=None)
    for one in wanted:
        same = Q(room=one.place.room_id)
        if one.place.technologist_id is not None:
            same |= Q(technologist=one.place.technologist_id)
        if one.patient_id is not None:
            same |= Q(patient=one.patient_id)
        in_the_way |= same & Q(during__overlap=DateTimeTZRange(one.place.start, one.place.end))
        for going in one.along:
            along = Attendance.objects.filter(
                live=True,
                porter=going.porter_id,
                companion=going.companion_id,
                during__overlap=DateTimeTZRange(going.span.start, going.span.end),
            )
            in_the_way |= Q(pk__in=along.values("booking"))
    over = Booking.objects.filter(in_the_way, state=BookingState.HELD, held_until__lte=at)
    keys = list(over.order_by("pk").select_for_update(of=("self",)).values_list("pk", flat=True))
    Booking.objects.filter(pk__in=keys).delete()
    return bool(keys)


def _slot_taken(trouble: IntegrityError) -> Exception:
    """What a broken constraint means: SlotTaken, or the trouble itself where it is none of the plan's."""
    diagnosis = getattr(trouble.__cause__, "diag", None)
    what = _TAKEN.get(getattr(diagnosis, "constraint_name", None) or "")
    return SlotTaken(what) if what else trouble


def _blocks_near(place: Place) -> list[tuple[int, datetime]]:
    """Row and start of the blocks in the room's lane whose labels could meet the new one's."""
    reach = timedelta(minutes=ROW_LABEL_MINUTES * 4)
    found = Booking.objects.filter(
        room_id=place.room_id,
        state__in=LIVE,
        during__overlap=DateTimeTZRange(place.start - reach, place.end + reach),
    ).values_list("row", "during")
    return [(row, during.lower) for row, during in found]


def _apply(booking: Booking, action: BookingAction, **fields: Any) -> Booking:
    """Take a booking through one transition, under its row's lock; the booking given is brought up to date.

    Raises NotInThatState, and SlotTaken where the booking is to occupy a place that is no longer free.
    """
    state = BookingState(
        Booking.objects.select_for_update(of=("self",)).values_list("state", flat=True).get(pk=booking.pk)
    )
    reached = TRANSITIONS.get((state, action))
    if reached is None:
        raise NotInThatState(state, action)
    fields["state"] = reached
    try:
        with transaction.atomic():
            Booking.objects.filter(pk=booking.pk).update(**fields)
    except IntegrityError as trouble:
        raise _slot_taken(trouble) from trouble
    if reached not in OCCUPYING:
        Attendance.objects.filter(booking=booking, live=True).update(live=False)
    for name, value in fields.items():
        setattr(booking, name, value)
    return booking


def release(booking: Booking, *, at: datetime, why: str) -> Booking:
    """Give the place up because the exam is moved, freed or done elsewhere. Raises NotInThatState."""
    return _apply(booking, BookingAction.RELEASE, ended_at=at, ended_why=shortened(why, 200))


def finish(booking: Booking, *, at: datetime) -> Booking:
    """The exam was done in its place. Raises NotInThatState."""
    return _apply(booking, BookingAction.FINISH, ended_at=at)


def cancel(booking: Booking, *, at: datetime, why: str) -> Booking:
    """Somebody gave the place up. Raises NotInThatState."""
    return _apply(booking, BookingAction.CANCEL, ended_at=at, ended_why=shortened(why, 200))


def miss(booking: Booking, *, at: datetime) -> Booking:
    """The patient did not come; room and technologist are free again. Raises NotInThatState."""
    return _apply(booking, BookingAction.MISS, ended_at=at)


def undo_miss(booking: Booking) -> Booking:
    """The patient is to be expected after all. Raises NotInThatState, and SlotTaken where the place has gone."""
    _lock([ToHold(place_of(booking), patient_id=booking.patient_id)], site_id=booking.site_id)
    return _apply(booking, BookingAction.UNDO_MISS, ended_at=None)


def mark_arrived(booking: Booking, *, at: datetime) -> Booking:
    """The patient is here. A first arrival stands."""
    if booking.arrived_at is None:
        Booking.objects.filter(pk=booking.pk, arrived_at=None).update(arrived_at=at)
        booking.arrived_at = at
    return booking


def unmark_arrived(booking: Booking) -> Booking:
    """The patient is not here after all."""
    Booking.objects.filter(pk=booking.pk).update(arrived_at=None)
    booking.arrived_at = None
    return booking


def reassign_for_step(
    booking: Booking, *, exam: Exam, room_id: int, at: datetime, by: str, why: str
) -> Booking:
    """Bring an exam's place to another room because it is done there; never refused for want of a free place.

    The old booking is released. The new one is from `at` where its patient is free then, else
    at the old time; it takes a seat beyond those in use, and no technologist's time. The
    database still holds that no patient is in two exams at once.

    Raises NotInThatState where the booking is over.
    """
    old = place_of(booking)
    lock_places(
        room_ids=[old.room_id, room_id], technologist_ids=[old.technologist_id], patient_ids=[exam.patient_id]
    )
    release(booking, at=at, why=why)
    here = replace(old, room_id=room_id, technologist_id=None)
    length = old.end - old.start
    for start in (at, old.start):
        place = replace(here, start=start, end=start + length)
        seat = _spare_seat(place)
        if not _patient_is_taken(exam.patient_id, place):
            break
    return insert_booking(
        exam=exam,
        place=replace(place, seat=seat),
        at=at,
        by=by,
        why=(why,),
        time_was_given=booking.time_was_given and place.start == old.start,
        arrived_at=booking.arrived_at,
    )


def _spare_seat(place: Place) -> int:
    used = set(_occupying(place).filter(room_id=place.room_id).values_list("seat", flat=True))
    return next(seat for seat in range(SEATS_MAX) if seat not in used)


def _patient_is_taken(patient_id: int, place: Place) -> bool:
    return bool(_occupying(place).filter(patient_id=patient_id).exists())


def _occupying(place: Place) -> Any:
    during = DateTimeTZRange(place.start, place.end)
    return Booking.objects.filter(state__in=OCCUPYING, during__overlap=during)


def insert_hold(
    *,
    site_id: int,
    places: Sequence[ToHold],
    told: Sequence[dict[str, Any]],
    lacks: Iterable[str],
    until: datetime,
    at: datetime,
    by: str,
) -> Hold:
    """Keep places until a moment, all of them or none; the database decides whether they are still free.

    `told` tells of each place for whoever reads of it later. Raises SlotTaken, with the
    transaction still good.
    """

    def insert() -> Hold:
        hold = Hold.objects.create(
            site_id=site_id, until=until, held_at=at, held_by=by, places=list(told), lacks=list(lacks)
        )
        for kept in places:
            _insert_held(hold, kept)
        return hold

    return _past_expired_holds(insert, places, site_id=site_id, at=at)


def _insert_held(hold: Hold, kept: ToHold) -> None:
    place = kept.place
    booking = Booking.objects.create(
        site_id=hold.site_id,
        state=BookingState.HELD,
        hold=hold,
        held_until=hold.until,
        exam=kept.exam,
        patient_id=kept.patient_id,
        room_id=place.room_id,
        technologist_id=place.technologist_id,
        seat=place.seat,
        during=DateTimeTZRange(place.start, place.end),
        row=row_for(_blocks_near(place), place.start),
        booked_at=hold.held_at,
        booked_by=hold.held_by,
    )
    insert_company(booking, kept.along)


def insert_company(booking: Booking, along: Iterable[Company]) -> None:
    """Keep the time of those who go along with a booked or held exam. A broken constraint is the caller's to meet."""
    Attendance.objects.bulk_create(
        Attendance(
            site_id=booking.site_id,
            booking=booking,
            going=one.going,
            porter_id=one.porter_id,
            companion_id=one.companion_id,
            during=DateTimeTZRange(one.span.start, one.span.end),
        )
        for one in along
    )


def add_company(booking: Booking, one: Company, *, at: datetime) -> bool:
    """Keep the time of one more who goes along; False where somebody else was faster."""
    wanted = [ToHold(place_of(booking), patient_id=booking.patient_id, along=(one,))]
    try:
        _past_expired_holds(lambda: insert_company(booking, [one]), wanted, site_id=booking.site_id, at=at)
    except SlotTaken:
        return False
    return True


def drop_company(booking: Booking, goings: Iterable[Going]) -> None:
    """Somebody need not go along any more."""
    Attendance.objects.filter(booking=booking, live=True, going__in=list(goings)).update(live=False)


def lock_hold(*, site_id: int, hold_id: int) -> Hold | None:
    """One hold of a site, locked; None where there is none."""
    return Hold.objects.select_for_update().filter(site=site_id, pk=hold_id).first()


def confirm(booking: Booking, *, exam: Exam, at: datetime, by: str, why: Iterable[str]) -> Booking:
    """A place that was held is booked for an exam. Raises NotInThatState, and SlotTaken where the patient is elsewhere then."""
    return _apply(
        booking,
        BookingAction.CONFIRM,
        held_until=None,
        exam_id=exam.pk,
        patient_id=exam.patient_id,
        booked_at=at,
        booked_by=by,
        why=list(why),
        time_was_given=True,
    )


def end_hold(hold: Hold, state: HoldState, *, at: datetime, by: str) -> None:
    """A hold is over; unless it was booked its places are free again, and leave nothing behind. The hold is locked."""
    hold.state, hold.ended_at, hold.ended_by = state, at, by
    hold.save(update_fields=["state", "ended_at", "ended_by"])
    if state is not HoldState.BOOKED:
        held = hold.bookings.filter(state=BookingState.HELD).order_by("pk")
        keys = list(held.select_for_update(of=("self",)).values_list("pk", flat=True))
        Booking.objects.filter(pk__in=keys).delete()


def place_of(booking: Booking) -> Place:
    """Where and when a booking stands."""
    return Place(
        booking.room_id,
        booking.during.lower,
        booking.during.upper,
        booking.technologist_id,
        booking.seat,
    )


def give_to_patient(
    *, exams: Collection[int], from_: Patient, to: Patient, begun: Collection[int], at: datetime
) -> list[Booking]:
    """The places of some exams are another record's now; those given up because one person cannot be in two places.

    Where two overlap, the exam that has begun keeps its place, then the one whose patient is
    here, then the one that was booked first. Places that are only held are let go: whoever held
    them chose for one who may be elsewhere then.
    """
    held = Booking.objects.filter(state=BookingState.HELD, patient__in=[from_, to]).values("hold")
    for hold in Hold.objects.select_for_update().filter(pk__in=held).order_by("pk"):
        end_hold(hold, HoldState.LET_GO, at=at, by="merge")
    lock_places(room_ids=(), technologist_ids=(), patient_ids=[from_.pk, to.pk])
    standing = (
        Booking.objects.select_for_update(of=("self",))
        .select_related("room")
        .filter(state=BookingState.BOOKED)
    )
    coming = list(standing.filter(exam__in=exams).order_by("id"))
    there = list(standing.filter(patient=to).exclude(exam__in=exams).order_by("id"))
    given_up = []
    for one in coming:
        for other in [
            b for b in there if b.during.lower < one.during.upper and one.during.lower < b.during.upper
        ]:
            loser = min((one, other), key=lambda b: _weight(b, begun))
            given_up.append(release(loser, at=at, why="the patient has another exam at that time"))
            if loser is one:
                break
            there.remove(other)
    Booking.objects.filter(exam__in=exams).update(patient=to)
    return given_up


def _weight(booking: Booking, begun: Collection[int]) -> tuple[bool, bool, float]:
    return booking.exam_id in begun, booking.arrived_at is not None, -booking.booked_at.timestamp()


def insert_rearrangement(
    *, site_id: int, asked: str, why: Iterable[str], moves: list[dict[str, Any]], at: datetime, by: str
) -> Rearrangement:
    """Keep what was agreed to, so that it can be shown and undone."""
    return Rearrangement.objects.create(
        site_id=site_id, asked=shortened(asked, 200), why=list(why), moves=moves, at=at, by=by
    )


def mark_undone(rearrangement: Rearrangement, *, at: datetime, by: str) -> bool:
    """Only the first to undo it does; False for the others."""
    return bool(
        Rearrangement.objects.filter(pk=rearrangement.pk, undone_at=None).update(undone_at=at, undone_by=by)
    )
