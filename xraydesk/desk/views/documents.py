"""Reports as documents: brought to the study of another house, said to be its report or none, and taken away as files."""

from __future__ import annotations

from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.desk.access import exam_or_404, needs
from xraydesk.desk.answers import SeeOther, done, refused
from xraydesk.desk.banner import looked_at
from xraydesk.desk.views.outside import study_or_404
from xraydesk.journey import outside_report
from xraydesk.journey.errors import Refused
from xraydesk.lib import clock
from xraydesk.results.models import Document
from xraydesk.results.reporting import DOCUMENT_BYTES_MAX, DocumentKind
from xraydesk.results.states import DocumentState
from xraydesk.results.written_rules import Unreadable, document_of

ENDINGS = {DocumentKind.PDF: "pdf", DocumentKind.TEXT: "txt", DocumentKind.CDA: "xml"}


@require_safe
@needs(Permission.SEE_RESULTS, Permission.BRING_IN)
def document(request: HttpRequest, member: Member, document_id: int) -> HttpResponse:
    """A document as a file to take away. What is in it came from another house: no browser shows or runs it here."""
    found = (
        Document.objects.select_related("exam", "outside").filter(site=member.site, pk=document_id).first()
    )
    if found is None:
        raise Http404
    is_report = found.exam is not None and found.state == DocumentState.KEPT
    if not member.may(Permission.SEE_RESULTS if is_report else Permission.BRING_IN):
        raise Http404
    name = f"document-{found.pk}"
    if found.exam is not None:
        exam = exam_or_404(member, found.exam.accession)
        looked_at(member, exam.patient, what="document", accession=exam.accession)
        name = f"report-{exam.accession}-{found.pk}"
    if found.released_at is not None:
        words = f"This document is no longer here: {found.released_why}."
        return HttpResponse(words, status=410, content_type="text/plain; charset=utf-8")
    kind = DocumentKind(found.kind)
    charset = "; charset=utf-8" if kind is DocumentKind.TEXT else ""
    answer = HttpResponse(bytes(found.content), content_type=f"{kind}{charset}")
    answer["Content-Disposition"] = f'attachment; filename="{name}.{ENDINGS[kind]}"'
    answer["Content-Security-Policy"] = "default-src 'none'; sandbox"
    answer["Cache-Control"] = "no-store"
    return answer


@require_POST
@needs(Permission.BRING_IN)
def decide_document(request: HttpRequest, member: Member, document_id: int) -> SeeOther:
    """A document is the report of its study, or is none."""
    found = Document.objects.filter(site=member.site, pk=document_id, outside__isnull=False).first()
    if found is None:
        raise Http404
    here = reverse("outside-study", args=[found.outside_id])
    is_report = request.POST.get("is") == "report"
    try:
        outside_report.decide_document(
            document_id=found.pk, is_report=is_report, at=clock.now(), by=member.who
        )
    except Refused as why:
        return refused(request, why, to=here)
    said = (
        "It is the report, and stands with the exam."
        if is_report
        else "It is no report, and is told to nobody."
    )
    return done(request, said, to=here)


@require_POST
@needs(Permission.BRING_IN)
def bring_document(request: HttpRequest, member: Member, study_id: int) -> SeeOther:
    """Take a file as the report of a study."""
    study = study_or_404(member, study_id)
    here = reverse("outside-study", args=[study.pk])
    file = request.FILES.get("file")
    if not isinstance(file, UploadedFile):
        return refused(request, Refused("No file came. Nothing was kept."), to=here)
    try:
        said = document_of(_bytes_of(file), title=file.name or "", text_too=True)
    except Unreadable as why:
        return refused(request, Refused(str(why)), to=here)
    kept = outside_report.bring_document(
        study_id=study.pk, said=said, certain=True, source="brought as a file", at=clock.now(), by=member.who
    )
    if kept is None:
        return refused(
            request, Refused("This study takes no document, or no more of them. Nothing was kept."), to=here
        )
    return done(request, "It is kept, and stands with the exam.", to=here)


def _bytes_of(file: UploadedFile[Any]) -> bytes:
    """No more of a file than shows that it is too large."""
    return bytes(file.read(DOCUMENT_BYTES_MAX + 1))
