"""Reading dose."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import Q

from xraydesk.dose.models import DoseEventRecord, DoseRecord
from xraydesk.dose.report import DoseEvent, DoseReport, DoseSource
from xraydesk.dose.rules import ExamDose, dose_of
from xraydesk.imaging.models import StepExam


def dose_of_exam(*, exam_id: int) -> ExamDose:
    """The dose of one exam with its source; two queries, and two more where a machine's step tells of it."""
    records = DoseRecord.objects.filter(exam_id=exam_id).prefetch_related("events").order_by("id")
    reports = [_report(record) for record in records]
    steps = [report.sop_instance_uid for report in reports if report.source is DoseSource.STEP]
    told = _told_exam_by_exam(exam_id, steps) if steps else frozenset()
    return dose_of([report for report in reports if report.sop_instance_uid not in told])


def _told_exam_by_exam(exam_id: int, step_uids: Sequence[str]) -> frozenset[str]:
    """Of some steps of an exam, those that were carried out for others as well, where a better account says whose dose is whose.

    A step gives one total for all its exams (PS3.3 C.4.16), which stands with the first. Where images or a dose report
    tell of each exam, it would count the same exposures twice.
    """
    carried = StepExam.objects.filter(step__sop_instance_uid__in=step_uids, voided=False)
    mine = carried.filter(exam=exam_id).values("step")
    by_exam = list(carried.filter(step__in=mine).values_list("step__sop_instance_uid", "exam"))
    shared = {uid for uid, exam in by_exam if exam != exam_id}
    exams = [exam for uid, exam in by_exam if uid in shared]
    told = set(
        DoseRecord.objects.filter(exam__in=exams)
        .filter(Q(total_dap_gym2__isnull=False) | Q(events__dap_gym2__isnull=False))
        .exclude(source=DoseSource.STEP)
        .values_list("exam", flat=True)
    )
    return frozenset(uid for uid, exam in by_exam if uid in shared and exam in told)


def accounts_of_exam(*, exam_id: int) -> list[DoseReport]:
    """Every account of one exam's dose, each with its source, the best source first."""
    records = DoseRecord.objects.filter(exam_id=exam_id).prefetch_related("events").order_by("id")
    reports = [_report(record) for record in records]
    return sorted(reports, key=lambda report: list(DoseSource).index(report.source))


def _report(record: DoseRecord) -> DoseReport:
    return DoseReport(
        source=DoseSource(record.source),
        sop_instance_uid=record.sop_instance_uid,
        manufacturer=record.manufacturer,
        total_dap_gym2=record.total_dap_gym2,
        events=tuple(_event(event) for event in sorted(record.events.all(), key=lambda e: e.pk)),
    )


def _event(row: DoseEventRecord) -> DoseEvent:
    return DoseEvent(
        event_uid=row.event_uid,
        protocol=row.protocol,
        target_region=row.target_region,
        view=row.view,
        laterality=row.laterality,
        dap_gym2=row.dap_gym2,
        dose_rp_gy=row.dose_rp_gy,
        kvp=tuple(row.kvp),
        mas=row.mas,
        exposure_time_ms=row.exposure_time_ms,
        exposure_index=row.exposure_index,
        target_exposure_index=row.target_exposure_index,
        deviation_index=row.deviation_index,
    )
