"""The only writers of studies that another house made. Call inside a transaction."""

from __future__ import annotations

from datetime import datetime

from xraydesk.access.models import Site
from xraydesk.imaging.header import Header
from xraydesk.imaging.models import OutsideStudy
from xraydesk.imaging.outside_rules import OutsideState
from xraydesk.orders.models import Exam


def put_study(
    *,
    site: Site,
    header: Header,
    words: str,
    institution: str,
    performed_at: datetime | None,
    source: str,
    at: datetime,
    by: str,
) -> OutsideStudy:
    """The study that an object belongs to, locked; made with the first of its objects, and completed by later ones."""
    study, made = OutsideStudy.objects.select_for_update().get_or_create(
        site=site,
        study_instance_uid=header.study_instance_uid,
        patient_id_said=header.patient_id[:64],
        patient_id_issuer=header.patient_id_issuer[:64],
        defaults={
            "patient_name": header.patient_name[:330],
            "patient_birth_date": header.patient_birth_date,
            "patient_sex": header.patient_sex[:16],
            "accession": header.accession[:64],
            "words": words[:120],
            "institution": institution[:120],
            "body_part": header.body_part[:64],
            "laterality": header.laterality[:16],
            "performed_at": performed_at,
            "source": source[:120],
            "brought_by": by,
            "brought_at": at,
        },
    )
    if not made and not study.body_part and header.body_part:
        study.body_part, study.laterality = header.body_part[:64], header.laterality[:16]
        study.save(update_fields=["body_part", "laterality"])
    return study


def take_study(study: OutsideStudy, *, exam: Exam, at: datetime, by: str) -> None:
    """It is of this exam's patient, and goes on as this exam."""
    study.state, study.exam, study.why = OutsideState.TAKEN, exam, ""
    study.decided_at, study.decided_by = at, by
    study.save()


def refuse_study(study: OutsideStudy, *, why: str, at: datetime, by: str) -> None:
    """It goes nowhere."""
    study.state, study.why = OutsideState.REFUSED, why[:200]
    study.decided_at, study.decided_by = at, by
    study.save()
