"""FHIR R4 ImagingStudy: the images of an exam. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from xraydesk.links.fhir.elements_codec import (
    OID_PREFIX,
    Resource,
    filled,
    identifier,
    instant,
    reference,
    uid_identifier,
)

DCM_SYSTEM = "http://dicom.nema.org/resources/ontology/DCM"
URI_SYSTEM = "urn:ietf:rfc:3986"


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


def imaging_study(facts: StudyFacts) -> Resource:
    """An ImagingStudy resource; quarantined images are none of it."""
    series: dict[str, list[InstanceFacts]] = {}
    for instance in facts.instances:
        series.setdefault(instance.series_instance_uid, []).append(instance)
    modalities = sorted({i.modality for i in facts.instances if i.modality})
    return filled(
        resourceType="ImagingStudy",
        id=facts.id,
        identifier=[uid_identifier(facts.study_instance_uid), identifier(facts.accession, kind="ACSN")],
        status="available",
        modality=[{"system": DCM_SYSTEM, "code": code} for code in modalities],
        subject=reference("Patient", facts.patient_id),
        started=instant(facts.started_at),
        basedOn=[reference("ServiceRequest", facts.request_id)],
        numberOfSeries=len(series),
        numberOfInstances=len(facts.instances),
        description=facts.description,
        series=[_series(uid, instances) for uid, instances in series.items()],
    )


def withdrawn(study: Resource) -> Resource:
    """The same study once it has no images any more: they were another exam's, or are not to be used (R4 imagingstudy-status)."""
    gone = ("series", "modality", "numberOfSeries", "numberOfInstances")
    return {name: value for name, value in study.items() if name not in gone} | {"status": "entered-in-error"}


def _series(uid: str, instances: Sequence[InstanceFacts]) -> Resource:
    first = instances[0]
    return filled(
        uid=uid,
        modality={"system": DCM_SYSTEM, "code": first.modality or "OT"},
        numberOfInstances=len(instances),
        bodySite=filled(display=first.body_part),
        instance=[
            {
                "uid": i.sop_instance_uid,
                "sopClass": {"system": URI_SYSTEM, "code": f"{OID_PREFIX}{i.sop_class_uid}"},
            }
            for i in instances
        ],
    )
