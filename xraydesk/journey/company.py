"""Whoever goes along with a patient follows the exam's place: an interpreter, an escort."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange

from xraydesk.attention.actions import close_items, raise_item
from xraydesk.attention.kinds import ItemKind
from xraydesk.journey.ask import ask_of, helpers_of
from xraydesk.journey.places import EDGE
from xraydesk.orders.queries import lock_exam
from xraydesk.scheduling import actions
from xraydesk.scheduling.engine.ahead import Ask, Helper, HelperKind
from xraydesk.scheduling.engine.spans import Span
from xraydesk.scheduling.models import Attendance, Booking
from xraydesk.scheduling.queries import live_booking
from xraydesk.scheduling.states import BookingState, Going

BY_RULE = "rule"


def nobody_along_key(accession: str) -> str:
    """The key of the item about an exam with which nobody goes along who should."""
    return f"nobody along:{accession}"


@transaction.atomic
def keep_company(*, exam_id: int, at: datetime) -> None:
    """Keep the time of an interpreter or escort for an exam that was booked or moved, or ask a person. Safe to run again."""
    exam = lock_exam(exam_id)
    if exam is None:
        return
    booking = live_booking(exam.pk)
    ask = ask_of(exam, at=at)
    wanted = {Going.INTERPRETER: bool(ask.language), Going.ESCORT: ask.escort}
    missing: list[str] = []
    if booking is not None and booking.state == BookingState.BOOKED and any(wanted.values()):
        actions.lock_places(
            room_ids=[booking.room_id],
            technologist_ids=[booking.technologist_id],
            patient_ids=[exam.patient_id],
            company_of=exam.site_id,
        )
        whole = Span(booking.during.lower - ask.need.preparation, booking.during.upper)
        there = _who_is_there(booking, whole)
        helpers = helpers_of(
            site=exam.site, asks=[ask], since=whole.start - EDGE, until=whole.end + EDGE, at=at
        )
        missing = [
            _missing_words(going, ask)
            for going, needed in wanted.items()
            if needed
            and going not in there
            and not _join(booking, going, whole, helpers, ask.language, at=at)
        ]
    if missing:
        raise_item(
            site_id=exam.site_id,
            kind=ItemKind.NOBODY_ALONG,
            key=nobody_along_key(exam.accession),
            at=at,
            text=" ".join(missing),
            accession=exam.accession,
            patient=exam.patient_id,
        )
    else:
        key = nobody_along_key(exam.accession)
        close_items(
            site_id=exam.site_id, key=key, at=at, by=BY_RULE, how="somebody goes along, or nobody needs to"
        )


def _who_is_there(booking: Booking, whole: Span) -> set[str]:
    """What those do who are with the patient for all of it: kept for this exam, or for another of the same visit."""
    found = Attendance.objects.filter(
        site=booking.site_id,
        live=True,
        booking__patient=booking.patient_id,
        booking__state=BookingState.BOOKED,
        during__contains=DateTimeTZRange(whole.start, whole.end),
    )
    return set(found.values_list("going", flat=True))


def _join(
    booking: Booking, going: Going, whole: Span, helpers: list[Helper], language: str, *, at: datetime
) -> bool:
    # Somebody who was kept for another time of this exam is not kept twice.
    actions.drop_company(booking, [going])
    speaks = language if going is Going.INTERPRETER else ""
    able = (
        h
        for h in helpers
        if h.kind is HelperKind(going.value)
        and (not speaks or speaks in h.languages)
        and h.free.covers(*whole)
    )
    return any(
        actions.add_company(booking, actions.Company(going, whole, companion_id=h.key), at=at) for h in able
    )


def _missing_words(going: Going, ask: Ask) -> str:
    if going is Going.INTERPRETER:
        return (
            f"Nobody is free then who interprets {ask.language}. Find another time, or somebody from outside."
        )
    made_ready = (
        f" from {ask.need.preparation // timedelta(minutes=1)} minutes before" if ask.need.preparation else ""
    )
    return f"Nobody is free to stay with the patient{made_ready}. Find another time, or somebody."
