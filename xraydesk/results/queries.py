"""Finding reports."""

from __future__ import annotations

from xraydesk.lib.prepared import Question, ask
from xraydesk.orders.models import Exam
from xraydesk.results.models import Document, Report, ReportVersion
from xraydesk.results.reporting import DOCUMENTS_MAX, document_words
from xraydesk.results.rules import Kept
from xraydesk.results.states import DocumentState, ReportState


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


def documents_of(exam: Exam) -> list[Document]:
    """The documents that stand beside an exam's report, without their bytes."""
    found = Document.objects.filter(exam=exam, state=DocumentState.KEPT).order_by("id")
    return list(found.defer("content")[: DOCUMENTS_MAX * 5])


def is_named(document: Document, report: Report) -> bool:
    """True where the report as it stands names the document: one of an earlier version is not named any more."""
    return document_words(document.kind, document.title, document.sha256) in report.text


def documents_named(report: Report) -> list[Document]:
    """The documents that a report as it stands names, without their bytes."""
    if "Kept with the report: " not in report.text:
        return []
    return [one for one in documents_of(report.exam) if is_named(one, report)]
