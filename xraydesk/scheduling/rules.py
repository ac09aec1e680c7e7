"""Deciding how an exam is booked, in which order, and where its block stands on the board. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from xraydesk.orders.states import Priority
from xraydesk.siteplan.plan import KeptFor
from xraydesk.siteplan.policies import BookingWay

ROWS = 4
"""A lane of the board has so many rows."""

ROW_LABEL_MINUTES = 95
"""A block's label needs about so much room until the next block in its row."""

EMERGENCY_CLASS = "E"
IN_HOUSE_CLASSES = frozenset({"E", "I"})
"""HL7 patient classes (table 0004) of patients who lie here and can be fetched at any time."""

ANY_CLASS = "*"
_RANK = {Priority.STAT: 0, Priority.URGENT: 1, Priority.ROUTINE: 2}
_NEVER = datetime.max.replace(tzinfo=UTC)


class Next(StrEnum):
    """What the desk does by itself with an accepted exam that has no place."""

    BOOK = "book"
    WAIT_FOR_PATIENT = "wait for the patient"
    WAIT_FOR_SENDER = "wait for the sender"
    ASK = "ask a person"


@dataclass(frozen=True)
class Decision:
    """What to do, and in words why nothing is booked; empty where it is."""

    next: Next
    why: str = ""


def booking_way(booking: Mapping[str, BookingWay], patient_class: str) -> BookingWay:
    """How patients of a class are booked; the next free place where the site says nothing."""
    fallback = booking.get(ANY_CLASS, BookingWay.NEXT_FREE)
    return booking.get(patient_class.strip().upper(), fallback)


def decide_booking(
    way: BookingWay, *, requested_at: datetime | None, patient_is_here: bool, sender_books: bool = False
) -> Decision:
    """What follows once an exam is accepted. Nobody is given a time that nobody asked for unless the site says so.

    `sender_books` says that the program that sent the order books it too, however the site books others.
    """
    if sender_books:
        return Decision(Next.WAIT_FOR_SENDER, "Waits for its booking by the program that sent the order.")
    match way:
        case BookingWay.NEXT_FREE:
            return Decision(Next.BOOK)
        case BookingWay.ON_ARRIVAL:
            if requested_at or patient_is_here:
                return Decision(Next.BOOK)
            return Decision(Next.WAIT_FOR_PATIENT, "Booked when the patient arrives.")
        case BookingWay.REQUESTED:
            if requested_at:
                return Decision(Next.BOOK)
            return Decision(Next.ASK, "The order asks for no time. Agree on one and place the exam.")
        case _:
            return Decision(Next.ASK, "These patients are booked by a person. Choose a place.")


def is_prompt(priority: Priority) -> bool:
    """True for exams that take the earliest place there is."""
    return priority is not Priority.ROUTINE


def wished_time(priority: Priority, *, patient_class: str, requested_at: datetime | None) -> datetime | None:
    """The time to keep to; None where the earliest place from now is wanted.

    STAT and urgent exams of patients who are here do not wait for a time in the order. An
    outpatient's time is kept whatever the priority: the patient is not here before it.
    """
    if is_prompt(priority) and patient_class.strip().upper() in IN_HOUSE_CLASSES:
        return None
    return requested_at


def claims_of(priority: Priority, patient_class: str) -> frozenset[str]:
    """Whose kept time an exam may use, in the words of the site file."""
    found = {priority.value} - {Priority.ROUTINE.value}
    match patient_class.strip().upper():
        case "E":
            found.add(KeptFor.EMERGENCY)
        case "I":
            found.add(KeptFor.INPATIENT)
    return frozenset(str(one) for one in found)


def is_booked_ahead(priority: Priority, patient_class: str) -> bool:
    """True for those who come from home and can wait: they are booked into published places."""
    return not is_prompt(priority) and patient_class.strip().upper() not in IN_HOUSE_CLASSES


@dataclass(frozen=True)
class Waiting:
    """An exam that waits for a place."""

    exam_id: int
    priority: Priority
    emergency: bool
    due_at: datetime | None
    requested_at: datetime | None
    created_at: datetime


def in_order_of_booking(waiting: Iterable[Waiting]) -> list[Waiting]:
    """Who is booked first: STAT, urgent, routine; in each the emergency department, then by due, wish and age."""
    return sorted(
        waiting,
        key=lambda w: (
            _RANK[w.priority],
            not w.emergency,
            w.due_at or _NEVER,
            w.requested_at or _NEVER,
            w.created_at,
            w.exam_id,
        ),
    )


def row_for(blocks: Iterable[tuple[int, datetime]], start: datetime) -> int:
    """The row of the board for a block that begins at `start`; stored with it and never changed.

    The first row in which the label before it, and its own, have about 95 minutes of room;
    else the row that leaves them the most. `blocks` are (row, start) of those in the lane.
    """
    room = [timedelta(minutes=ROW_LABEL_MINUTES)] * ROWS
    for row, other in blocks:
        if 0 <= row < ROWS:
            room[row] = min(room[row], abs(other - start))
    return room.index(max(room))
