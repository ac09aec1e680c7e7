"""FHIR R4 DiagnosticReport and Communication: what was read, and who was told of it. Pure."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from xraydesk.links.fhir.elements_codec import (
    Coded,
    Resource,
    concept,
    filled,
    identifier,
    instant,
    own_concept,
    reference,
)

V2_SERVICE_SECTION = "http://terminology.hl7.org/CodeSystem/v2-0074"
COMMUNICATION_CATEGORY = "http://terminology.hl7.org/CodeSystem/communication-category"

REPORT_STATES: dict[str, tuple[str, ...]] = {
    "preliminary": ("preliminary",),
    "final": ("final",),
    "corrected": ("corrected",),
    "amended": ("corrected",),
    "cancelled": ("cancelled",),
}
"""DiagnosticReport.status to the states of a report; a corrected one is an amended one too, any other status is of none."""

FINDING_STATUS = {
    "suspected": "preparation",
    "open": "in-progress",
    "read back": "completed",
    "dismissed": "not-done",
}
"""State of a finding that must be told to Communication.status."""

FINDING_PRIORITY = {1: "stat", 2: "urgent", 3: "routine"}
"""How soon somebody must hear of it (ACR categories) to Communication.priority."""


DOCUMENT_INLINE_BYTES_MAX = 3_145_728
"""The bytes of a larger document are not in the resource; its title and size are."""


@dataclass(frozen=True)
class DocumentFacts:
    """A document beside a report."""

    kind: str
    title: str
    size_bytes: int
    made_at: datetime


@dataclass(frozen=True)
class ReportFacts:
    """What a DiagnosticReport resource tells. `study_id` is "" where no image is here."""

    id: str
    patient_id: str
    request_id: str
    study_id: str
    accession: str
    state: str
    code: str
    code_system: str
    code_text: str
    begun_at: datetime | None
    said_at: datetime
    radiologist: str
    text: str
    impression: str
    codes: Sequence[Coded] = ()
    """What the exam is in tables of others."""
    documents: Sequence[DocumentFacts] = ()


def diagnostic_report(facts: ReportFacts) -> Resource:
    """A DiagnosticReport resource: what was read, in its last version. Its presented forms are the whole text and every document."""
    whole = "\n".join(part for part in (facts.text, facts.impression) if part)
    form = {"contentType": "text/plain; charset=utf-8", "data": base64.b64encode(whole.encode()).decode()}
    return filled(
        resourceType="DiagnosticReport",
        id=facts.id,
        identifier=[identifier(facts.accession, kind="ACSN")],
        basedOn=[reference("ServiceRequest", facts.request_id)],
        status=facts.state,
        category=[concept(code="RAD", system=V2_SERVICE_SECTION)],
        code=own_concept(facts.code, facts.code_system, facts.code_text, facts.codes),
        subject=reference("Patient", facts.patient_id),
        effectiveDateTime=instant(facts.begun_at),
        issued=instant(facts.said_at),
        resultsInterpreter=[{"display": facts.radiologist}] if facts.radiologist else [],
        imagingStudy=[reference("ImagingStudy", facts.study_id)] if facts.study_id else [],
        conclusion=facts.impression or facts.text,
        presentedForm=[*([form] if whole else []), *(_presented(one) for one in facts.documents)],
    )


def _presented(document: DocumentFacts) -> Resource:
    """A document as an Attachment, without its bytes."""
    return filled(
        contentType=document.kind,
        size=document.size_bytes,
        title=document.title,
        creation=instant(document.made_at),
    )


def with_documents(report: Resource, contents: Sequence[bytes]) -> Resource:
    """A DiagnosticReport with the bytes of its documents, which are its last presented forms; empty ones stay out.

    They are put in once its version is reckoned, which is the same with them and without.
    """
    forms = report["presentedForm"]
    first = len(forms) - len(contents)
    told = [
        form | ({"data": base64.b64encode(content).decode()} if content else {})
        for form, content in zip(forms[first:], contents, strict=True)
    ]
    return report | {"presentedForm": [*forms[:first], *told]}


@dataclass(frozen=True)
class CallFacts:
    """One attempt to tell somebody: when, how, and what came of it."""

    at: datetime
    way: str
    recipient: str
    outcome: str
    read_back: str


@dataclass(frozen=True)
class FindingFacts:
    """What a Communication resource tells of one finding that must be told."""

    id: str
    patient_id: str
    request_id: str
    report_id: str
    state: str
    category: int
    words: str
    opened_at: datetime | None
    read_back_at: datetime | None
    people: tuple[str, ...]
    calls: tuple[CallFacts, ...]


def communication(facts: FindingFacts) -> Resource:
    """A Communication resource: a critical result, whom it is for, and each attempt to tell them."""
    return filled(
        resourceType="Communication",
        id=facts.id,
        basedOn=[reference("ServiceRequest", facts.request_id)],
        status=FINDING_STATUS[facts.state],
        category=[concept(code="alert", system=COMMUNICATION_CATEGORY)],
        priority=FINDING_PRIORITY[facts.category],
        subject=reference("Patient", facts.patient_id),
        about=[reference("DiagnosticReport", facts.report_id)] if facts.report_id else [],
        sent=instant(facts.opened_at),
        received=instant(facts.read_back_at),
        recipient=[{"display": name} for name in facts.people],
        payload=[{"contentString": facts.words}] if facts.words else [],
        note=[{"time": call.at.isoformat(), "text": _attempt(call)} for call in facts.calls],
    )


def _attempt(call: CallFacts) -> str:
    said = f", read back: {call.read_back}" if call.read_back else f": {call.outcome}"
    return f"{call.way}, {call.recipient or 'nobody reached'}{said}"
