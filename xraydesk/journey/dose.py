"""Dose goes on record: from a dose report, a performed step, or an image header."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from xraydesk.dose import actions
from xraydesk.dose.models import DoseRecord
from xraydesk.dose.report import DoseEvent, DoseReport, DoseSource
from xraydesk.facts.actions import record
from xraydesk.facts.kinds import FactKind
from xraydesk.imaging.header import Header, StepReport
from xraydesk.orders.models import Exam


@transaction.atomic
def record_dose(
    *,
    site_id: int,
    exam: Exam | None,
    report: DoseReport,
    at: datetime,
    by: str,
    simulated: bool = False,
) -> DoseRecord | None:
    """Put one source's account of an exam's dose on record; None where it says nothing of dose.

    Without an exam (its object is quarantined) it is kept and counts for nobody until
    `assign_dose` gives it one.
    """
    if report.total_dap_gym2 is None and not report.events:
        return None
    exam_id = exam.pk if exam else None
    if report.source is DoseSource.STEP:
        kept = actions.replace_step_report(
            site_id=site_id, exam_id=exam_id, report=report, at=at, simulated=simulated
        )
        made = True
    else:
        kept, made = actions.keep_report(
            site_id=site_id, exam_id=exam_id, report=report, at=at, simulated=simulated
        )
    if exam is not None and made:
        record(
            site_id=site_id,
            kind=FactKind.DOSE_RECORDED,
            at=at,
            by=by,
            accession=exam.accession,
            patient=exam.patient_id,
            data={"source": report.source, "dap_gym2": report.total_dap_gym2, "events": len(report.events)},
            simulated=simulated,
        )
    return kept


@transaction.atomic
def assign_dose(*, site_id: int, sop_instance_uid: str, exam: Exam | None) -> None:
    """Let the dose read from one object count for the exam that a person decided on, or for none."""
    actions.assign(site_id=site_id, sop_instance_uid=sop_instance_uid, exam_id=exam.pk if exam else None)


def report_of_header(header: Header) -> DoseReport:
    """What an image's own header says of its exposure, as an account with one event.

    Image and Fluoroscopy Area Dose Product (0018,115E), Exposure Index, Target and Deviation
    (0018,1411 to 1413). An empty account where it says nothing.
    """
    values = (
        header.dap_gym2,
        header.exposure_index,
        header.target_exposure_index,
        header.deviation_index,
    )
    if all(value is None for value in values):
        return DoseReport(DoseSource.HEADER, header.sop_instance_uid)
    event = DoseEvent(
        event_uid=header.sop_instance_uid,
        target_region=header.body_part or None,
        view=header.view_position or None,
        laterality=header.laterality or None,
        dap_gym2=header.dap_gym2,
        kvp=(header.kvp,) if header.kvp is not None else (),
        mas=header.mas,
        exposure_time_ms=header.exposure_time_ms,
        exposure_index=header.exposure_index,
        target_exposure_index=header.target_exposure_index,
        deviation_index=header.deviation_index,
    )
    return DoseReport(
        source=DoseSource.HEADER,
        sop_instance_uid=header.sop_instance_uid,
        study_instance_uid=header.study_instance_uid,
        accession=header.accession,
        patient_id=header.patient_id,
        manufacturer=header.manufacturer,
        total_dap_gym2=header.dap_gym2,
        events=(event,),
    )


def report_of_step(report: StepReport) -> DoseReport:
    """What a performed step says of its dose (PS3.3 C.4.16): a total without events."""
    return DoseReport(DoseSource.STEP, report.sop_instance_uid, total_dap_gym2=report.dap_gym2)
