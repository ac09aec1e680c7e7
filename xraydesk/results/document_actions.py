"""The only writer of documents that stand beside reports. Call inside a transaction that holds the exam or the study."""

from __future__ import annotations

from datetime import datetime

from xraydesk.imaging.models import OutsideStudy
from xraydesk.orders.models import Exam
from xraydesk.results.models import Document
from xraydesk.results.reporting import SaidDocument
from xraydesk.results.states import DocumentState

NAME_LENGTH_MAX = 200


def put_document(
    *,
    exam: Exam | None,
    outside: OutsideStudy | None,
    said: SaidDocument,
    state: DocumentState,
    source: str,
    at: datetime,
    by: str,
) -> tuple[Document, bool]:
    """A document of an exam, or of a study whose exam nobody knows yet; and whether it was not here before."""
    owner = outside or exam
    if owner is None:
        raise ValueError("a document is of an exam or of a study")
    known = Document.objects.filter(sha256=said.sha256)
    known = known.filter(outside=outside) if outside else known.filter(exam=exam)
    found = known.first()
    if found is not None:
        return found, False
    made = Document.objects.create(
        site_id=owner.site_id,
        exam=exam,
        outside=outside,
        state=state,
        kind=said.kind,
        title=said.title,
        content=said.content,
        size_bytes=len(said.content),
        sha256=said.sha256,
        text=said.text,
        read_by=said.read_by[:NAME_LENGTH_MAX],
        source=source[:120],
        at=at,
        by=by,
    )
    return made, True


def move_document(document: Document, *, state: DocumentState) -> None:
    """It is a report, or is none."""
    document.state = state
    document.save(update_fields=["state"])


def give_documents(study: OutsideStudy, *, exam: Exam) -> None:
    """A study's documents are of its exam."""
    Document.objects.filter(outside=study).update(exam=exam)


def drop_documents(study: OutsideStudy) -> None:
    """A study is not taken in: nothing that came with it is kept."""
    Document.objects.filter(outside=study).delete()
