"""Appointments as SIU tells them (HL7 2.5.1 §10.4): new, moved, changed, cancelled, not come; pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from xraydesk.facts.kinds import FactKind
from xraydesk.links.hl7.outgoing_header import DESK, OrderTold, PatientTold, patient_segments
from xraydesk.links.hl7.reader import Segment, written
from xraydesk.links.hl7.times import write_time


class Event(StrEnum):
    """What happened to an appointment."""

    NEW = "S12"
    MOVED = "S13"
    CHANGED = "S14"
    CANCELLED = "S15"
    NO_SHOW = "S26"


STATUS = {
    Event.NEW: "Booked",
    Event.MOVED: "Booked",
    Event.CHANGED: "Booked",
    Event.CANCELLED: "Cancelled",
    Event.NO_SHOW: "Noshow",
}
"""SCH-25, HL7 table 0278."""

DEPARTMENT: list[object] = ["D", "Department"]
"""AIL-4, HL7 table 0305."""

TECHNOLOGIST: list[object] = ["TECH", "Technologist"]
"""AIP-4, HL7 table 0182, which each site fills."""

PLACED = (FactKind.EXAM_BOOKED, FactKind.EXAM_MOVED, FactKind.EXAM_TAKEN)
ENDED = (FactKind.BOOKING_RELEASED, FactKind.EXAM_CANCELLED, FactKind.ORDER_CANCELLED)
CHANGED = (FactKind.PRIORITY_CHANGED, FactKind.ORDER_CHANGED, FactKind.NO_SHOW_UNDONE)
KINDS = (*PLACED, *ENDED, *CHANGED, FactKind.NO_SHOW)
"""Facts that may be told as an appointment."""


@dataclass(frozen=True)
class AppointmentTold:
    """An appointment as it goes out. Times are aware, in the zone that they are written in."""

    start: datetime
    minutes: int
    room: str
    room_name: str
    technologist: str = ""
    reason: str = ""


def event_for(kind: FactKind, *, is_told: bool, is_given: bool) -> Event | None:
    """What a fact is told as; None where it is told nobody.

    `is_told` says whether the other system has an appointment for this exam, `is_given` whether somebody gave
    the time: no appointment goes out for a time that nobody gave. One that is out is kept right, whoever moved it.
    """
    if kind in PLACED:
        if is_told:
            return Event.MOVED
        return Event.NEW if is_given else None
    if not is_told:
        return None
    if kind in ENDED:
        return Event.CANCELLED
    if kind is FactKind.NO_SHOW:
        return Event.NO_SHOW
    return Event.CHANGED if kind in CHANGED else None


def still_told(event: Event) -> bool:
    """Whether the other system still has the appointment after an event."""
    return event is not Event.CANCELLED


def appointment_segments(
    event: Event, order: OrderTold, patient: PatientTold, told: AppointmentTold
) -> list[Segment]:
    """SCH, PID, PV1, RGS and the resources: service, place, technologist."""
    start, end = write_time(told.start), write_time(told.start + timedelta(minutes=told.minutes))
    timing: list[object] = ["", "", str(told.minutes), start, end]
    sch: list[object] = [""] * 27
    sch[0], sch[1] = order.placer_field, [order.filler]
    sch[5] = [
        str(event),
        {"S12": "New", "S13": "Moved", "S15": "Cancelled", "S26": "Did not come"}.get(event, "Changed"),
    ]
    sch[6] = ["", told.reason] if told.reason else ""
    sch[8], sch[9] = str(told.minutes), ["min"]
    sch[10] = timing
    sch[11], sch[15], sch[19] = order.provider_field, DESK, DESK
    sch[24] = STATUS[event]
    sch[25], sch[26] = order.placer_field, [order.filler]
    seconds: list[object] = [start, "", "", str(told.minutes), "min"]
    resources = [
        written("AIS", ["1", "", order.procedure_field, *seconds]),
        written(
            "AIL",
            ["1", "", [told.room, "", "", "", "", "", "", "", told.room_name], DEPARTMENT, "", *seconds],
        ),
    ]
    if told.technologist:
        resources.append(written("AIP", ["1", "", [told.technologist], TECHNOLOGIST, "", *seconds]))
    return [
        written("SCH", sch),
        *patient_segments(patient),
        written("RGS", ["1"]),
        *resources,
    ]
