"""After which facts a FHIR resource is another one: whoever is told of such resources is told then. Pure."""

from __future__ import annotations

from xraydesk.facts.kinds import FactKind

APPOINTMENTS = (
    FactKind.EXAM_BOOKED,
    FactKind.EXAM_MOVED,
    FactKind.BOOKING_RELEASED,
    FactKind.NO_SHOW,
    FactKind.NO_SHOW_UNDONE,
    FactKind.PATIENT_ARRIVED,
    FactKind.ARRIVAL_UNDONE,
    FactKind.EXAM_TAKEN,
    FactKind.EXAM_ENDED,
    FactKind.EXAM_DISCONTINUED,
    FactKind.ORDER_CANCELLED,
    FactKind.EXAM_CANCELLED,
)
STUDIES = (
    FactKind.EXAM_ENDED,
    FactKind.EXAM_DISCONTINUED,
    FactKind.IMAGE_MATCHED,
    FactKind.IMAGE_MOVED,
    FactKind.IMAGE_REJECTED,
    FactKind.DECISION_UNDONE,
    FactKind.OUTSIDE_TAKEN,
)
FINDINGS = (
    FactKind.FINDING_OPENED,
    FactKind.FINDING_DISMISSED,
    FactKind.FINDING_CALLED,
    FactKind.FINDING_ESCALATED,
    FactKind.FINDING_READ_BACK,
)
