"""Resources made of rows, a page at a time, each in a fixed number of queries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db.models import Max, Prefetch, QuerySet
from django.db.models.functions import Coalesce

from xraydesk.access.models import RecordRead, Site
from xraydesk.billing.models import Coverage
from xraydesk.facts.models import Fact
from xraydesk.imaging.models import Image, StepExam
from xraydesk.imaging.states import ImageState
from xraydesk.journey.exam_view import Staged, name_of, stages_of
from xraydesk.links.fhir import (
    audit_codec,
    coverage_codec,
    map_codec,
    patient_codec,
    report_codec,
    request_codec,
    study_codec,
)
from xraydesk.links.fhir.elements_codec import Coded, Resource, with_meta
from xraydesk.links.fhir.issuers import told_as
from xraydesk.links.fhir.overlay_codec import Part, overlaid
from xraydesk.links.models import SentResource, Subscription
from xraydesk.links.subscriptions import subscription_codec
from xraydesk.orders import code_tables
from xraydesk.orders.code_table_rules import BODY_SITES, PROCEDURES
from xraydesk.orders.models import CodePair, CodeTable, Exam
from xraydesk.patients.demographics import Identifier
from xraydesk.patients.models import Patient, PatientIdentifier
from xraydesk.results.models import Call, Finding, Report
from xraydesk.results.queries import documents_named
from xraydesk.results.states import CallOutcome

SHOWN = (ImageState.MATCHED, ImageState.SENT, ImageState.HELD)
"""States of images that belong to their exam beyond doubt, or did when they came."""


def images_of_exam() -> QuerySet[Image]:
    """Images that belong to their exam, each with when it was acquired (`acquired`), as it tells or as it came."""
    return Image.objects.filter(state__in=SHOWN).annotate(acquired=Coalesce("acquired_at", "received_at"))


INSTANCES_MAX = 2000
"""More images of one study are not listed one by one."""


@dataclass(frozen=True)
class Shown:
    """A resource, and whose record (patient key, accession) it shows; no key where it shows nobody's."""

    resource: Resource
    patient: int | None = None
    accession: str = ""


Loader = Callable[[Site, Sequence[int]], list[Shown]]
"""The resources of rows of a site by their keys, in the order of the keys; those that are not there are left out."""


def in_order(keys: Sequence[int], found: Iterable[tuple[int, Shown]]) -> list[Shown]:
    by_key = dict(found)
    return [by_key[key] for key in keys if key in by_key]


def updated_exams(site: Site, accessions: Iterable[str]) -> dict[str, datetime]:
    """When something was last told of each exam."""
    told = Fact.objects.filter(site=site, accession__in=set(accessions)).exclude(accession="")
    return dict(told.values_list("accession").annotate(Max("recorded_at")).order_by())


def _updated_patients(site: Site, keys: Iterable[int]) -> dict[int, datetime]:
    told = Fact.objects.filter(site=site, patient__in=set(keys))
    found = told.values_list("patient").annotate(Max("recorded_at")).order_by()
    return {key: at for key, at in found if key is not None}


def _sent(site: Site, kind: str, keys: Sequence[int]) -> dict[int, SentResource]:
    return {row.key: row for row in SentResource.objects.filter(site=site, kind=kind, key__in=keys)}


def _as_sent(
    own: Resource, sent: SentResource | None, parts: Iterable[Part], updated_at: datetime
) -> Resource:
    resource = overlaid(own, sent.resource if sent else None, parts)
    return with_meta(resource, max(updated_at, sent.at) if sent else updated_at)


def patients(site: Site, keys: Sequence[int]) -> list[Shown]:
    """Patients with all their numbers."""
    numbers = PatientIdentifier.objects.order_by("sort", "id")
    rows = Patient.objects.filter(site=site, pk__in=keys).prefetch_related(Prefetch("identifiers", numbers))
    updated, sent = _updated_patients(site, keys), _sent(site, "Patient", keys)
    return in_order(
        keys,
        (
            (
                row.pk,
                Shown(
                    _as_sent(
                        patient_codec.patient(_patient_facts(site, row)),
                        sent.get(row.pk),
                        patient_codec.PARTS,
                        updated.get(row.pk, row.created_at),
                    ),
                    row.pk,
                ),
            )
            for row in rows
        ),
    )


def _patient_facts(site: Site, row: Patient) -> patient_codec.PatientFacts:
    return patient_codec.PatientFacts(
        id=str(row.pk),
        identifiers=told_as(site, (Identifier(i.value, i.authority, i.type) for i in row.identifiers.all())),
        name=name_of(row),
        birth_date=row.birth_date,
        sex=row.sex,
        phone=row.phone,
        address=row.address,
        language=row.language,
        deceased=row.deceased,
        merged_into=str(row.merged_into_id or ""),
    )


def _codes_of(
    site: Site, procedures: Iterable[str], body_parts: Iterable[str] = ()
) -> tuple[dict[tuple[str, str], list[Coded]], dict[tuple[str, str], list[Coded]]]:
    """By code and system of the department, what its procedures and body parts are in the tables of others that the site loaded."""
    found: dict[str, dict[tuple[str, str], list[Coded]]] = {PROCEDURES: {}, BODY_SITES: {}}
    asked = {PROCEDURES: {one for one in procedures if one}, BODY_SITES: {one for one in body_parts if one}}
    for pair in code_tables.of_local(site, asked):
        coded = (pair.table.system, pair.code, pair.display)
        found[pair.table.of].setdefault((pair.local, pair.local_system), []).append(coded)
    return found[PROCEDURES], found[BODY_SITES]


def requests(site: Site, keys: Sequence[int]) -> list[Shown]:
    """Exams as ServiceRequests."""
    views = stages_of(Exam.objects.filter(pk__in=keys), site=site)
    updated = updated_exams(site, [view.exam.accession for view in views])
    sent = _sent(site, "ServiceRequest", keys)
    parts = (view.exam.procedure.body_part for view in views if view.exam.procedure)
    codes, body = _codes_of(site, (view.exam.procedure_code for view in views), parts)
    return in_order(
        keys,
        (
            (
                view.exam.pk,
                Shown(
                    _as_sent(
                        request_codec.service_request(_request_facts(view, codes, body)),
                        sent.get(view.exam.pk),
                        request_codec.PARTS,
                        updated.get(view.exam.accession, view.exam.created_at),
                    ),
                    view.exam.patient_id,
                    view.exam.accession,
                ),
            )
            for view in views
        ),
    )


Codes = Mapping[tuple[str, str], Sequence[Coded]]


def _request_facts(view: Staged, codes: Codes, body: Codes) -> request_codec.RequestFacts:
    exam, order = view.exam, view.exam.order
    return request_codec.RequestFacts(
        id=str(exam.pk),
        patient_id=str(exam.patient_id),
        placer=order.placer,
        placer_authority=order.placer_authority,
        accession=exam.accession,
        study_instance_uid=exam.study_instance_uid,
        stage=view.stage,
        priority=exam.priority,
        code=exam.procedure_code,
        code_system=exam.procedure_system,
        text=exam.procedure_text,
        body_part=exam.procedure.body_part if exam.procedure else "",
        laterality=exam.laterality,
        authored_at=exam.created_at,
        wished_at=exam.requested_at,
        provider_id=order.provider_id,
        provider_name=order.provider_name,
        reason=exam.reason,
        clinical_information=exam.clinical_information,
        codes=codes.get((exam.procedure_code, exam.procedure_system), ()),
        body_codes=body.get((exam.procedure.body_part, ""), ()) if exam.procedure else (),
    )


def studies(site: Site, keys: Sequence[int]) -> list[Shown]:
    """Exams that have images, as ImagingStudies."""
    exams = {exam.pk: exam for exam in Exam.objects.filter(site=site, pk__in=keys)}
    by_exam: dict[int, list[Image]] = {}
    listed = Image.objects.filter(exam__in=exams, state__in=SHOWN).defer("header")
    for image in listed.order_by("id"):
        by_exam.setdefault(image.exam_id or 0, []).append(image)
    updated = updated_exams(site, [exam.accession for exam in exams.values()])
    return in_order(
        keys,
        (
            (
                key,
                Shown(
                    with_meta(
                        study_codec.imaging_study(_study_facts(exams[key], images)),
                        updated.get(exams[key].accession, max(i.received_at for i in images)),
                    ),
                    exams[key].patient_id,
                    exams[key].accession,
                ),
            )
            for key, images in by_exam.items()
        ),
    )


def withdrawn_study(exam: Exam) -> Resource:
    """The ImagingStudy of an exam all of whose images were another's, or are not to be used: for who was told that there are some."""
    return study_codec.withdrawn(study_codec.imaging_study(_study_facts(exam, [])))


def _study_facts(exam: Exam, images: Sequence[Image]) -> study_codec.StudyFacts:
    return study_codec.StudyFacts(
        id=str(exam.pk),
        patient_id=str(exam.patient_id),
        request_id=str(exam.pk),
        study_instance_uid=exam.study_instance_uid,
        accession=exam.accession,
        description=exam.procedure_text,
        started_at=min((image.acquired_at or image.received_at for image in images), default=None),
        instances=tuple(
            study_codec.InstanceFacts(
                i.corrections.get("SOPInstanceUID", i.sop_instance_uid),
                i.sop_class_uid,
                i.corrections.get("SeriesInstanceUID", i.series_instance_uid),
                i.modality,
                i.corrections.get("BodyPartExamined", i.body_part),
            )
            for i in images[:INSTANCES_MAX]
        ),
    )


def reports(site: Site, keys: Sequence[int]) -> list[Shown]:
    """The reports of exams, each in its last version; one alone has the bytes of its documents, several have not."""
    rows = list(Report.objects.filter(site=site, pk__in=keys).select_related("exam"))
    exams = [report.exam_id for report in rows]
    begun = dict(
        StepExam.objects.filter(exam__in=exams, voided=False)
        .order_by("-step__started_at")
        .values_list("exam_id", "step__started_at")
    )
    codes, _ = _codes_of(site, (row.exam.procedure_code for row in rows))
    with_images = set(Image.objects.filter(exam__in=exams, state__in=SHOWN).values_list("exam_id", flat=True))
    found = in_order(
        keys,
        (
            (
                row.pk,
                Shown(
                    with_meta(
                        report_codec.diagnostic_report(
                            _report_facts(
                                row, begun.get(row.exam_id), codes, has_study=row.exam_id in with_images
                            )
                        ),
                        row.changed_at,
                    ),
                    row.exam.patient_id,
                    row.exam.accession,
                ),
            )
            for row in rows
        ),
    )
    return [_with_bytes(found[0], rows[0])] if len(rows) == len(found) == 1 else found


def _report_facts(
    report: Report, begun_at: datetime | None, codes: Codes, *, has_study: bool
) -> report_codec.ReportFacts:
    exam = report.exam
    return report_codec.ReportFacts(
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
        codes=codes.get((exam.procedure_code, exam.procedure_system), ()),
        documents=_documents(report),
    )


def _documents(report: Report) -> list[report_codec.DocumentFacts]:
    """The documents that a report names."""
    return [
        report_codec.DocumentFacts(one.kind, one.title, one.size_bytes, one.at)
        for one in documents_named(report)
    ]


def _with_bytes(shown: Shown, report: Report) -> Shown:
    """A report with the bytes of its documents, of those that are not too large."""
    contents = [
        bytes(one.content) if one.size_bytes <= report_codec.DOCUMENT_INLINE_BYTES_MAX else b""
        for one in documents_named(report)
    ]
    if not contents:
        return shown
    return replace(shown, resource=report_codec.with_documents(shown.resource, contents))


def findings(site: Site, keys: Sequence[int]) -> list[Shown]:
    """Findings that must be told, as Communications, with each attempt to tell them."""
    rows = (
        Finding.objects.filter(site=site, pk__in=keys)
        .select_related("exam")
        .prefetch_related(Prefetch("calls", Call.objects.order_by("at", "id")))
    )
    return in_order(
        keys,
        (
            (
                row.pk,
                Shown(
                    with_meta(
                        report_codec.communication(_finding_facts(row)),
                        max(
                            at
                            for at in (
                                row.found_at,
                                row.opened_at,
                                row.ended_at,
                                *(c.at for c in row.calls.all()),
                            )
                            if at
                        ),
                    ),
                    row.exam.patient_id,
                    row.exam.accession,
                ),
            )
            for row in rows
        ),
    )


def _finding_facts(row: Finding) -> report_codec.FindingFacts:
    calls = list(row.calls.all())
    return report_codec.FindingFacts(
        id=str(row.pk),
        patient_id=str(row.exam.patient_id),
        request_id=str(row.exam_id),
        report_id=str(row.report_id or ""),
        state=row.state,
        category=row.category,
        words=row.words,
        opened_at=row.opened_at,
        read_back_at=next((c.at for c in calls if c.outcome == CallOutcome.READ_BACK), None),
        people=tuple(str(person.get("name", "")) for person in row.people if person.get("name")),
        calls=tuple(report_codec.CallFacts(c.at, c.way, c.recipient, c.outcome, c.read_back) for c in calls),
    )


def coverages(site: Site, keys: Sequence[int]) -> list[Shown]:
    """Who pays, as it was sent; of the record that stands where two were made one."""
    rows = Coverage.objects.filter(site=site, pk__in=keys).select_related("patient")
    return in_order(keys, ((row.pk, _coverage(row)) for row in rows))


def _coverage(row: Coverage) -> Shown:
    patient = row.patient.merged_into_id or row.patient_id
    resource = coverage_codec.coverage(str(row.pk), str(patient), row.resource)
    return Shown(with_meta(resource, row.changed_at), patient)


def subscriptions(site: Site, keys: Sequence[int]) -> list[Shown]:
    """Programs that are called; no patient's record."""
    found = Subscription.objects.filter(site=site, pk__in=keys)
    return in_order(
        keys,
        (
            (
                row.pk,
                Shown(
                    with_meta(
                        subscription_codec.subscription(
                            str(row.pk), row.resource, status=row.state, error=row.why, source=row.who
                        ),
                        row.changed_at,
                    )
                ),
            )
            for row in found
        ),
    )


def map_url(site: Site, table: CodeTable) -> str:
    """The canonical address of a table of codes."""
    return f"urn:xraydesk:{site.code}:map:{table.of}:{table.system}"


def concept_maps(site: Site, keys: Sequence[int]) -> list[Shown]:
    """Tables of codes that the site loaded; no patient's record."""
    tables = CodeTable.objects.filter(site=site, pk__in=keys)
    tables = tables.prefetch_related(Prefetch("pairs", CodePair.objects.order_by("id")))
    return in_order(keys, ((table.pk, Shown(_map(site, table))) for table in tables))


def _map(site: Site, table: CodeTable) -> Resource:
    pairs = [
        map_codec.PairFacts(
            map_codec.local_uri(table.of, pair.local_system),
            pair.local,
            table.system,
            pair.code,
            pair.display,
            pair.equivalence,
        )
        for pair in table.pairs.all()
    ]
    facts = map_codec.MapFacts(str(table.pk), map_url(site, table), table.of, table.version, pairs)
    return with_meta(map_codec.concept_map(facts), table.at)


def audit_events(site: Site, keys: Sequence[int]) -> list[Shown]:
    """Lines of the log of who read what. Looking at them is no look at a patient's record."""
    return in_order(
        keys,
        (
            (
                row.pk,
                Shown(
                    with_meta(
                        audit_codec.audit_event(
                            audit_codec.ReadFacts(
                                id=str(row.pk),
                                at=row.at,
                                who=row.who,
                                patient_id=str(row.patient),
                                accession=row.accession,
                                what=row.what,
                                reason=row.reason,
                                site=site.code,
                            )
                        ),
                        row.at,
                    )
                ),
            )
            for row in RecordRead.objects.filter(site=site, pk__in=keys)
        ),
    )
