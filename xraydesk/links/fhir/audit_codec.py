"""FHIR R4 AuditEvent: who looked at whose record, after IHE BALP (Basic Audit Log Patterns). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from xraydesk.links.fhir.elements_codec import Resource, concept, filled, instant, reference

DCM = "http://dicom.nema.org/resources/ontology/DCM"
EVENT_TYPE = "http://terminology.hl7.org/CodeSystem/audit-event-type"
RESTFUL = "http://hl7.org/fhir/restful-interaction"
OBJECT_TYPE = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
OBJECT_ROLE = "http://terminology.hl7.org/CodeSystem/object-role"

ACTIONS = {"create": "C", "update": "U", "search-type": "E", "operation": "E"}
"""What was done to AuditEvent.action; a look is `R`."""

FHIR_WORD = "FHIR"


@dataclass(frozen=True)
class ReadFacts:
    """One line of the log of who read what. `what` names the page, or `FHIR`, what was done and the type."""

    id: str
    at: datetime
    who: str
    patient_id: str
    accession: str
    what: str
    reason: str
    site: str


def audit_event(facts: ReadFacts) -> Resource:
    """An AuditEvent resource: agent, patient, and what was done."""
    by_fhir, done = read_what(facts.what)
    kind = {"system": EVENT_TYPE, "code": "rest", "display": "Restful Operation"}
    page = {"system": DCM, "code": "110110", "display": "Patient Record"}
    role = {"system": OBJECT_ROLE, "code": "1", "display": "Patient"}
    person = {"system": OBJECT_TYPE, "code": "1", "display": "Person"}
    entities = [filled(what=reference("Patient", facts.patient_id), type=person, role=role)]
    if facts.accession:
        entities.append({"what": {"identifier": {"value": facts.accession}}, "description": facts.what})
    return filled(
        resourceType="AuditEvent",
        id=facts.id,
        type=kind if by_fhir else page,
        subtype=[{"system": RESTFUL, "code": done, "display": done}]
        if by_fhir
        else [{"display": facts.what}],
        action=ACTIONS.get(done, "R"),
        recorded=instant(facts.at),
        outcome="0",
        purposeOfEvent=[concept(facts.reason)] if facts.reason else [],
        agent=[{"who": {"display": facts.who}, "requestor": True}],
        source={"observer": {"display": f"xraydesk {facts.site}"}},
        entity=entities,
    )


def read_what(what: str) -> tuple[bool, str]:
    """Whether something was done by FHIR, and what was done in FHIR's word for it."""
    word, _, rest = what.partition(" ")
    if word != FHIR_WORD:
        return False, "read"
    done = rest.partition(" ")[0]
    return True, {"search": "search-type"}.get(done, done)
