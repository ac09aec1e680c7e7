"""FHIR R4 Task: what somebody here has to do, a porter's way or a decision in triage. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from xraydesk.links.fhir.elements_codec import (
    CODES_PREFIX,
    Resource,
    concept,
    filled,
    instant,
    period,
    reference,
)

TASKS = f"{CODES_PREFIX}task"

TRANSPORT_STATUS = {
    "waiting": "requested",
    "accepted": "accepted",
    "picked up": "in-progress",
    "delivered": "completed",
    "cannot": "failed",
    "cancelled": "cancelled",
}
TRIAGE_STATUS = {
    "waiting": "requested",
    "held": "on-hold",
    "accepted": "completed",
    "cancelled": "cancelled",
}


@dataclass(frozen=True)
class TaskFacts:
    """What a Task resource tells. `code` is `transport` or `triage`, `words` what is to be done."""

    id: str
    code: str
    words: str
    status: str
    request_id: str
    patient_id: str
    priority: str
    authored_at: datetime
    begun_at: datetime | None
    ended_at: datetime | None
    due_at: datetime | None
    owner: str
    why: str


def task(facts: TaskFacts) -> Resource:
    """A Task resource."""
    return filled(
        resourceType="Task",
        id=facts.id,
        status=facts.status,
        statusReason={"text": facts.why} if facts.why else {},
        intent="order",
        priority=facts.priority,
        code=concept(facts.words, facts.code, TASKS),
        description=facts.words,
        focus=reference("ServiceRequest", facts.request_id),
        for_=reference("Patient", facts.patient_id),
        executionPeriod=period(facts.begun_at, facts.ended_at),
        authoredOn=instant(facts.authored_at),
        owner=filled(display=facts.owner),
        restriction=filled(period=period(None, facts.due_at)),
    )
