"""Images of other houses: brought by a person, and given to a patient of ours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.desk.access import needs
from xraydesk.desk.answers import SeeOther, done, refused
from xraydesk.desk.banner import Banner, banner_of, looked_at
from xraydesk.desk.views.picture import can_be_shown
from xraydesk.imaging.medium_states import UNDER_WAY
from xraydesk.imaging.models import Image, Medium, OutsideStudy
from xraydesk.imaging.outside_rules import OutsideState, differs
from xraydesk.imaging.queries import person_of
from xraydesk.journey import outside
from xraydesk.journey.errors import Refused
from xraydesk.journey.medium import UnknownMedium, ask_to_bring, stop_bringing
from xraydesk.journey.outside_report import COPIED
from xraydesk.journey.outside_undo import undo_import, who_has
from xraydesk.journey.unscheduled import is_done_elsewhere
from xraydesk.lib import clock
from xraydesk.links.dicom.medium_files import keep_upload
from xraydesk.links.outgoing.documents_kept import KeptDocument, kept_documents
from xraydesk.orders.models import Exam
from xraydesk.patients.models import Patient
from xraydesk.patients.queries import search
from xraydesk.results.models import Document
from xraydesk.results.reporting import DOCUMENTS_MAX

UPLOAD_FILES_MAX = 2_000
MEDIA_SHOWN_MAX = 10
SHOWN_MAX = 100
SERIES_SHOWN_MAX = 30
EXAMS_SHOWN_MAX = 20
FOUND_MAX = 10


@dataclass(frozen=True)
class Choice:
    """A patient who may be meant, why, and what speaks against it."""

    banner: Banner
    why: str
    against: tuple[str, ...]


@require_safe
@needs(Permission.BRING_IN)
def outside_page(request: HttpRequest, member: Member) -> HttpResponse:
    """What was brought and waits, what became of the rest, and the form to bring more."""
    studies = OutsideStudy.objects.filter(site=member.site).select_related("exam")
    counted = studies.annotate(
        holds=Count("images", distinct=True), series=Count("images__series_instance_uid", distinct=True)
    )
    media = Medium.objects.filter(site=member.site).order_by("-at", "-id")[:MEDIA_SHOWN_MAX]
    context = {
        "media": media,
        "under_way": any(one.state in UNDER_WAY for one in media),
        "waiting": counted.filter(state=OutsideState.WAITING).order_by("brought_at", "id")[:SHOWN_MAX],
        "decided": counted.exclude(state=OutsideState.WAITING).order_by("-decided_at", "-id")[:SHOWN_MAX],
    }
    return render(request, "desk/outside.html", context)


@require_POST
@needs(Permission.BRING_IN)
def bring(request: HttpRequest, member: Member) -> SeeOther:
    """Take what was uploaded, a zip file, or the files of a disc, and have it read beside the pages."""
    here = reverse("outside")
    files = request.FILES.getlist("files")[:UPLOAD_FILES_MAX]
    source = " ".join(request.POST.get("source", "").split())[:120]
    if not source:
        return refused(request, Refused("Say where the images come from. Nothing was kept."), to=here)
    if not files:
        return refused(
            request, Refused("No file came, or more than a page takes: then use the command."), to=here
        )
    lies = [
        (file.name or "", Path(file.temporary_file_path()))
        for file in files
        if isinstance(file, TemporaryUploadedFile)
    ]
    try:
        path = keep_upload(lies, Path(settings.XRAYDESK_SPOOL))
    except OSError:
        return refused(request, Refused("The disk cannot keep it now. Bring it again later."), to=here)
    ask_to_bring(site=member.site, source=source, path=path, is_ours=True, at=clock.now(), by=member.who)
    return done(request, "It came, and is read now. How far that is stands on this page.", to=here)


@require_POST
@needs(Permission.BRING_IN)
def stop(request: HttpRequest, member: Member, medium_id: int) -> SeeOther:
    """Nobody waits for the rest of a medium."""
    here = reverse("outside")
    try:
        stop_bringing(site=member.site, medium_id=medium_id, at=clock.now(), by=member.who)
    except UnknownMedium as why:
        return refused(request, why, to=here)
    return done(request, "Stopped. What was kept until then stays, and waits below.", to=here)


def study_or_404(member: Member, study_id: int) -> OutsideStudy:
    """A study of the member's own site; raises Http404."""
    study = (
        OutsideStudy.objects.select_related("site", "exam__patient", "exam__order")
        .filter(site=member.site, pk=study_id)
        .first()
    )
    if study is None:
        raise Http404
    return study


@needs(Permission.BRING_IN)
def study_page(request: HttpRequest, member: Member, study_id: int) -> HttpResponse:
    """One study of another house beside a patient of ours. A search comes by POST: no name stands in an address."""
    study = study_or_404(member, study_id)
    if study.exam is not None:
        looked_at(member, study.exam.patient, what="outside study", accession=study.exam.accession)
    said = outside.header_of(study)
    words = request.POST.get("find", "").strip()
    waits = study.state == OutsideState.WAITING
    choices = []
    if words:
        found = search(site=member.site, text=words, limit=FOUND_MAX)
        choices = [Choice(banner_of(p), "", differs(said, person_of(p))) for p in found]
    elif waits:
        offered = outside.who_is_meant(study)
        people = Patient.objects.in_bulk([one.patient_id for one in offered])
        choices = [
            Choice(banner_of(p), one.why, differs(said, person_of(p)))
            for one in offered
            if (p := people.get(one.patient_id))
        ]
    chosen = _chosen(request, member)
    context: dict[str, Any] = {
        "study": study,
        "waits": waits,
        "series": _series(study),
        "image": _picture(study) if member.may(Permission.DECIDE_IMAGES) else None,
        "words": words,
        "choices": choices,
        "documents": _documents(study),
        "has_it": who_has(study) if study.state == OutsideState.TAKEN else [],
        "may_report": study.state == OutsideState.TAKEN
        and study.exam is not None
        and is_done_elsewhere(study.exam.order),
        "chosen": Choice(banner_of(chosen), "", differs(said, person_of(chosen))) if chosen else None,
        "exams": _exams(chosen) if chosen else [],
    }
    if chosen is not None:
        looked_at(member, chosen, what="outside study")
    return render(request, "desk/outsidestudy.html", context)


def _documents(study: OutsideStudy) -> list[tuple[Document, KeptDocument | None]]:
    """The documents of a study, each with why and till when it is kept; None of what is no longer here."""
    rows = list(study.documents.exclude(source=COPIED).defer("content").order_by("id")[:DOCUMENTS_MAX])
    found = kept_documents(study.site, at=clock.now(), only=[one.pk for one in rows])
    kept = {one.document.pk: one for one in found}
    return [(one, kept.get(one.pk)) for one in rows]


def _chosen(request: HttpRequest, member: Member) -> Patient | None:
    asked = request.GET.get("patient", "")
    if not asked.isdecimal() or len(asked) > 18:
        return None
    return Patient.objects.filter(site=member.site, pk=int(asked), merged_into=None).first()


def _exams(patient: Patient) -> list[Exam]:
    """Exams that a study may stand beside, the newest first; none that was done elsewhere."""
    found = Exam.objects.filter(patient=patient, outside_studies=None).order_by("-created_at", "-id")
    return list(found[:EXAMS_SHOWN_MAX])


def _series(study: OutsideStudy) -> list[dict[str, Any]]:
    """What a study holds, series by series."""
    rows = Image.objects.filter(outside=study).values("series_instance_uid", "modality", "body_part")
    return [
        dict(row)
        for row in rows.annotate(holds=Count("pk")).order_by("series_instance_uid")[:SERIES_SHOWN_MAX]
    ]


def _picture(study: OutsideStudy) -> Image | None:
    """The first object of a study that has a picture to show."""
    first = study.images.exclude(modality__in=("SR", "DOC", "PR", "KO")).order_by("id").first()
    return first if first is not None and can_be_shown(first) else None


@require_POST
@needs(Permission.BRING_IN)
def take_in(request: HttpRequest, member: Member, study_id: int) -> SeeOther:
    """The study is this patient's: it goes on under our numbers."""
    study = study_or_404(member, study_id)
    patient, beside = request.POST.get("patient", ""), request.POST.get("beside", "")
    here = reverse("outside-study", args=[study.pk])
    other = Exam.objects.filter(site=member.site, accession=beside).first() if beside else None
    try:
        exam = outside.take_in(
            study_id=study.pk,
            patient_id=int(patient) if patient.isdecimal() and len(patient) < 19 else 0,
            compared_with=other.pk if other else None,
            at=clock.now(),
            by=member.who,
        )
    except Refused as why:
        return refused(request, why, to=here)
    return done(request, f"It is exam {exam.accession} here, and goes on under our numbers.", to=here)


@require_POST
@needs(Permission.BRING_IN)
def refuse(request: HttpRequest, member: Member, study_id: int) -> SeeOther:
    """The study is not taken in."""
    study = study_or_404(member, study_id)
    here = reverse("outside-study", args=[study.pk])
    try:
        outside.refuse(study_id=study.pk, why=request.POST.get("why", ""), at=clock.now(), by=member.who)
    except Refused as why:
        return refused(request, why, to=here)
    return done(request, "It is not taken in, and goes nowhere.", to=here)


@require_POST
@needs(Permission.BRING_IN)
def report(request: HttpRequest, member: Member, study_id: int) -> SeeOther:
    """The report of the other house, copied by hand."""
    study = study_or_404(member, study_id)
    here = reverse("outside-study", args=[study.pk])
    text, read_by = request.POST.get("text", ""), request.POST.get("read_by", "")
    try:
        outside.keep_report(study_id=study.pk, text=text, read_by=read_by, at=clock.now(), by=member.who)
    except Refused as why:
        return refused(request, why, to=here)
    return done(request, "Its report is kept, and told on as reports are.", to=here)


@require_POST
@needs(Permission.BRING_IN)
def undo(request: HttpRequest, member: Member, study_id: int) -> SeeOther:
    """The study is not to have been taken in: everything of it is taken back."""
    study = study_or_404(member, study_id)
    here = reverse("outside-study", args=[study.pk])
    has_it = who_has(study)
    try:
        undo_import(study_id=study.pk, why=request.POST.get("why", ""), at=clock.now(), by=member.who)
    except Refused as why:
        return refused(request, why, to=here)
    told = f" {', '.join(has_it)} is told not to use its images any more." if has_it else " It had not left."
    return done(request, f"It is taken back.{told}", to=here)
