"""FHIR R4 Appointment, Slot, Schedule, Location and Practitioner: the plan, and what it is made of. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from xraydesk.links.fhir.elements_codec import (
    Resource,
    concept,
    filled,
    identifier,
    instant,
    own_concept,
    period,
    reference,
)

PHYSICAL_TYPE = "http://terminology.hl7.org/CodeSystem/location-physical-type"
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

BOOKING_STATUS = {
    "held": "pending",
    "booked": "booked",
    "done": "fulfilled",
    "no-show": "noshow",
    "released": "cancelled",
    "cancelled": "cancelled",
}
"""State of a booking to Appointment.status; one whose patient has come is `arrived`."""


@dataclass(frozen=True)
class LocationFacts:
    """What a Location resource tells of a room. `hours` maps a weekday (`mon`…) to pairs of wall times."""

    id: str
    code: str
    name: str
    kind: str
    building: str
    down: bool
    retired: bool
    hours: Mapping[str, Sequence[Sequence[str]]]


def location(facts: LocationFacts) -> Resource:
    """A Location resource: a room or a portable unit."""
    portable = facts.kind == "portable"
    place = ("ve", "Vehicle") if portable else ("ro", "Room")
    open_hours = [
        filled(
            daysOfWeek=[day],
            allDay=(pair[0] == pair[1]) or None,
            openingTime=None if pair[0] == pair[1] else f"{pair[0]}:00",
            closingTime=None if pair[0] == pair[1] else f"{pair[1]}:00",
        )
        for day in WEEKDAYS
        for pair in facts.hours.get(day, ())
    ]
    return filled(
        resourceType="Location",
        id=facts.id,
        identifier=[identifier(facts.code)],
        status="inactive" if facts.retired else "suspended" if facts.down else "active",
        name=facts.name,
        mode="instance",
        physicalType=concept(code=place[0], system=PHYSICAL_TYPE, display=place[1]),
        partOf={"display": facts.building},
        hoursOfOperation=open_hours,
    )


@dataclass(frozen=True)
class PractitionerFacts:
    """What a Practitioner resource tells of somebody who makes x-ray images."""

    id: str
    code: str
    name: str
    retired: bool


def practitioner(facts: PractitionerFacts) -> Resource:
    """A Practitioner resource."""
    return {
        "resourceType": "Practitioner",
        "id": facts.id,
        "identifier": [identifier(facts.code)],
        "active": not facts.retired,
        "name": [{"text": facts.name}],
    }


@dataclass(frozen=True)
class ScheduleFacts:
    """What a Schedule resource tells: a room, and how far ahead it is planned."""

    id: str
    room_id: str
    room_name: str
    active: bool
    start: datetime
    end: datetime


def schedule(facts: ScheduleFacts) -> Resource:
    """A Schedule resource: the plan of one room."""
    return {
        "resourceType": "Schedule",
        "id": facts.id,
        "active": facts.active,
        "actor": [reference("Location", facts.room_id, facts.room_name)],
        "planningHorizon": period(facts.start, facts.end),
    }


@dataclass(frozen=True)
class AppointmentFacts:
    """What an Appointment resource tells of one booking. `slot_ids` are free no more, but say which place it was."""

    id: str
    state: str
    arrived: bool
    accession: str
    request_id: str
    patient_id: str
    room_id: str
    room_name: str
    technologist_id: str
    technologist_name: str
    code: str
    code_system: str
    text: str
    start: datetime
    end: datetime
    created_at: datetime
    why_ended: str
    slot_ids: tuple[str, ...] = ()


def appointment(facts: AppointmentFacts) -> Resource:
    """An Appointment resource: a place that an exam has, or had."""
    cancelled = BOOKING_STATUS[facts.state] == "cancelled"
    actors = [
        reference("Patient", facts.patient_id),
        reference("Location", facts.room_id, facts.room_name),
        reference("Practitioner", facts.technologist_id, facts.technologist_name),
    ]
    return filled(
        resourceType="Appointment",
        id=facts.id,
        identifier=[identifier(facts.accession, kind="ACSN")],
        status="arrived" if facts.arrived and facts.state == "booked" else BOOKING_STATUS[facts.state],
        cancelationReason={"text": facts.why_ended} if cancelled and facts.why_ended else {},
        serviceType=[own_concept(facts.code, facts.code_system, facts.text)],
        description=facts.text,
        start=instant(facts.start),
        end=instant(facts.end),
        minutesDuration=int((facts.end - facts.start).total_seconds() // 60),
        slot=[reference("Slot", key) for key in facts.slot_ids],
        created=instant(facts.created_at),
        basedOn=[reference("ServiceRequest", facts.request_id)],
        participant=[{"actor": actor, "status": "accepted"} for actor in actors if actor],
    )


@dataclass(frozen=True)
class SlotFacts:
    """What a Slot resource tells of one place for one procedure."""

    id: str
    schedule_id: str
    status: str
    code: str
    code_system: str
    text: str
    start: datetime
    end: datetime


def slot(facts: SlotFacts) -> Resource:
    """A Slot resource."""
    return {
        "resourceType": "Slot",
        "id": facts.id,
        "serviceType": [own_concept(facts.code, facts.code_system, facts.text)],
        "schedule": reference("Schedule", facts.schedule_id),
        "status": facts.status,
        "start": facts.start.isoformat(),
        "end": facts.end.isoformat(),
    }


def proposed(slot: Resource, *, room_id: str, patient: str) -> Resource:
    """An Appointment that could be had: a free slot, and for whom. It is nowhere kept, so it has no id."""
    actors = (
        [reference("Location", room_id), {"reference": patient}]
        if patient
        else [reference("Location", room_id)]
    )
    return {
        "resourceType": "Appointment",
        "status": "proposed",
        "serviceType": slot["serviceType"],
        "start": slot["start"],
        "end": slot["end"],
        "slot": [reference("Slot", slot["id"])],
        "participant": [{"actor": actor, "status": "needs-action"} for actor in actors],
    }
