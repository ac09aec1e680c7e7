"""Writing the requisition of an exam as an object, so that it goes where its images go and is read beside them."""

from __future__ import annotations

import io
import os
import uuid
from datetime import datetime
from pathlib import Path

from django.conf import settings

from xraydesk.attention.actions import raise_item
from xraydesk.attention.kinds import ItemKind
from xraydesk.imaging.header import StoredFile
from xraydesk.journey.requisition import Requisition, header_of, keep_requisition, requisition_of
from xraydesk.lib import clock
from xraydesk.links.dicom.requisition_codec import Subject, encapsulated
from xraydesk.links.dicom.spool import ObjectWriter, SpooledFile, SpoolRefused
from xraydesk.links.dicom.store import path_for
from xraydesk.orders.models import Exam

TEMPLATE = Path(__file__).parent / "requisition.typ"


def write(exam_id: int) -> bool:
    """Write an exam's requisition; False where that one, word for word, was written before, or the disk cannot keep it.

    Of the latter a person is asked.
    """
    at = clock.now()
    exam = Exam.objects.select_related("site", "order", "patient", "procedure").get(pk=exam_id)
    told = requisition_of(exam)
    header = header_of(exam, sop_class_uid="", transfer_syntax_uid="", uid="")
    subject = Subject(
        study_instance_uid=header.study_instance_uid,
        accession=header.accession,
        patient_id=header.patient_id,
        patient_id_issuer=header.patient_id_issuer,
        patient_name=header.patient_name,
        patient_birth_date=header.patient_birth_date,
        patient_sex=header.patient_sex,
    )
    wall = clock.in_zone(at, exam.site.timezone).replace(tzinfo=None)
    made = encapsulated(subject, pdf_of(told), digest=told.digest, wall=wall)
    file = io.BytesIO()
    made.save_as(file, enforce_file_format=True)
    try:
        relative, spooled = _on_the_disk(file.getvalue(), at)
    except (SpoolRefused, OSError) as failure:
        raise_item(
            site_id=exam.site_id,
            kind=ItemKind.REACTION_FAILED,
            key=f"requisition:{exam.accession}",
            at=at,
            text=f"The requisition of exam {exam.accession} could not be written as a document: {failure}.",
            accession=exam.accession,
            patient=exam.patient_id,
        )
        return False
    kept = keep_requisition(
        exam_id=exam.pk,
        header=header_of(
            exam,
            sop_class_uid=str(made.SOPClassUID),
            transfer_syntax_uid=str(made.file_meta.TransferSyntaxUID),
            uid=str(made.SOPInstanceUID),
        ),
        stored=StoredFile(relative, spooled.size_bytes, spooled.sha256),
        at=at,
    )
    if not kept:
        spooled.path.unlink(missing_ok=True)
    return kept


def _on_the_disk(content: bytes, at: datetime) -> tuple[str, SpooledFile]:
    """Write a file so that it lasts; where it lies below the spool, and the file."""
    writer = ObjectWriter(Path(settings.XRAYDESK_SPOOL), f"{os.getpid()}-{uuid.uuid4().hex}.part", b"")
    writer.write([memoryview(content)])
    spooled = writer.finish()
    relative = path_for(at)
    spooled.keep(relative)
    return relative, spooled


def pdf_of(told: Requisition) -> bytes:
    """A requisition as a PDF. Texts are handed over as data and never read as markup."""
    import typst

    made = typst.compile(TEMPLATE.read_bytes(), sys_inputs={"told": told.as_json()})
    if not isinstance(made, bytes):
        raise TypeError("typst made several documents of one requisition")
    return made
