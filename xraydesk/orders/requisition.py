"""What a message or a form asks for; frozen, without a database."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from xraydesk.orders.states import Priority
from xraydesk.patients.demographics import Demographics
from xraydesk.siteplan.link_plan import OrderControl

BOOKED_BY_SENDER = {"booking": "sender"}
"""Among an order's details: its place is asked for by whoever sent it, and the desk finds it none by itself."""


@dataclass(frozen=True)
class RequestedExam:
    """One exam asked for (one OBR). Numbers that the sender assigned are kept, empty where it gave none."""

    code: str
    text: str = ""
    system: str = ""
    laterality: str = ""
    accession: str = ""
    filler: str = ""
    study_instance_uid: str = ""
    requested_procedure_id: str = ""
    scheduled_step_id: str = ""
    priority: Priority = Priority.ROUTINE
    requested_at: datetime | None = None
    requested_at_as_sent: str = ""
    reason: str = ""
    clinical_information: str = ""


@dataclass(frozen=True)
class Requisition:
    """One order as it was asked for (one ORC with its OBRs), with its patient."""

    control: OrderControl
    patient: Demographics
    placer: str
    placer_authority: str
    exams: tuple[RequestedExam, ...]
    filler: str = ""
    provider_id: str = ""
    provider_name: str = ""
    provider_phone: str = ""
    transport: str = ""
    details: dict[str, str] = field(default_factory=dict)
    status: str = ""
    """How far the sender says that the order is (ORC-5)."""
