"""Finding what patients are to be told."""

from __future__ import annotations

from django.db.models import QuerySet

from xraydesk.contact.models import Notice

SHOWN_MAX = 20


def notices_of_exam(exam_id: int) -> QuerySet[Notice]:
    """What a patient is, or was, to be told about one exam, the newest first."""
    return Notice.objects.filter(exam=exam_id).order_by("-made_at", "-id")[:SHOWN_MAX]


def notices_of_patient(patient_id: int) -> QuerySet[Notice]:
    """The same about all exams of a patient."""
    found = Notice.objects.filter(patient=patient_id).select_related("exam")
    return found.order_by("-made_at", "-id")[:SHOWN_MAX]
