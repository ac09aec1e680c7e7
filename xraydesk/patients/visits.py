"""What news of a stay makes of it; pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from xraydesk.patients.demographics import VisitDetails
from xraydesk.patients.events import PatientEvent

ACTIVE, ENDED, CANCELLED = "active", "ended", "cancelled"
"""The states of a stay, as `patients.models.Visit.State` keeps them."""

STATE_AFTER = {
    PatientEvent.ADMIT: ACTIVE,
    PatientEvent.TRANSFER: ACTIVE,
    PatientEvent.DISCHARGE: ENDED,
    PatientEvent.REGISTER: ACTIVE,
    PatientEvent.ARRIVE: ACTIVE,
    PatientEvent.CANCEL_ADMIT: CANCELLED,
    PatientEvent.CANCEL_TRANSFER: ACTIVE,
    PatientEvent.CANCEL_DISCHARGE: ACTIVE,
}
"""What each event makes of a stay; an update leaves it as it is."""

CLASS_AFTER = {PatientEvent.ADMIT: "I", PatientEvent.REGISTER: "O"}
"""HL7 table 0004 class where the message gives none."""

LENGTH_MAX = 64


@dataclass(frozen=True)
class Stay:
    """One stay: whether it goes on, as what, where the patient lies, from when to when."""

    state: str
    patient_class: str
    ward: str
    bed: str
    started_at: datetime | None
    ended_at: datetime | None


def says_something(event: PatientEvent, said: VisitDetails) -> bool:
    """False for an update that speaks of the person alone."""
    if event is not PatientEvent.UPDATE:
        return True
    return bool(said.number or said.ward or said.bed)


def after(event: PatientEvent, before: Stay | None, said: VisitDetails, *, at: datetime) -> Stay:
    """The stay after `event`. What the message leaves empty stays; a bed belongs to its ward, so a ward brings its own."""
    state = STATE_AFTER.get(event) or (before.state if before else ACTIVE)
    ward = said.ward[:LENGTH_MAX] or (before.ward if before else "")
    bed = said.bed[:LENGTH_MAX] if said.ward or said.bed else (before.bed if before else "")
    ended_at = (said.discharged_at or (before.ended_at if before else None) or at) if state == ENDED else None
    return Stay(
        state=state,
        patient_class=said.patient_class[:1]
        or (before.patient_class if before else "")
        or CLASS_AFTER.get(event, ""),
        ward=ward,
        bed=bed,
        started_at=said.admitted_at or (before.started_at if before else None) or at,
        ended_at=ended_at,
    )
