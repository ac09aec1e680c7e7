"""What the exam's page shows of its report and of readers' words on its images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.imaging.models import Image
from xraydesk.journey.exam_view import ExamView
from xraydesk.orders.models import Exam
from xraydesk.quality.models import Feedback
from xraydesk.quality.queries import of_exam
from xraydesk.quality.reasons import FeedbackReason
from xraydesk.quality.rules import WHOLE_EXAM, views_to_judge
from xraydesk.results.models import Document, Report, ReportVersion
from xraydesk.results.queries import documents_of, is_named
from xraydesk.results.reporting import DocumentKind
from xraydesk.results.states import ReportState

VERSIONS_SHOWN_MAX = 20
WHOLE_EXAM_WORD = "The whole exam"

STATE_NOTES = {
    ReportState.PRELIMINARY: "Preliminary: no radiologist has signed it yet, and it may change.",
    ReportState.CANCELLED: "This report was taken back. Do not go by what it said.",
}


@dataclass(frozen=True)
class ShownReport:
    """A report as the page shows it. `whole` is False for roles that see that there is one and not what it says."""

    report: Report
    note: str
    whole: bool
    earlier: tuple[ReportVersion, ...] = ()
    documents: tuple[tuple[Document, bool], ...] = ()
    """Documents beside it, and whether it names them as it stands now."""


def report_shown(view: ExamView, member: Member) -> ShownReport | None:
    """The report of an exam with its earlier versions, the newest first; None where nothing was read."""
    report = view.report
    if report is None:
        return None
    note = STATE_NOTES.get(ReportState(report.state), "")
    if not member.may(Permission.SEE_RESULTS):
        return ShownReport(report, note, whole=False)
    earlier = report.versions.filter(version__lt=report.version).order_by("-version")
    documents = tuple(
        (one, bool(one.text) or is_named(one, report))
        for one in documents_of(report.exam)
        if one.kind != DocumentKind.TEXT
    )
    return ShownReport(
        report, note, whole=True, earlier=tuple(earlier[:VERSIONS_SHOWN_MAX]), documents=documents
    )


@dataclass(frozen=True)
class Judged:
    """One view with the words that can be said of it: value, whether the member said it already."""

    view: str
    word: str
    reasons: tuple[tuple[FeedbackReason, bool], ...]


@dataclass(frozen=True)
class ReadersWords:
    """What readers said of an exam's images, and what the member may say."""

    said: tuple[Feedback, ...]
    offered: tuple[Judged, ...]


def readers_words(exam: Exam, images: Iterable[Image], view: ExamView, member: Member) -> ReadersWords:
    """Readers' words on an exam; a reader is offered every view with every word, once the exam was begun."""
    said = tuple(of_exam(exam)) if member.may(Permission.SEE_FEEDBACK) else ()
    if not member.may(Permission.GIVE_FEEDBACK) or view.step is None:
        return ReadersWords(said, ())
    mine = {(one.view, one.reason) for one in said if one.by == member.who}
    planned = exam.procedure.views if exam.procedure else ()
    views = views_to_judge((image.view_position for image in images), planned)
    offered = tuple(
        Judged(
            name,
            WHOLE_EXAM_WORD if name == WHOLE_EXAM else name,
            tuple((reason, (name, reason) in mine) for reason in FeedbackReason),
        )
        for name in views
    )
    return ReadersWords(said, offered)
