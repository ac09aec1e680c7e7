"""Finding what a FHIR search asks for, in a fixed number of queries."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Q, QuerySet

from xraydesk.access.models import Site
from xraydesk.imaging.models import Image
from xraydesk.imaging.states import ImageState
from xraydesk.journey.exam_view import ExamView, name_of, views_of
from xraydesk.links.fhir import codec
from xraydesk.orders.models import Exam
from xraydesk.patients.demographics import Identifier
from xraydesk.patients.models import Patient

KEY_LENGTH_MAX = 18
"""A row's key has no more digits than a 64-bit number."""

SHOWN = (ImageState.MATCHED, ImageState.SENT, ImageState.HELD)
"""States of images that belong to their exam beyond doubt, or did when they came."""


@dataclass(frozen=True)
class Found:
    """A page of resources, how many there are in all, and whose records (patient key, accession) they show."""

    resources: list[codec.Resource]
    total: int
    read: list[tuple[int, str]]


def _keys(texts: tuple[str, ...]) -> list[int]:
    return [int(t) for t in texts if t.isascii() and t.isdigit() and len(t) <= KEY_LENGTH_MAX]


def _token(text: str) -> tuple[str | None, str]:
    """A token search value: its system (None where any will do) and its value (FHIR R4 §3.1.1.4.10)."""
    system, bar, value = text.rpartition("|")
    return (system if bar else None), value


def _patients_by_identifier(token: str) -> Q:
    system, value = _token(token)
    fits = Q(identifiers__value=value)
    if system is None:
        return fits
    if system.startswith("urn:xraydesk:issuer:"):
        return fits & Q(identifiers__authority=system.removeprefix("urn:xraydesk:issuer:"))
    return fits & Q(identifiers__authority=system.removeprefix("urn:oid:"))


def _exams_by_identifier(token: str) -> Q:
    system, value = _token(token)
    uid = value.removeprefix("urn:oid:")
    if system == codec.DICOM_UID_SYSTEM or value != uid:
        return Q(study_instance_uid=uid)
    if system:
        return Q(order__placer=value, order__placer_authority=system.removeprefix("urn:xraydesk:issuer:"))
    return Q(order__placer=value) | Q(accession=value) | Q(study_instance_uid=value)


def _any(conditions: list[Q]) -> Q:
    whole = Q(pk__in=[])
    for condition in conditions:
        whole |= condition
    return whole


def patients(
    *,
    site: Site,
    keys: tuple[str, ...] | None,
    identifiers: tuple[str, ...] | None,
    patient: str | None,
    count: int,
    offset: int,
) -> Found:
    """Patients of a site by key or identifier."""
    rows = Patient.objects.filter(site=site)
    if keys is not None:
        rows = rows.filter(pk__in=_keys(keys))
    if identifiers is not None:
        rows = rows.filter(_any([_patients_by_identifier(token) for token in identifiers])).distinct()
    page = list(rows.order_by("id").prefetch_related("identifiers")[offset : offset + count])
    return Found(
        resources=[codec.patient(_patient_facts(row)) for row in page],
        total=rows.count(),
        read=[(row.pk, "") for row in page],
    )


def _patient_facts(row: Patient) -> codec.PatientFacts:
    return codec.PatientFacts(
        id=str(row.pk),
        identifiers=tuple(
            Identifier(i.value, i.authority, i.type)
            for i in sorted(row.identifiers.all(), key=lambda i: (i.sort, i.pk))
        ),
        name=name_of(row),
        birth_date=row.birth_date,
        sex=row.sex,
        phone=row.phone,
        deceased=row.deceased,
        merged_into=str(row.merged_into_id or ""),
    )


def _exams(
    site: Site, keys: tuple[str, ...] | None, identifiers: tuple[str, ...] | None, patient: str | None
) -> QuerySet[Exam]:
    rows = Exam.objects.filter(site=site)
    if keys is not None:
        rows = rows.filter(pk__in=_keys(keys))
    if identifiers is not None:
        rows = rows.filter(_any([_exams_by_identifier(token) for token in identifiers]))
    if patient is not None:
        rows = rows.filter(patient__in=_keys((patient,)))
    return rows.order_by("id")


def service_requests(
    *,
    site: Site,
    keys: tuple[str, ...] | None,
    identifiers: tuple[str, ...] | None,
    patient: str | None,
    count: int,
    offset: int,
) -> Found:
    """Exams of a site as ServiceRequests, by key, placer number, accession, study UID or patient."""
    rows = _exams(site, keys, identifiers, patient)
    page = views_of(Exam.objects.filter(pk__in=_page(rows, count, offset)).order_by("id"), site=site)
    return Found(
        resources=[codec.service_request(_request_facts(view)) for view in page],
        total=rows.count(),
        read=[(view.patient.pk, view.exam.accession) for view in page],
    )


def _page(rows: QuerySet[Exam], count: int, offset: int) -> list[int]:
    return list(rows.values_list("pk", flat=True)[offset : offset + count])


def _request_facts(view: ExamView) -> codec.RequestFacts:
    exam = view.exam
    return codec.RequestFacts(
        id=str(exam.pk),
        patient_id=str(exam.patient_id),
        placer=exam.order.placer,
        placer_authority=exam.order.placer_authority,
        accession=exam.accession,
        study_instance_uid=exam.study_instance_uid,
        stage=view.stage,
        priority=exam.priority,
        code=exam.procedure_code,
        code_system=exam.procedure_system,
        text=exam.procedure_text,
        body_part=exam.procedure.body_part if exam.procedure else "",
        laterality=exam.laterality,
        authored_at=exam.order.received_at,
        wished_at=exam.requested_at,
        provider_name=exam.order.provider_name,
        reason=exam.reason,
    )


def imaging_studies(
    *,
    site: Site,
    keys: tuple[str, ...] | None,
    identifiers: tuple[str, ...] | None,
    patient: str | None,
    count: int,
    offset: int,
) -> Found:
    """Exams of a site that have images, as ImagingStudies."""
    images = Image.objects.filter(state__in=SHOWN)
    rows = _exams(site, keys, identifiers, patient).filter(Exists(images.filter(exam=OuterRef("pk"))))
    page = list(Exam.objects.filter(pk__in=_page(rows, count, offset)).order_by("id"))
    by_exam: dict[int, list[Image]] = {exam.pk: [] for exam in page}
    for image in images.filter(exam__in=by_exam).order_by("id"):
        by_exam[image.exam_id or 0].append(image)
    return Found(
        resources=[codec.imaging_study(_study_facts(exam, by_exam[exam.pk])) for exam in page],
        total=rows.count(),
        read=[(exam.patient_id, exam.accession) for exam in page],
    )


def _study_facts(exam: Exam, images: list[Image]) -> codec.StudyFacts:
    acquired = [image.acquired_at or image.received_at for image in images]
    return codec.StudyFacts(
        id=str(exam.pk),
        patient_id=str(exam.patient_id),
        request_id=str(exam.pk),
        study_instance_uid=exam.study_instance_uid,
        accession=exam.accession,
        description=exam.procedure_text,
        started_at=min(acquired, default=None),
        instances=tuple(
            codec.InstanceFacts(
                i.sop_instance_uid, i.sop_class_uid, i.series_instance_uid, i.modality, i.body_part
            )
            for i in images
        ),
    )
