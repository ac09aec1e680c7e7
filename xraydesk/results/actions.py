"""The only writer of reports and their versions. Call inside a transaction that holds the exam."""

from __future__ import annotations

from datetime import datetime

from xraydesk.orders.models import Exam
from xraydesk.results.models import Report, ReportVersion
from xraydesk.results.reporting import SaidReport
from xraydesk.results.states import READ_STATES, ReportState

NAME_LENGTH_MAX = 200
ID_LENGTH_MAX = 64


def keep_version(*, exam: Exam, said: SaidReport, state: ReportState, at: datetime, by: str) -> Report:
    """Write down what a report says now, as the exam's report and as one more version of it.

    A time that lies ahead of `at` is taken as `at`: a reader cannot have read in the future.
    """
    report = Report.objects.filter(exam=exam).first()
    if report is None:
        report = Report(site_id=exam.site_id, exam=exam, version=0, simulated=exam.simulated)
    said_at = min(said.said_at or at, at)
    report.version += 1
    report.state = state
    report.text = said.whole_text
    report.impression = said.impression
    report.category = said.category
    if said.radiologist_name or said.radiologist_id:
        report.radiologist_id = said.radiologist_id[:ID_LENGTH_MAX]
        report.radiologist_name = said.radiologist_name[:NAME_LENGTH_MAX]
    report.said_at = said_at
    report.changed_at = at
    if state in READ_STATES and report.read_at is None:
        report.read_at = said_at
    report.save()
    ReportVersion.objects.create(
        report=report,
        version=report.version,
        state=state,
        text=report.text,
        impression=report.impression,
        radiologist_name=said.radiologist_name[:NAME_LENGTH_MAX],
        said_at=said_at,
        received_at=at,
        by=by,
    )
    return report
