"""FHIR R4 resources from what the desk knows. Pure: frozen dataclasses in, JSON-ready dictionaries out."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from xraydesk.patients.demographics import Identifier, Name

FHIR_VERSION = "4.0.1"
DICOM_UID_SYSTEM = "urn:dicom:uid"
V2_IDENTIFIER_TYPE = "http://terminology.hl7.org/CodeSystem/v2-0203"
V2_SERVICE_SECTION = "http://terminology.hl7.org/CodeSystem/v2-0074"
DCM_SYSTEM = "http://dicom.nema.org/resources/ontology/DCM"

Resource = dict[str, Any]

GENDERS = {"F": "female", "M": "male", "O": "other", "U": "unknown"}
PRIORITIES = {"stat": "stat", "urgent": "urgent", "routine": "routine"}
REQUEST_STATUS = {
    "cancelled": "revoked",
    "discontinued": "revoked",
    "held": "on-hold",
    "ended": "completed",
    "read": "completed",
}
"""Stage to ServiceRequest.status; any other stage is `active`."""


REPORT_STATES: dict[str, tuple[str, ...]] = {
    "preliminary": ("preliminary",),
    "final": ("final",),
    "corrected": ("corrected",),
    "amended": ("corrected",),
    "cancelled": ("cancelled",),
}
"""DiagnosticReport.status to the states of a report; a corrected one is an amended one too, any other status is of none."""


@dataclass(frozen=True)
class PatientFacts:
    """What a Patient resource tells."""

    id: str
    identifiers: tuple[Identifier, ...]
    name: Name
    birth_date: date | None
    sex: str
    phone: str = ""
    deceased: bool = False
    merged_into: str = ""


@dataclass(frozen=True)
class RequestFacts:
    """What a ServiceRequest resource tells of one exam."""

    id: str
    patient_id: str
    placer: str
    placer_authority: str
    accession: str
    study_instance_uid: str
    stage: str
    priority: str
    code: str
    code_system: str
    text: str
    body_part: str
    laterality: str
    authored_at: datetime
    wished_at: datetime | None
    provider_name: str
    reason: str


@dataclass(frozen=True)
class InstanceFacts:
    """One image of a study."""

    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    modality: str
    body_part: str


@dataclass(frozen=True)
class StudyFacts:
    """What an ImagingStudy resource tells."""

    id: str
    patient_id: str
    request_id: str
    study_instance_uid: str
    accession: str
    description: str
    started_at: datetime | None
    instances: tuple[InstanceFacts, ...]


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


def identifier_system(authority: str) -> str:
    """The system of numbers that `authority` gives out: an OID as such, else a name of our own form."""
    if authority and all(part.isdigit() for part in authority.split(".")):
        return f"urn:oid:{authority}"
    return f"urn:xraydesk:issuer:{authority}"


def _identifier(value: str, authority: str, kind: str = "") -> Resource:
    told: Resource = {"value": value}
    if authority:
        told["system"] = identifier_system(authority)
    if kind:
        told["type"] = {"coding": [{"system": V2_IDENTIFIER_TYPE, "code": kind}]}
    return told


def _procedure(code: str, system: str, text: str) -> Resource:
    """What is asked for, as a CodeableConcept."""
    told: Resource = {"text": text or code}
    if code:
        coding = {"code": code, "display": text}
        if system:
            coding["system"] = f"urn:xraydesk:codes:{system}"
        told["coding"] = [{key: value for key, value in coding.items() if value}]
    return told


def patient(facts: PatientFacts) -> Resource:
    """A Patient resource."""
    told: Resource = {"resourceType": "Patient", "id": facts.id, "active": not facts.merged_into}
    if facts.identifiers:
        told["identifier"] = [_identifier(i.value, i.authority, i.type) for i in facts.identifiers]
    given = [part for part in (facts.name.given, facts.name.middle) if part]
    name = {
        "family": facts.name.family,
        "given": given,
        "prefix": [facts.name.prefix] if facts.name.prefix else [],
        "suffix": [facts.name.suffix] if facts.name.suffix else [],
    }
    name = {key: value for key, value in name.items() if value}
    if name:
        told["name"] = [name]
    if facts.sex in GENDERS:
        told["gender"] = GENDERS[facts.sex]
    if facts.birth_date:
        told["birthDate"] = facts.birth_date.isoformat()
    if facts.phone:
        told["telecom"] = [{"system": "phone", "value": facts.phone}]
    if facts.deceased:
        told["deceasedBoolean"] = True
    if facts.merged_into:
        told["link"] = [{"other": {"reference": f"Patient/{facts.merged_into}"}, "type": "replaced-by"}]
    return told


def service_request(facts: RequestFacts) -> Resource:
    """A ServiceRequest resource of one exam."""
    told: Resource = {
        "resourceType": "ServiceRequest",
        "id": facts.id,
        "identifier": [
            _identifier(facts.placer, facts.placer_authority, "PLAC"),
            _identifier(facts.accession, "", "ACSN"),
            {"system": DICOM_UID_SYSTEM, "value": f"urn:oid:{facts.study_instance_uid}"},
        ],
        "status": REQUEST_STATUS.get(facts.stage, "active"),
        "intent": "order",
        "priority": PRIORITIES[facts.priority],
        "code": _procedure(facts.code, facts.code_system, facts.text),
        "subject": {"reference": f"Patient/{facts.patient_id}"},
        "authoredOn": facts.authored_at.isoformat(),
    }
    if facts.wished_at:
        told["occurrenceDateTime"] = facts.wished_at.isoformat()
    if facts.provider_name:
        told["requester"] = {"display": facts.provider_name}
    if facts.reason:
        told["reasonCode"] = [{"text": facts.reason}]
    site = " ".join(
        p
        for p in ({"L": "left", "R": "right", "B": "both"}.get(facts.laterality), facts.body_part.lower())
        if p
    )
    if site:
        told["bodySite"] = [{"text": site}]
    return told


def imaging_study(facts: StudyFacts) -> Resource:
    """An ImagingStudy resource; quarantined images are none of it."""
    series: dict[str, list[InstanceFacts]] = {}
    for instance in facts.instances:
        series.setdefault(instance.series_instance_uid, []).append(instance)
    modalities = sorted({i.modality for i in facts.instances if i.modality})
    told: Resource = {
        "resourceType": "ImagingStudy",
        "id": facts.id,
        "identifier": [
            {"system": DICOM_UID_SYSTEM, "value": f"urn:oid:{facts.study_instance_uid}"},
            _identifier(facts.accession, "", "ACSN"),
        ],
        "status": "available",
        "modality": [{"system": DCM_SYSTEM, "code": code} for code in modalities],
        "subject": {"reference": f"Patient/{facts.patient_id}"},
        "basedOn": [{"reference": f"ServiceRequest/{facts.request_id}"}],
        "numberOfSeries": len(series),
        "numberOfInstances": len(facts.instances),
        "series": [_series(uid, instances) for uid, instances in series.items()],
    }
    if facts.description:
        told["description"] = facts.description
    if facts.started_at:
        told["started"] = facts.started_at.isoformat()
    return {key: value for key, value in told.items() if value != []}


def _series(uid: str, instances: Sequence[InstanceFacts]) -> Resource:
    first = instances[0]
    told: Resource = {
        "uid": uid,
        "modality": {"system": DCM_SYSTEM, "code": first.modality or "OT"},
        "numberOfInstances": len(instances),
        "instance": [
            {
                "uid": i.sop_instance_uid,
                "sopClass": {"system": "urn:ietf:rfc:3986", "code": f"urn:oid:{i.sop_class_uid}"},
            }
            for i in instances
        ],
    }
    if first.body_part:
        told["bodySite"] = {"display": first.body_part}
    return told


def diagnostic_report(facts: ReportFacts) -> Resource:
    """A DiagnosticReport resource: what was read, in its last version. The whole text is its presented form."""
    told: Resource = {
        "resourceType": "DiagnosticReport",
        "id": facts.id,
        "identifier": [_identifier(facts.accession, "", "ACSN")],
        "basedOn": [{"reference": f"ServiceRequest/{facts.request_id}"}],
        "status": facts.state,
        "category": [{"coding": [{"system": V2_SERVICE_SECTION, "code": "RAD"}]}],
        "code": _procedure(facts.code, facts.code_system, facts.code_text),
        "subject": {"reference": f"Patient/{facts.patient_id}"},
        "issued": facts.said_at.isoformat(),
    }
    if facts.begun_at:
        told["effectiveDateTime"] = facts.begun_at.isoformat()
    if facts.radiologist:
        told["resultsInterpreter"] = [{"display": facts.radiologist}]
    if facts.study_id:
        told["imagingStudy"] = [{"reference": f"ImagingStudy/{facts.study_id}"}]
    if conclusion := facts.impression or facts.text:
        told["conclusion"] = conclusion
    if whole := "\n".join(part for part in (facts.text, facts.impression) if part):
        data = base64.b64encode(whole.encode()).decode()
        told["presentedForm"] = [{"contentType": "text/plain; charset=utf-8", "data": data}]
    return told


def bundle(
    resources: Iterable[Resource], *, total: int, base: str, here: str, further: str | None
) -> Resource:
    """A search result: `total` in all, this page's resources, and where the next page is."""
    links = [{"relation": "self", "url": here}]
    if further:
        links.append({"relation": "next", "url": further})
    entries = [
        {"fullUrl": f"{base}/{r['resourceType']}/{r['id']}", "resource": r, "search": {"mode": "match"}}
        for r in resources
    ]
    told: Resource = {"resourceType": "Bundle", "type": "searchset", "total": total, "link": links}
    return told | ({"entry": entries} if entries else {})


def outcome(code: str, words: str, severity: str = "error") -> Resource:
    """An OperationOutcome with one issue; `code` is of the value set issue-type."""
    return {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": severity, "code": code, "diagnostics": words}],
    }


def capability_statement(
    *, at: datetime, base: str, version: str, parameters: dict[str, dict[str, str]]
) -> Resource:
    """What is served, and nothing else. `parameters` maps each resource type to its search parameters and their types."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": at.isoformat(),
        "kind": "instance",
        "fhirVersion": FHIR_VERSION,
        "format": ["application/fhir+json", "json"],
        "software": {"name": "xraydesk", "version": version},
        "implementation": {
            "description": "xraydesk, the coordination desk of a radiography department",
            "url": base,
        },
        "rest": [
            {
                "mode": "server",
                "security": {"description": "A bearer token, or a signed-in session."},
                "resource": [
                    {
                        "type": kind,
                        "interaction": [{"code": "read"}, {"code": "search-type"}],
                        "searchParam": [{"name": name, "type": of} for name, of in names.items()],
                    }
                    for kind, names in parameters.items()
                ],
            }
        ],
    }
