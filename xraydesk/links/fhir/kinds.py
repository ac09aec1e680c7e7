"""What is served: each type with what it is searched by. The CapabilityStatement is made of this table, and so is the page in docs/."""

from __future__ import annotations

from xraydesk.links.fhir import slots
from xraydesk.links.fhir.house_sources import AUDIT, CONCEPT_MAP, SUBSCRIPTION
from xraydesk.links.fhir.kind import UPDATED, VALIDATE, Kind
from xraydesk.links.fhir.plan_sources import (
    APPOINTMENT,
    LOCATION,
    PRACTITIONER,
    SCHEDULE,
    SLOT,
    TRANSPORT,
    TRIAGE,
)
from xraydesk.links.fhir.record_sources import COMMUNICATION, COVERAGE, PATIENT, REPORT, REQUEST, STUDY

IHE_SCHEDULING = "https://profiles.ihe.net/ITI/Scheduling/OperationDefinition/"
BACKPORT_OPERATION = "http://hl7.org/fhir/uv/subscriptions-backport/OperationDefinition/"

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "Patient",
            "a patient, with every number and its issuer",
            (PATIENT,),
            {"name": "name_folded", "family": "name_folded"} | UPDATED,
            ("create", "update"),
            VALIDATE
            | {
                "match": "http://hl7.org/fhir/OperationDefinition/Patient-match",
                "everything": "http://hl7.org/fhir/OperationDefinition/Patient-everything",
            },
        ),
        Kind(
            "ServiceRequest",
            "one exam, not one order: its placer number, accession and study UID are identifiers",
            (REQUEST,),
            {"authored": "created_at"} | UPDATED,
            ("create", "update"),
        ),
        Kind(
            "Appointment",
            "a place in the plan, with its room, technologist and patient; those that are over stay",
            (APPOINTMENT,),
            {"date": "during__startswith"} | UPDATED,
            ("update",),
            VALIDATE | {name: f"{IHE_SCHEDULING}appointment-{name}" for name in ("find", "hold", "book")},
        ),
        Kind(
            "Slot",
            "a free place for a procedure (`service-type`); found anew each time",
            (SLOT,),
            finder=slots.found_slots,
        ),
        Kind("Schedule", "the plan of one room", (SCHEDULE,)),
        Kind(
            "ImagingStudy",
            "the images of an exam that belong to it; quarantined ones are none of it",
            (STUDY,),
            dict(UPDATED),
        ),
        Kind(
            "DiagnosticReport",
            "what was read of an exam, in its last version, with its whole text",
            (REPORT,),
            {"issued": "said_at", "_lastUpdated": "changed_at"},
        ),
        Kind(
            "Communication",
            "a critical result: whom it is for, and each attempt to tell them",
            (COMMUNICATION,),
        ),
        Kind("Task", "a porter's job (`transport`), or a decision in triage (`triage`)", (TRANSPORT, TRIAGE)),
        Kind(
            "Coverage",
            "who pays, as it was sent",
            (COVERAGE,),
            {"_lastUpdated": "changed_at"},
            writes=("create", "update"),
        ),
        Kind("Location", "a room or a portable unit, with its hours", (LOCATION,), {"name": "name"}),
        Kind("Practitioner", "somebody who makes x-ray images", (PRACTITIONER,), {"name": "name"}),
        Kind(
            "ConceptMap",
            "the department's codes beside those of a table that the site loaded (LOINC, RadLex, SNOMED)",
            (CONCEPT_MAP,),
            {"_lastUpdated": "at"},
            operations=VALIDATE
            | {"translate": "http://hl7.org/fhir/OperationDefinition/ConceptMap-translate"},
        ),
        Kind(
            "Subscription",
            "a program that is called when something changes: each sees its own",
            (SUBSCRIPTION,),
            {"_lastUpdated": "changed_at"},
            ("create", "delete"),
            VALIDATE | {"status": f"{BACKPORT_OPERATION}backport-subscription-status"},
            of_access=True,
            of_programs=True,
        ),
        Kind(
            "AuditEvent",
            "who looked at whose record (IHE BALP)",
            (AUDIT,),
            {"date": "at", "_lastUpdated": "at"},
            of_access=True,
        ),
    )
}
"""What is served; `/metadata` lists just this."""
