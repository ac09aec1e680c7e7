"""Finding what a FHIR search asks for, in a fixed number of queries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Exists, OuterRef, Q, QuerySet

from xraydesk.access.models import Site
from xraydesk.imaging.models import Image, StepExam
from xraydesk.imaging.states import ImageState
from xraydesk.journey.exam_view import ExamView, name_of, views_of
from xraydesk.links.fhir import codec
from xraydesk.orders.models import Exam
from xraydesk.patients.demographics import Identifier
from xraydesk.patients.models import Patient
from xraydesk.results.models import Report

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


@dataclass(frozen=True)
class Asked:
    """What a search asks for; None where it does not limit. `issued` are moments with how they compare (`gte`, `lt`…)."""

    keys: tuple[str, ...] | None = None
    identifiers: tuple[str, ...] | None = None
    patient: str | None = None
    based_on: tuple[str, ...] | None = None
    statuses: tuple[str, ...] | None = None
    issued: tuple[tuple[str, datetime], ...] = ()
    count: int = 1
    offset: int = 0


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


def patients(site: Site, asked: Asked) -> Found:
    """Patients of a site by key or identifier."""
    rows = Patient.objects.filter(site=site)
    if asked.keys is not None:
        rows = rows.filter(pk__in=_keys(asked.keys))
    if asked.identifiers is not None:
        rows = rows.filter(_any([_patients_by_identifier(token) for token in asked.identifiers])).distinct()
    page = list(
        rows.order_by("id").prefetch_related("identifiers")[asked.offset : asked.offset + asked.count]
    )
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


def _exams(site: Site, asked: Asked) -> QuerySet[Exam]:
    """The exams that have the identifiers and the patient that are asked for."""
    rows = Exam.objects.filter(site=site)
    if asked.identifiers is not None:
        rows = rows.filter(_any([_exams_by_identifier(token) for token in asked.identifiers]))
    if asked.patient is not None:
        rows = rows.filter(patient__in=_keys((asked.patient,)))
    return rows.order_by("id")


def _exams_by_key(site: Site, asked: Asked) -> QuerySet[Exam]:
    """The same, where the resource's id is the exam's."""
    rows = _exams(site, asked)
    return rows if asked.keys is None else rows.filter(pk__in=_keys(asked.keys))


def service_requests(site: Site, asked: Asked) -> Found:
    """Exams of a site as ServiceRequests, by key, placer number, accession, study UID or patient."""
    rows = _exams_by_key(site, asked)
    page = views_of(Exam.objects.filter(pk__in=_page(rows, asked)).order_by("id"), site=site)
    return Found(
        resources=[codec.service_request(_request_facts(view)) for view in page],
        total=rows.count(),
        read=[(view.patient.pk, view.exam.accession) for view in page],
    )


def _page(rows: QuerySet[Exam], asked: Asked) -> list[int]:
    return list(rows.values_list("pk", flat=True)[asked.offset : asked.offset + asked.count])


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


def imaging_studies(site: Site, asked: Asked) -> Found:
    """Exams of a site that have images, as ImagingStudies."""
    images = Image.objects.filter(state__in=SHOWN)
    rows = _exams_by_key(site, asked).filter(Exists(images.filter(exam=OuterRef("pk"))))
    page = list(Exam.objects.filter(pk__in=_page(rows, asked)).order_by("id"))
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


def diagnostic_reports(site: Site, asked: Asked) -> Found:
    """The reports of a site's exams, each in its last version."""
    rows = Report.objects.filter(site=site)
    if asked.keys is not None:
        rows = rows.filter(pk__in=_keys(asked.keys))
    if asked.identifiers is not None or asked.patient is not None:
        rows = rows.filter(exam__in=_exams(site, asked).order_by())
    if asked.based_on is not None:
        rows = rows.filter(exam__in=_keys(asked.based_on))
    if asked.statuses is not None:
        rows = rows.filter(
            state__in=[state for s in asked.statuses for state in codec.REPORT_STATES.get(s, ())]
        )
    for compared, at in asked.issued:
        rows = rows.filter(**{f"said_at__{compared}": at})
    page = list(rows.select_related("exam__order").order_by("id")[asked.offset : asked.offset + asked.count])
    exams = [report.exam_id for report in page]
    begun = dict(
        StepExam.objects.filter(exam__in=exams, voided=False)
        .order_by("-step__started_at")
        .values_list("exam_id", "step__started_at")
    )
    studies = set(Image.objects.filter(exam__in=exams, state__in=SHOWN).values_list("exam_id", flat=True))
    return Found(
        resources=[
            codec.diagnostic_report(_report_facts(r, begun.get(r.exam_id), has_study=r.exam_id in studies))
            for r in page
        ],
        total=rows.count(),
        read=[(report.exam.patient_id, report.exam.accession) for report in page],
    )


def _report_facts(report: Report, begun_at: datetime | None, *, has_study: bool) -> codec.ReportFacts:
    exam = report.exam
    return codec.ReportFacts(
        id=str(report.pk),
        patient_id=str(exam.patient_id),
        request_id=str(exam.pk),
        study_id=str(exam.pk) if has_study else "",
        accession=exam.accession,
        state=report.state,
        code=exam.procedure_code,
        code_system=exam.procedure_system,
        code_text=exam.procedure_text,
        begun_at=begun_at,
        said_at=report.said_at,
        radiologist=report.radiologist_name or report.radiologist_id,
        text=report.text,
        impression=report.impression,
    )
