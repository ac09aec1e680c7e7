"""Giving an exam its place in the plan, moving it, and taking it back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from xraydesk.access.models import Site
from xraydesk.attention.actions import close_items, raise_item
from xraydesk.attention.kinds import ItemKind
from xraydesk.attention.models import Item
from xraydesk.facts.actions import record
from xraydesk.facts.kinds import FactKind
from xraydesk.imaging.queries import standing_states
from xraydesk.imaging.states import StepState
from xraydesk.journey.errors import NoPlace, PlaceTaken, PlaceUnfit, UnknownExam, WrongState
from xraydesk.journey.places import in_minutes, is_registered_here, judge_place, places_for
from xraydesk.journey.policy import policies_of
from xraydesk.orders.actions import set_booking_blocked
from xraydesk.orders.models import Exam
from xraydesk.orders.queries import lock_exam
from xraydesk.orders.requisition import BOOKED_BY_SENDER
from xraydesk.orders.states import Priority, TriageState
from xraydesk.rooms.queries import rooms_in_use
from xraydesk.scheduling import actions
from xraydesk.scheduling.actions import SlotTaken
from xraydesk.scheduling.engine.place import Place, Proposal
from xraydesk.scheduling.models import Booking
from xraydesk.scheduling.queries import live_booking
from xraydesk.scheduling.rules import (
    EMERGENCY_CLASS,
    Decision,
    Next,
    Waiting,
    booking_way,
    decide_booking,
    in_order_of_booking,
)
from xraydesk.scheduling.states import BookingState
from xraydesk.staff.queries import technologists

TRIES_MAX = 4
"""A place proposed and lost is proposed anew so often. From the second try on nobody else books meanwhile."""

ALTERNATIVES_MAX = 5
"""Whoever lost a place is offered so many others."""

WAITING_AT_ONCE_MAX = 200
"""So many exams without a place are tried again at once."""

BY_RULE = "rule"


def no_place_key(accession: str) -> str:
    """The key of the item about an exam without a place."""
    return f"no place:{accession}"


def locked_exam(exam_id: int) -> Exam:
    """The exam, locked. Raises UnknownExam."""
    exam = lock_exam(exam_id)
    if exam is None:
        raise UnknownExam("There is no such exam here.")
    return exam


def as_told(booking: Booking) -> dict[str, Any]:
    """A booking as facts carry it: codes and moments, no names of patients."""
    return {
        "room": booking.room.code,
        "start": booking.during.lower.isoformat(),
        "end": booking.during.upper.isoformat(),
        "technologist": booking.technologist.code if booking.technologist else None,
        "why": list(booking.why),
        "given": booking.time_was_given,
    }


def tell_booking(
    exam: Exam,
    kind: FactKind,
    booking: Booking,
    *,
    at: datetime,
    by: str,
    data: Mapping[str, Any] | None = None,
) -> None:
    """Record one fact about an exam's place."""
    record(
        site_id=exam.site_id,
        kind=kind,
        at=at,
        by=by,
        accession=exam.accession,
        patient=exam.patient_id,
        room=booking.room.code,
        data=data if data is not None else {},
        simulated=exam.simulated,
    )


def has_begun(exam: Exam) -> bool:
    """True while the exam is under way, and once it is done; a discontinued one may begin again."""
    return bool({StepState.IN_PROGRESS, StepState.COMPLETED}.intersection(standing_states(exam.pk)))


def check_bookable(exam: Exam) -> None:
    """Raises WrongState where an exam is to have no place: not accepted, or begun."""
    if exam.triage != TriageState.ACCEPTED:
        raise WrongState(f"Exam {exam.accession} is {exam.triage} in triage. Accept it before it is booked.")
    if has_begun(exam):
        raise WrongState(f"Exam {exam.accession} has begun and needs no place.")


@transaction.atomic
def book_exam(*, exam_id: int, at: datetime, by: str, place: Place | None = None) -> Booking:
    """Give an exam its place: the one that a person chose, else the earliest that serves it.

    An exam marked as no-show is given a new place, and the old one goes. `at` is now.

    Raises UnknownExam, WrongState, PlaceTaken and PlaceUnfit (a chosen place), NoPlace.
    """
    exam = locked_exam(exam_id)
    check_bookable(exam)
    before = live_booking(exam.pk)
    if before and before.state != BookingState.NO_SHOW:
        raise WrongState(f"Exam {exam.accession} is booked already. Move it instead.")
    if before:
        actions.release(before, at=at, why="given a new place")
    if place:
        booking = _book_chosen(exam, place, at=at, by=by)
    else:
        booking = _insert_proposed(exam, at=at, by=by)
    tell_booking(exam, FactKind.EXAM_BOOKED, booking, at=at, by=by, data=as_told(booking))
    settle_no_place(exam, at=at, by=by, how="booked")
    return booking


def settle_no_place(exam: Exam, *, at: datetime, by: str, how: str) -> None:
    """The exam has a place, or needs none any more: nobody is asked for one."""
    set_booking_blocked(exam, "")
    close_items(site_id=exam.site_id, key=no_place_key(exam.accession), at=at, by=by, how=how)


def _insert_proposed(exam: Exam, *, at: datetime, by: str) -> Booking:
    for tries in range(1, TRIES_MAX + 1):
        proposals = places_for(exam, at=at, count=1)
        if not proposals:
            ahead = policies_of(exam.site).booking_days_ahead
            raise NoPlace(
                f"No free place for exam {exam.accession} was found within {ahead} days. Choose one by hand."
            )
        chosen = proposals[0]
        given = exam.requested_at is not None and chosen.place.start == in_minutes(exam.requested_at)
        try:
            return actions.insert_booking(
                exam=exam, place=chosen.place, at=at, by=by, why=chosen.why, time_was_given=given
            )
        except SlotTaken:
            # Somebody was faster. From here on others wait, so that the next try is not lost too.
            if tries == 1:
                hold_department(site=exam.site, patient_id=exam.patient_id)
    raise PlaceTaken(f"Others took each place found for exam {exam.accession}. Try again.")


def hold_department(*, site: Site, patient_id: int) -> None:
    """Let nobody else book at this site until the transaction ends; where several exams are booked in one."""
    actions.lock_places(
        room_ids=rooms_in_use(site=site).values_list("pk", flat=True),
        technologist_ids=technologists(site=site).values_list("pk", flat=True),
        patient_ids=[patient_id],
    )


def _fitting(exam: Exam, place: Place, *, at: datetime) -> Place:
    """A chosen place with what it lacks filled in. Raises PlaceTaken, PlaceUnfit."""
    verdict = judge_place(exam, place, at=at)
    if verdict.place is None:
        reasons = "; ".join(verdict.why_not)
        refusal = PlaceTaken if verdict.taken else PlaceUnfit
        raise refusal(f"Exam {exam.accession} was not placed: {reasons}.", _alternatives(exam, place, at=at))
    return verdict.place


def _book_chosen(exam: Exam, place: Place, *, at: datetime, by: str) -> Booking:
    """The place that a person chose. Where somebody has just taken the technologist, whom nobody asked for, another does it."""
    fitting = _fitting(exam, place, at=at)
    try:
        return _insert_as_chosen(exam, fitting, at=at, by=by)
    except SlotTaken as lost:
        if lost.what != "technologist" or place.technologist_id is not None:
            raise _taken(exam, fitting, lost, at=at) from lost
        # From here on others wait, so that who is found is still free.
        hold_department(site=exam.site, patient_id=exam.patient_id)
    return _insert_chosen(exam, _fitting(exam, place, at=at), at=at, by=by)


def _insert_as_chosen(
    exam: Exam, place: Place, *, at: datetime, by: str, arrived_at: datetime | None = None
) -> Booking:
    return actions.insert_booking(
        exam=exam,
        place=place,
        at=at,
        by=by,
        why=("chosen by a person",),
        time_was_given=True,
        arrived_at=arrived_at,
    )


def _insert_chosen(exam: Exam, place: Place, *, at: datetime, by: str) -> Booking:
    try:
        return _insert_as_chosen(exam, place, at=at, by=by)
    except SlotTaken as lost:
        raise _taken(exam, place, lost, at=at) from lost


def _taken(exam: Exam, place: Place, lost: SlotTaken, *, at: datetime) -> PlaceTaken:
    return PlaceTaken(
        f"Exam {exam.accession} was not placed: somebody else has just taken the {lost.what}.",
        _alternatives(exam, place, at=at),
    )


def _alternatives(exam: Exam, place: Place, *, at: datetime) -> list[Proposal]:
    """Free places from the time that was wanted, or from now where that lies behind."""
    return places_for(exam, at=at, count=ALTERNATIVES_MAX, wished=max(at, place.start))


@transaction.atomic
def move_exam(*, exam_id: int, place: Place, at: datetime, by: str) -> Booking:
    """Give a booked exam another place; the old one is free again. An arrival stands.

    The same place again changes nothing. Raises UnknownExam, WrongState, PlaceTaken, PlaceUnfit;
    the exam then keeps its place.
    """
    exam = locked_exam(exam_id)
    check_bookable(exam)
    before = live_booking(exam.pk)
    if before is None or before.state != BookingState.BOOKED:
        raise WrongState(f"Exam {exam.accession} has no place that could be moved. Book it instead.")
    if _is_same(before, place):
        return before
    booking = _move_chosen(exam, before, place, at=at, by=by)
    data = {"from": as_told(before), "to": as_told(booking)}
    tell_booking(exam, FactKind.EXAM_MOVED, booking, at=at, by=by, data=data)
    settle_no_place(exam, at=at, by=by, how="moved")
    return booking


def _move_chosen(exam: Exam, before: Booking, place: Place, *, at: datetime, by: str) -> Booking:
    """The place that a person chose. Where somebody has just taken the technologist, whom nobody asked for, another does it."""
    fitting = _fitting(exam, place, at=at)
    try:
        return _move_to(exam, before, fitting, at=at, by=by)
    except SlotTaken as lost:
        if lost.what != "technologist" or place.technologist_id is not None:
            raise _taken(exam, fitting, lost, at=at) from lost
        # From here on others wait, so that who is found is still free.
        hold_department(site=exam.site, patient_id=exam.patient_id)
    before.refresh_from_db()
    fitting = _fitting(exam, place, at=at)
    try:
        return _move_to(exam, before, fitting, at=at, by=by)
    except SlotTaken as lost:
        raise _taken(exam, fitting, lost, at=at) from lost


@transaction.atomic
def _move_to(exam: Exam, before: Booking, place: Place, *, at: datetime, by: str) -> Booking:
    """Both or neither: the old place is free, and the exam has the new one. Raises SlotTaken, holding no lock any more."""
    old = actions.place_of(before)
    actions.lock_places(
        room_ids=[old.room_id, place.room_id],
        technologist_ids=[old.technologist_id, place.technologist_id],
        patient_ids=[exam.patient_id],
    )
    actions.release(before, at=at, why="moved")
    return _insert_as_chosen(exam, place, at=at, by=by, arrived_at=before.arrived_at)


def _is_same(booking: Booking, place: Place) -> bool:
    who = place.technologist_id in (None, booking.technologist_id)
    return who and booking.room_id == place.room_id and booking.during.lower == place.start


@transaction.atomic
def cancel_booking(*, exam_id: int, at: datetime, by: str, why: str) -> Booking:
    """Take the exam's place back; the exam itself still stands and waits for another.

    Raises UnknownExam, WrongState.
    """
    exam = locked_exam(exam_id)
    booking = live_booking(exam.pk)
    if booking is None or has_begun(exam):
        raise WrongState(f"Exam {exam.accession} has no place that could be cancelled.")
    try:
        actions.cancel(booking, at=at, why=why)
    except actions.NotInThatState as trouble:
        raise WrongState(f"The place of exam {exam.accession} cannot be cancelled: it is done.") from trouble
    tell_booking(exam, FactKind.BOOKING_RELEASED, booking, at=at, by=by, data=as_told(booking) | {"why": why})
    words = f"The booking was cancelled: {why}" if why else "The booking was cancelled."
    settle_no_place(exam, at=at, by=by, how="the booking was cancelled")
    if exam.triage == TriageState.ACCEPTED:
        set_booking_blocked(exam, words)
    return booking


@transaction.atomic
def mark_no_show(*, exam_id: int, at: datetime, by: str) -> Booking:
    """The patient did not come. Room and technologist are free again.

    Raises UnknownExam, WrongState: not booked, arrived, begun, or the time is still to come.
    """
    exam = locked_exam(exam_id)
    booking = live_booking(exam.pk)
    if booking is None or booking.state != BookingState.BOOKED or has_begun(exam):
        raise WrongState(f"Exam {exam.accession} is not booked, so its patient cannot have missed it.")
    if booking.arrived_at:
        raise WrongState(f"The patient of exam {exam.accession} has arrived. Take the arrival back first.")
    if booking.during.lower > at:
        raise WrongState(f"The time of exam {exam.accession} is still to come. Move or cancel it instead.")
    actions.miss(booking, at=at)
    tell_booking(exam, FactKind.NO_SHOW, booking, at=at, by=by, data=as_told(booking))
    return booking


@transaction.atomic
def undo_no_show(*, exam_id: int, at: datetime, by: str) -> Booking:
    """The patient came after all, or is still expected: back in the same place, if it is still free.

    Raises UnknownExam, WrongState, and PlaceTaken with other places.
    """
    exam = locked_exam(exam_id)
    booking = live_booking(exam.pk)
    if booking is None or booking.state != BookingState.NO_SHOW:
        raise WrongState(f"Exam {exam.accession} is not marked as a no-show.")
    try:
        actions.undo_miss(booking)
    except SlotTaken as lost:
        raise PlaceTaken(
            f"The place of exam {exam.accession} has gone meanwhile: the {lost.what} is taken. "
            "Book one of the next free places.",
            _alternatives(exam, actions.place_of(booking), at=at),
        ) from lost
    tell_booking(exam, FactKind.NO_SHOW_UNDONE, booking, at=at, by=by, data=as_told(booking))
    return booking


def propose_places(*, exam_id: int, at: datetime, count: int = 5) -> list[Proposal]:
    """Free places for an exam, the best first, each with its reasons; booked or not. Writes nothing.

    Raises UnknownExam.
    """
    return places_for(_exam(exam_id), at=at, count=count)


def propose_earlier(*, exam_id: int, at: datetime, count: int = 3) -> list[Proposal]:
    """Places from now that lie before the one an exam has, for one that has become urgent. Writes nothing.

    Empty where it has the earliest, or none. Raises UnknownExam.
    """
    exam = _exam(exam_id)
    booking = live_booking(exam.pk)
    if booking is None or booking.state != BookingState.BOOKED:
        return []
    found = places_for(exam, at=at, count=count, wish=False)
    return [p for p in found if p.place.start < booking.during.lower]


def _exam(exam_id: int) -> Exam:
    exam = Exam.objects.select_related("site", "order", "procedure").filter(pk=exam_id).first()
    if exam is None:
        raise UnknownExam("There is no such exam here.")
    return exam


@transaction.atomic
def book_by_policy(*, exam_id: int, at: datetime) -> Booking | None:
    """Do what the site does with an accepted exam: book it, wait for its patient, or ask a person.

    Safe to run again: an exam with a place, not accepted, or begun is left as it is. None
    where nothing was booked; then the exam says why, and where a person is to act an item does.
    """
    exam = locked_exam(exam_id)
    if exam.triage != TriageState.ACCEPTED or live_booking(exam.pk) or has_begun(exam):
        return None
    decision = decision_for(exam, at=at)
    if decision.next in (Next.WAIT_FOR_PATIENT, Next.WAIT_FOR_SENDER):
        set_booking_blocked(exam, decision.why)
        return None
    if decision.next is Next.ASK:
        ask_for_place(exam, why=decision.why, at=at)
        return None
    try:
        with transaction.atomic():
            return book_exam(exam_id=exam_id, at=at, by=BY_RULE)
    except (NoPlace, PlaceTaken) as trouble:
        ask_for_place(exam, why=str(trouble), at=at)
        return None


def decision_for(exam: Exam, *, at: datetime) -> Decision:
    """What the site does by itself with an accepted exam that has no place."""
    return decide_booking(
        booking_way(policies_of(exam.site).booking, exam.order.patient_class),
        requested_at=exam.requested_at,
        patient_is_here=is_registered_here(exam, at=at),
        sender_books=exam.order.details.items() >= BOOKED_BY_SENDER.items(),
    )


def ask_for_place(exam: Exam, *, why: str, at: datetime) -> None:
    """Put before a person that an exam has no place."""
    if set_booking_blocked(exam, why):
        record(
            site_id=exam.site_id,
            kind=FactKind.BOOKING_FAILED,
            at=at,
            by=BY_RULE,
            accession=exam.accession,
            patient=exam.patient_id,
            data={"why": why},
            simulated=exam.simulated,
        )
    raise_item(
        site_id=exam.site_id,
        kind=ItemKind.NO_PLACE,
        key=no_place_key(exam.accession),
        at=at,
        text=why,
        accession=exam.accession,
        patient=exam.patient_id,
    )


def waiting_in_order(*, site_id: int) -> list[int]:
    """Accepted exams that a person was asked to place, the first to be booked first; at most WAITING_AT_ONCE_MAX.

    Worth trying again (`book_by_policy`, each in a transaction of its own) when a room is ready or a place was freed.
    """
    asked = Item.objects.filter(site=site_id, kind=ItemKind.NO_PLACE, closed_at=None).values("accession")
    waiting = [
        Waiting(
            exam_id=exam.pk,
            priority=Priority(exam.priority),
            emergency=exam.order.patient_class == EMERGENCY_CLASS,
            due_at=exam.due_at,
            requested_at=exam.requested_at,
            created_at=exam.created_at,
        )
        for exam in Exam.objects.filter(
            site=site_id, triage=TriageState.ACCEPTED, accession__in=asked
        ).select_related("order")
    ]
    return [w.exam_id for w in in_order_of_booking(waiting)][:WAITING_AT_ONCE_MAX]
