"""Reading dose."""

from __future__ import annotations

from xraydesk.dose.models import DoseEventRecord, DoseRecord
from xraydesk.dose.report import DoseEvent, DoseReport, DoseSource
from xraydesk.dose.rules import ExamDose, dose_of


def dose_of_exam(*, exam_id: int) -> ExamDose:
    """The dose of one exam with its source; two queries."""
    records = DoseRecord.objects.filter(exam_id=exam_id).prefetch_related("events").order_by("id")
    return dose_of([_report(record) for record in records])


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
