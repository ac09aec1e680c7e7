"""A report comes: it finds its exam, becomes a version, and what must be told in it is looked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Q, QuerySet

from xraydesk.access.models import Site
from xraydesk.facts.kinds import FactKind
from xraydesk.journey.errors import PatientConflict, UnknownExam
from xraydesk.journey.performing import lock_exams, tell
from xraydesk.journey.policy import identifier_authority
from xraydesk.journey.tell import look_for_findings
from xraydesk.journey.unscheduled import is_done_elsewhere
from xraydesk.orders.models import Exam
from xraydesk.patients import queries as patients
from xraydesk.patients.models import Patient
from xraydesk.patients.rules import facts_said, identifiers_that_count
from xraydesk.results import actions, document_actions, queries, rules
from xraydesk.results.models import Report
from xraydesk.results.reporting import DOCUMENTS_MAX, SaidExam, SaidReport
from xraydesk.results.states import DocumentState

NAMED_MAX = 100
"""No more exams are looked at that one number names; an order has no more."""

WHAT_TO_DO = {
    rules.Unclear.UNKNOWN: "Its order may not have come yet: replay the message once it is here.",
    rules.Unclear.CONFLICT: "Ask the reporting system which exam is meant.",
    rules.Unclear.SEVERAL: "Ask the reporting system to send the accession number.",
}


@dataclass(frozen=True)
class ReceivedReport:
    """The exam that a report is of, its report as it stands, and what became of what came."""

    exam: Exam
    report: Report | None
    outcome: rules.Outcome


def receive_report(*, site: Site, report: SaidReport, link: str, by: str, at: datetime) -> ReceivedReport:
    """Keep what was read in one exam's images, as a new version where it says something new.

    An exam that was cancelled or never performed keeps its report all the same: it was read.
    `link` is the link it came by, whose patient numbers may name no issuer; "" where it is ours.

    Raises UnknownExam, and PatientConflict where the exam is another patient's; nothing is kept then.
    """
    return receive_reports(site=site, reports=(report,), link=link, by=by, at=at)[0]


@transaction.atomic
def receive_reports(
    *, site: Site, reports: Sequence[SaidReport], link: str, by: str, at: datetime
) -> list[ReceivedReport]:
    """Keep several reports that came together: all of them or none. Raises as `receive_report` does."""
    meant = [_exam_meant(site, said.exam) for said in reports]
    exams = {exam.pk: exam for exam in lock_exams(meant)}
    for said, exam_id in zip(reports, meant, strict=True):
        _refuse_another_patient(exams[exam_id], said, link=link)
    return [
        _receive(exams[exam_id], said, at=at, by=by) for said, exam_id in zip(reports, meant, strict=True)
    ]


def _receive(exam: Exam, said: SaidReport, *, at: datetime, by: str) -> ReceivedReport:
    decision = rules.decide(queries.kept_of(exam), said)
    if decision.outcome is not rules.Outcome.NEW_VERSION or decision.state is None:
        return ReceivedReport(exam, queries.report_of(exam), decision.outcome)
    report = actions.keep_version(exam=exam, said=said, state=decision.state, at=at, by=by)
    for document in said.documents[:DOCUMENTS_MAX]:
        document_actions.put_document(
            exam=exam,
            outside=None,
            said=document,
            state=DocumentState.KEPT,
            source="with its report",
            at=at,
            by=by,
        )
    tell(
        exam,
        FactKind.REPORT_RECEIVED,
        at=at,
        by=by,
        data={"state": report.state, "version": report.version, "category": report.category},
    )
    # What must be told of a study of another house, its own readers told there.
    if not said.shares and not is_done_elsewhere(exam.order):
        look_for_findings(report=report, at=at, by=by)
    return ReceivedReport(exam, report, decision.outcome)


def _exam_meant(site: Site, said: SaidExam) -> int:
    named = [
        [rules.Candidate(*row) for row in exams.values_list("pk", "procedure_code")[:NAMED_MAX]]
        for exams in _named(site, said)
    ]
    found = rules.exam_meant(named, procedure_code=said.procedure_code)
    if isinstance(found, rules.Unclear):
        raise UnknownExam(f"A report came with {said.words}, but {found}. {WHAT_TO_DO[found]}")
    return found


def _named(site: Site, said: SaidExam) -> list[QuerySet[Exam]]:
    """For each number that a report gives, the exams here that have it."""
    here = Exam.objects.filter(site=site)
    found = [
        here.filter(Q(accession=number) | Q(filler=number))
        for number in dict.fromkeys((said.accession, said.filler))
        if number
    ]
    if said.study_instance_uid:
        found.append(here.filter(study_instance_uid=said.study_instance_uid))
    if said.placer:
        ordered = here.filter(order__placer=said.placer)
        if said.placer_authority:
            ordered = ordered.filter(order__placer_authority=said.placer_authority)
        found.append(ordered)
    return found


def _refuse_another_patient(exam: Exam, said: SaidReport, *, link: str) -> None:
    """Raise PatientConflict unless the report is of the exam's patient: a result in the wrong record does harm."""
    if said.patient is None:
        return
    identifiers = identifiers_that_count(
        said.patient.identifiers, authority=identifier_authority(exam.site, link)
    )
    patient = exam.patient.merged_into or exam.patient
    facts = facts_said(said.patient)
    if not rules.is_of_patient(
        patients.match(site=exam.site, identifiers=identifiers),
        patient_id=patient.pk,
        now=_facts_of(patient),
        said=facts,
    ):
        raise PatientConflict(
            f"A report came for exam {exam.accession}, but it is of another patient than the exam. "
            "Nothing was kept: ask the reporting system whose it is."
        )


def _facts_of(patient: Patient) -> dict[str, object]:
    return {"family": patient.family, "birth_date": patient.birth_date}
