"""Finding reports."""

from __future__ import annotations

from xraydesk.lib.prepared import Question, ask
from xraydesk.orders.models import Exam
from xraydesk.results.models import Report, ReportVersion
from xraydesk.results.rules import Kept
from xraydesk.results.states import ReportState


def report_of(exam: Exam) -> Report | None:
    """The report of an exam; None where nothing was read yet."""
    return Report.objects.filter(exam=exam).first()


def report_state(exam_id: int) -> str | None:
    """How far the reading of an exam is; None where nothing was read yet."""
    found = ask(
        Question(
            "SELECT state FROM results_report WHERE exam_id = $1", [exam_id], frozenset({"results_report"})
        )
    )
    return found[0][0] if found else None


def kept_of(exam: Exam) -> Kept | None:
    """What is on file of an exam's report, for the rules."""
    report = report_of(exam)
    if report is None:
        return None
    words = ReportVersion.objects.filter(report=report).values_list("text", "impression")
    return Kept(
        state=ReportState(report.state),
        text=report.text,
        impression=report.impression,
        category=report.category,
        earlier=frozenset(words),
    )
