"""The patient is here, or is not after all."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from xraydesk.access.models import Site
from xraydesk.facts.kinds import FactKind
from xraydesk.imaging.queries import standing_states
from xraydesk.journey.book import (
    ask_for_place,
    book_exam,
    has_begun,
    hold_department,
    locked_exam,
    tell_booking,
    undo_no_show,
)
from xraydesk.journey.errors import NoPlace, PlaceTaken, WrongState
from xraydesk.journey.policy import policies_of
from xraydesk.lib import clock
from xraydesk.orders.models import Exam
from xraydesk.orders.states import TriageState
from xraydesk.scheduling import actions
from xraydesk.scheduling.models import Booking
from xraydesk.scheduling.queries import live_booking
from xraydesk.scheduling.rules import booking_way
from xraydesk.scheduling.states import BookingState
from xraydesk.siteplan.policies import BookingWay

EXAMS_AT_ONCE_MAX = 50
"""No patient has more exams open at once than this."""


@transaction.atomic
def arrive(*, exam_id: int, at: datetime, by: str) -> Booking:
    """The patient is here for an exam. One without a place is given the next free one; a no-show is taken back.

    Arrived already: nothing changes. Raises UnknownExam, WrongState, NoPlace, and PlaceTaken
    with other places where a no-show's place has gone.
    """
    exam = locked_exam(exam_id)
    if has_begun(exam):
        raise WrongState(f"Exam {exam.accession} has begun, so its patient is here.")
    booking = live_booking(exam.pk)
    if booking and booking.state == BookingState.NO_SHOW:
        booking = undo_no_show(exam_id=exam_id, at=at, by=by)
    if booking is None:
        booking = book_exam(exam_id=exam_id, at=at, by=by)
    if booking.state != BookingState.BOOKED:
        raise WrongState(f"The place of exam {exam.accession} is {booking.state}; nobody is expected for it.")
    return _mark(exam, booking, at=at, by=by)


def _mark(exam: Exam, booking: Booking, *, at: datetime, by: str) -> Booking:
    if booking.arrived_at is None:
        actions.mark_arrived(booking, at=at)
        tell_booking(exam, FactKind.PATIENT_ARRIVED, booking, at=at, by=by)
    return booking


@transaction.atomic
def undo_arrival(*, exam_id: int, at: datetime, by: str) -> Booking:
    """The patient is not here after all; the place stays. Raises UnknownExam, WrongState."""
    exam = locked_exam(exam_id)
    booking = live_booking(exam.pk)
    if booking is None or booking.state != BookingState.BOOKED or booking.arrived_at is None:
        raise WrongState(f"The patient of exam {exam.accession} has not arrived.")
    if standing_states(exam.pk):
        raise WrongState(f"Exam {exam.accession} has begun, so its patient is here.")
    actions.unmark_arrived(booking)
    tell_booking(exam, FactKind.ARRIVAL_UNDONE, booking, at=at, by=by)
    return booking


@transaction.atomic
def patient_is_here(*, site: Site, patient_id: int, at: datetime, by: str) -> list[Booking]:
    """The hospital says that a patient is here: today's exams have arrived, those booked on arrival get a place.

    Who was taken for a no-show has come after all. An exam for which there is no place becomes an item. Exams that have begun, are held or
    belong to another day are left as they are. Safe to run again.
    """
    open_exams = (
        Exam.objects.filter(site=site, patient=patient_id, triage=TriageState.ACCEPTED)
        .exclude(bookings__state=BookingState.DONE)
        .order_by("id")
    )
    # Every exam's lock comes before the first lock of a place, as everywhere.
    ids = list(open_exams.values_list("pk", flat=True)[:EXAMS_AT_ONCE_MAX])
    locked = [locked_exam(pk) for pk in ids]
    exams = [e for e in locked if e.triage == TriageState.ACCEPTED and not standing_states(e.pk)]
    first, after = clock.day_bounds(clock.local_day(at, site.timezone), site.timezone)
    bookings = {exam.pk: live_booking(exam.pk) for exam in exams}
    without_place = [e for e in exams if bookings[e.pk] is None and _is_booked_now(e, before=after)]
    if without_place:
        hold_department(site=site, patient_id=patient_id)
    here: list[Booking] = []
    for exam in exams:
        booking = bookings[exam.pk]
        if booking and booking.state == BookingState.BOOKED and first <= booking.during.lower < after:
            here.append(_mark(exam, booking, at=at, by=by))
        elif booking and booking.state == BookingState.NO_SHOW and first <= booking.during.lower < after:
            here += _came_after_all(exam, at=at, by=by)
    for exam in without_place:
        try:
            with transaction.atomic():
                booked = book_exam(exam_id=exam.pk, at=at, by=by)
        except (NoPlace, PlaceTaken) as trouble:
            ask_for_place(exam, why=f"The patient is here. {trouble}", at=at)
            continue
        if first <= booked.during.lower < after:
            _mark(exam, booked, at=at, by=by)
        here.append(booked)
    return here


def _came_after_all(exam: Exam, *, at: datetime, by: str) -> list[Booking]:
    """A no-show of today who is here: back in the same place, or an item where it has gone."""
    try:
        with transaction.atomic():
            booking = undo_no_show(exam_id=exam.pk, at=at, by=by)
    except PlaceTaken as trouble:
        ask_for_place(exam, why=f"The patient came after all. {trouble}", at=at)
        return []
    return [_mark(exam, booking, at=at, by=by)]


def _is_booked_now(exam: Exam, *, before: datetime) -> bool:
    """True for an exam that waited for its patient and is not wished for on a later day."""
    way = booking_way(policies_of(exam.site).booking, exam.order.patient_class)
    return way is BookingWay.ON_ARRIVAL and (exam.requested_at is None or exam.requested_at < before)
