"""What was asked and why, as a document that goes to the archive beside the images."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from django.db import transaction

from xraydesk.imaging import actions, queries
from xraydesk.imaging.header import Header, StoredFile
from xraydesk.imaging.models import Image
from xraydesk.imaging.rules import dicom_sex
from xraydesk.imaging.states import ImageState
from xraydesk.journey import performing
from xraydesk.journey.route import queue_deliveries
from xraydesk.lib import clock
from xraydesk.lib.text import name_as_said
from xraydesk.orders.models import Exam

SIDES = {"L": "left", "R": "right", "B": "both"}
NOT_SAID = "not said"


@dataclass(frozen=True)
class Requisition:
    """A requisition as it is printed: lines of a word and a value, and parts of a heading and a text."""

    site: str
    rows: tuple[tuple[str, str], ...]
    parts: tuple[tuple[str, str], ...]

    def as_json(self) -> str:
        """As its template takes it."""
        return json.dumps({"site": self.site, "rows": self.rows, "parts": self.parts}, ensure_ascii=False)

    @property
    def digest(self) -> str:
        """Stands for what it says: another text is another document."""
        return sha256(self.as_json().encode()).hexdigest()


def requisition_of(exam: Exam) -> Requisition:
    """What the order says of an exam, read with its site, order, patient and procedure."""
    order, patient = exam.order, exam.patient
    person = queries.person_of(patient)
    zone = exam.site.timezone
    where = " ".join(part for part in (order.ward, order.bed) if part)
    rows = (
        ("Patient", f"{patient.family}, {patient.given}".strip(", ") or NOT_SAID),
        ("Born", f"{patient.birth_date:%d %b %Y}" if patient.birth_date else NOT_SAID),
        ("Patient number", person.identifiers[0].value if person.identifiers else NOT_SAID),
        ("Accession number", exam.accession),
        ("Exam", exam.procedure_text or exam.procedure_code),
        ("Side", SIDES.get(exam.laterality, "")),
        ("Priority", exam.priority),
        ("Asked by", name_as_said(order.provider_name)),
        ("Reach them at", order.provider_phone),
        ("Ward", where),
        ("Ordered", f"{clock.in_zone(order.received_at, zone):%d %b %Y, %H:%M}"),
        ("Order number", order.placer),
    )
    return Requisition(
        site=exam.site.name,
        rows=tuple(row for row in rows if row[1]),
        parts=(
            ("Why it was asked", exam.reason or NOT_SAID),
            ("Clinical history", exam.clinical_information or NOT_SAID),
        ),
    )


@transaction.atomic
def keep_requisition(*, exam_id: int, header: Header, stored: StoredFile, at: datetime) -> bool:
    """Keep a requisition among the objects of its exam, and send it where it is wanted; False where it was kept already."""
    (exam,) = performing.lock_exams([exam_id])
    if Image.objects.filter(site=exam.site, sop_instance_uid=header.sop_instance_uid).exists():
        return False
    actions.insert_image(
        site=exam.site,
        exam_id=exam.pk,
        header=header,
        stored=stored,
        acquired_at=at,
        calling_ae=exam.site.ae_title,
        copy=0,
        state=ImageState.MATCHED,
        why="",
        findings=(),
        corrections={},
        at=at,
        simulated=exam.simulated,
    )
    queue_deliveries(exam_id=exam.pk, at=at)
    return True


def header_of(exam: Exam, *, sop_class_uid: str, transfer_syntax_uid: str, uid: str) -> Header:
    """What a requisition's object says of itself."""
    person = queries.person_of(exam.patient)
    number = person.identifiers[0] if person.identifiers else None
    return Header(
        sop_instance_uid=uid,
        sop_class_uid=sop_class_uid,
        transfer_syntax_uid=transfer_syntax_uid,
        study_instance_uid=exam.study_instance_uid,
        accession=exam.accession,
        patient_id=number.value if number else "",
        patient_id_issuer=number.authority if number else "",
        patient_name=person.name,
        patient_birth_date=person.birth_date,
        patient_sex=dicom_sex(person.sex),
        modality="DOC",
        manufacturer="xraydesk",
    )
