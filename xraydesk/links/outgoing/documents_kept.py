"""Documents of outside reports are let go of once another system has them, and some days more; what they were stays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Q, QuerySet

from xraydesk.access.models import Site
from xraydesk.facts.actions import record
from xraydesk.facts.kinds import FactKind
from xraydesk.imaging.outside_rules import OutsideState
from xraydesk.journey.outside_report import COPIED
from xraydesk.journey.policy import policies_of
from xraydesk.links.hl7.report_out import DOCUMENTS_OUT_BYTES_MAX
from xraydesk.links.models import Message
from xraydesk.links.states import Direction, MessageState
from xraydesk.results import document_actions
from xraydesk.results.document_rules import DocumentKept, DocumentStanding, why_document_kept
from xraydesk.results.models import Document
from xraydesk.results.states import DocumentState

DOCUMENTS_AT_ONCE = 500

_TELLS = Q(type__startswith="ORU") | Q(type__startswith="MDM") | Q(type="DiagnosticReport")
_OPEN = (MessageState.QUEUED, MessageState.SENT, MessageState.REJECTED, MessageState.FAILED)


@dataclass(frozen=True)
class KeptDocument:
    """A document that is here, why, and till when where that is known; `has_it` names who has it."""

    document: Document
    why: DocumentKept
    until: datetime | None
    taken_at: datetime | None
    has_it: tuple[str, ...]


@dataclass(frozen=True)
class Total:
    """How many documents are here for one reason, how much room they take, since when the oldest, and when the first may go."""

    why: DocumentKept
    files: int
    size_bytes: int
    oldest: datetime
    until: datetime | None


def kept_documents(site: Site, *, at: datetime, only: Iterable[int] | None = None) -> Iterator[KeptDocument]:
    """The documents of outside reports that are here, oldest first, without their content; `only` some by key.

    A text that somebody copied is the report itself, and no document.
    """
    here = _here(site)
    if only is not None:
        here = here.filter(pk__in=list(only))
    last = 0
    while documents := list(here.filter(pk__gt=last).order_by("id")[:DOCUMENTS_AT_ONCE]):
        yield from _judged(site, documents, at=at)
        last = documents[-1].pk


def _here(site: Site) -> QuerySet[Document]:
    found = Document.objects.filter(site=site, outside__isnull=False, released_at=None).exclude(source=COPIED)
    return found.defer("content").select_related("outside", "exam")


def _judged(site: Site, documents: list[Document], *, at: datetime) -> Iterator[KeptDocument]:
    days = policies_of(site).image_days
    told: dict[str, list[Message]] = {}
    accessions = {one.exam.accession for one in documents if one.exam is not None}
    messages = Message.objects.filter(_TELLS, site=site, direction=Direction.OUT, accession__in=accessions)
    for message in messages.only("accession", "link", "at", "state", "answered_at").order_by("id"):
        told.setdefault(message.accession, []).append(message)
    sizes = _sizes(documents)
    for one in documents:
        mine = [m for m in told.get(one.exam.accession if one.exam else "", ()) if m.at >= one.at]
        # Larger ones are named in the report, and not sent with it.
        fits = sizes.get(one.outside_id or 0, 0) <= DOCUMENTS_OUT_BYTES_MAX
        took = [m for m in mine if fits and m.state == MessageState.ACCEPTED]
        taken_at = one.taken_at or max((m.answered_at or m.at for m in took), default=None)
        is_report = one.state == DocumentState.KEPT
        is_open = one.outside is None or one.outside.state == OutsideState.WAITING
        standing = DocumentStanding(
            is_decided=one.state != DocumentState.OFFERED and not is_open,
            is_report=is_report,
            since=max(one.at, one.moved_at or one.at),
            taken_at=taken_at,
            waits=any(m.state in _OPEN for m in mine),
        )
        why, until = why_document_kept(standing, days=days, at=at)
        yield KeptDocument(one, why, until, taken_at, tuple(sorted({m.link for m in took})))


def _sizes(documents: Iterable[Document]) -> dict[int, int]:
    """How large the documents of each study are together that are its report."""
    studies = {one.outside_id for one in documents}
    rows = Document.objects.filter(outside__in=studies, state=DocumentState.KEPT).exclude(source=COPIED)
    sizes: dict[int, int] = {}
    for study, size in rows.values_list("outside", "size_bytes"):
        sizes[study or 0] = sizes.get(study or 0, 0) + size
    return sizes


def totals(site: Site, *, at: datetime) -> list[Total]:
    """The documents that are here by reason, in the order of the reasons."""
    found: dict[DocumentKept, list[KeptDocument]] = {}
    for one in kept_documents(site, at=at):
        found.setdefault(one.why, []).append(one)
    return [
        Total(
            why,
            len(found[why]),
            sum(one.document.size_bytes for one in found[why]),
            min(one.document.at for one in found[why]),
            min((one.until for one in found[why] if one.until), default=None),
        )
        for why in DocumentKept
        if why in found
    ]


def let_go_of_documents(site: Site, *, at: datetime) -> int:
    """Let go of every document that may go; the number. Who has it is noted first, because messages are forgotten sooner."""
    released = 0
    for one in kept_documents(site, at=at):
        if one.document.taken_at != one.taken_at or one.why is DocumentKept.MAY_GO:
            released += _let_go(site, one.document.pk, at=at)
    return released


@transaction.atomic
def _let_go(site: Site, document_id: int, *, at: datetime) -> bool:
    """Judged once more under its lock: somebody may have decided about it meanwhile."""
    locked = Document.objects.select_for_update(skip_locked=True).filter(pk=document_id).defer("content")
    if locked.first() is None:
        return False
    one = next(kept_documents(site, at=at, only=[document_id]), None)
    if one is None:
        return False
    document = one.document
    if document.taken_at is None and one.taken_at is not None:
        document_actions.document_taken(document, at=one.taken_at)
    if one.why is not DocumentKept.MAY_GO:
        return False
    if document.state != DocumentState.KEPT:
        why = "it is no report"
    else:
        why = f"{' and '.join(one.has_it)} took it with its report" if one.has_it else "another system has it"
    document_actions.release_document(document, why=why, at=at)
    exam = document.exam
    record(
        site_id=site.pk,
        kind=FactKind.DOCUMENTS_RELEASED,
        at=at,
        by="rule",
        accession=exam.accession if exam else "",
        patient=exam.patient_id if exam else None,
        data={"document": document.pk, "why": why},
        simulated=site.simulated,
    )
    return True
