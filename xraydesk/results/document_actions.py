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
        if found.released_at is not None and said.content:
            found.content, found.released_at, found.released_why = said.content, None, ""
            found.moved_at, found.taken_at = at, None
            found.save(update_fields=["content", "released_at", "released_why", "moved_at", "taken_at"])
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


def move_document(document: Document, *, state: DocumentState, at: datetime) -> None:
    """It is a report, or is none."""
    document.state, document.moved_at = state, at
    document.save(update_fields=["state", "moved_at"])


def document_taken(document: Document, *, at: datetime) -> None:
    """Another system took it with its report."""
    document.taken_at = at
    document.save(update_fields=["taken_at"])


def release_document(document: Document, *, why: str, at: datetime) -> None:
    """Let go of what is in it. That it was here, and its report, stay."""
    document.content, document.released_at, document.released_why = b"", at, why[:120]
    document.save(update_fields=["content", "released_at", "released_why"])


def give_documents(study: OutsideStudy, *, exam: Exam) -> None:
    """A study's documents are of its exam."""
    Document.objects.filter(outside=study).update(exam=exam)


def drop_documents(study: OutsideStudy) -> None:
    """A study is not taken in: nothing that came with it is kept."""
    Document.objects.filter(outside=study).delete()
