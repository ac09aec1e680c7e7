"""The report of a study of another house: documents that came with it, and a text that somebody copied, become one report."""

from __future__ import annotations

import hashlib
from datetime import datetime

from django.db import transaction

from xraydesk.imaging.models import OutsideStudy
from xraydesk.imaging.outside_rules import OutsideState
from xraydesk.journey.errors import WrongState
from xraydesk.journey.report import receive_report
from xraydesk.journey.unscheduled import is_done_elsewhere
from xraydesk.results import document_actions
from xraydesk.results.models import Document, Report
from xraydesk.results.reporting import (
    DOCUMENTS_MAX,
    DocumentKind,
    SaidDocument,
    SaidExam,
    SaidReport,
)
from xraydesk.results.states import READ_STATES, DocumentState, ReportAction

COPIED = "copied by hand"


def locked_study(study_id: int) -> OutsideStudy | None:
    """A study with its exam, locked."""
    return (
        OutsideStudy.objects.select_for_update(of=("self",))
        .select_related("site", "exam__order")
        .filter(pk=study_id)
        .first()
    )


@transaction.atomic
def bring_document(
    *, study_id: int, said: SaidDocument, certain: bool, source: str, at: datetime, by: str
) -> Document | None:
    """Keep a document with a study; what is `certain` to be its report is told on with the exam, of the rest a person is asked.

    None where the study was not taken in, or has as many documents as a report may.
    """
    study = locked_study(study_id)
    if study is None or study.state == OutsideState.REFUSED:
        return None
    known = Document.objects.filter(outside=study)
    if known.count() >= DOCUMENTS_MAX and not known.filter(sha256=said.sha256).exists():
        return None
    document, is_new = document_actions.put_document(
        exam=study.exam,
        outside=study,
        said=said,
        state=DocumentState.KEPT if certain else DocumentState.OFFERED,
        source=source,
        at=at,
        by=by,
    )
    if certain and is_new:
        say_report(study, at=at, by=by)
    return document


@transaction.atomic
def decide_document(*, document_id: int, is_report: bool, at: datetime, by: str) -> Document:
    """A person says that a document is the report of its study, or is none. Raises WrongState."""
    found = Document.objects.filter(pk=document_id).values_list("outside_id", flat=True).first()
    study = locked_study(found) if found else None
    document = Document.objects.filter(pk=document_id, outside=study).first() if study else None
    if study is None or document is None:
        raise WrongState("This document is not here any more. Nothing was changed.")
    state = DocumentState.KEPT if is_report else DocumentState.LEFT
    if is_report and document.released_at is not None:
        raise WrongState(
            f"What was in it is no longer here: {document.released_why}. Bring the file once more, then it is the report."
        )
    if document.state != state:
        document_actions.move_document(document, state=state, at=at)
        say_report(study, at=at, by=by)
    return document


def copy_text(study: OutsideStudy, *, text: str, read_by: str, at: datetime, by: str) -> None:
    """A text that somebody copied stands for the one that they copied before. The study is locked."""
    before = Document.objects.filter(outside=study, source=COPIED, state=DocumentState.KEPT)
    said = SaidDocument(
        kind=DocumentKind.TEXT,
        title="",
        content=text.encode(),
        text=text,
        read_by=read_by,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
    )
    for one in before.exclude(sha256=said.sha256):
        document_actions.move_document(one, state=DocumentState.LEFT, at=at)
    document, _ = document_actions.put_document(
        exam=study.exam,
        outside=study,
        said=said,
        state=DocumentState.KEPT,
        source=COPIED,
        at=at,
        by=by,
    )
    document_actions.move_document(document, state=DocumentState.KEPT, at=at)
    say_report(study, at=at, by=by)


def say_report(study: OutsideStudy, *, at: datetime, by: str) -> None:
    """Tell the report of a study as it now stands, once it has an exam: the texts one after the other, the documents by name.

    Where nothing is left of it, it is taken back.
    """
    if study.exam is None or not is_done_elsewhere(study.exam.order):
        return
    kept = list(
        Document.objects.filter(outside=study, state=DocumentState.KEPT).order_by("id")[:DOCUMENTS_MAX]
    )
    report = Report.objects.filter(exam=study.exam).first()
    if not kept and report is None:
        return
    action = ReportAction.CORRECT if report else ReportAction.FINAL
    said = SaidReport(
        exam=SaidExam(accession=study.exam.accession),
        action=action if kept else ReportAction.CANCEL,
        text="\n\n".join(one.text for one in kept if one.text),
        documents=tuple(_said(one) for one in kept if not one.text),
        radiologist_name=next((one.read_by for one in reversed(kept) if one.read_by), ""),
        said_at=at,
    )
    if report is not None and kept and report.state in READ_STATES and report.text == said.whole_text:
        return
    receive_report(site=study.site, report=said, link="", by=by, at=at)


def _said(document: Document) -> SaidDocument:
    return SaidDocument(
        kind=DocumentKind(document.kind),
        title=document.title,
        content=bytes(document.content),
        text=document.text,
        read_by=document.read_by,
        sha256=document.sha256,
    )
