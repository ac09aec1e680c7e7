"""Putting dose on record; the only writer of its tables."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from xraydesk.dose.models import DoseEventRecord, DoseRecord
from xraydesk.dose.report import DoseReport


def _fitting(text: str | None, length_max: int) -> str | None:
    return None if text is None else text[:length_max]


def keep_report(
    *, site_id: int, exam_id: int | None, report: DoseReport, at: datetime, simulated: bool = False
) -> tuple[DoseRecord, bool]:
    """Keep one source's account of a dose; (the record, whether it is new).

    The same account again changes nothing, except that it may come to belong to an exam.
    """
    record, made = DoseRecord.objects.get_or_create(
        site_id=site_id,
        source=report.source,
        sop_instance_uid=report.sop_instance_uid,
        defaults={
            "exam_id": exam_id,
            "manufacturer": report.manufacturer[:64],
            "total_dap_gym2": report.total_dap_gym2,
            "recorded_at": at,
            "simulated": simulated,
        },
    )
    if made:
        events = {event.event_uid: event for event in report.events}
        DoseEventRecord.objects.bulk_create(
            DoseEventRecord(
                record=record,
                **{
                    **asdict(event),
                    "event_uid": event.event_uid[:64],
                    "protocol": _fitting(event.protocol, 120),
                    "target_region": _fitting(event.target_region, 120),
                    "view": _fitting(event.view, 120),
                    "laterality": _fitting(event.laterality, 64),
                    "kvp": list(event.kvp),
                },
            )
            for event in events.values()
        )
    elif record.exam_id != exam_id:
        record.exam_id = exam_id
        record.save(update_fields=["exam_id"])
    return record, made


def replace_step_report(
    *, site_id: int, exam_id: int | None, report: DoseReport, at: datetime, simulated: bool = False
) -> DoseRecord:
    """Keep a performed step's latest account: a modality may tell it again until the step is final."""
    record, _ = DoseRecord.objects.update_or_create(
        site_id=site_id,
        source=report.source,
        sop_instance_uid=report.sop_instance_uid,
        defaults={"exam_id": exam_id, "total_dap_gym2": report.total_dap_gym2, "recorded_at": at},
        create_defaults={
            "exam_id": exam_id,
            "total_dap_gym2": report.total_dap_gym2,
            "recorded_at": at,
            "simulated": simulated,
        },
    )
    return record


def assign(*, site_id: int, sop_instance_uid: str, exam_id: int | None) -> int:
    """Let the accounts read from one object count for an exam, or for none; how many there are."""
    return DoseRecord.objects.filter(site_id=site_id, sop_instance_uid=sop_instance_uid).update(
        exam_id=exam_id
    )
