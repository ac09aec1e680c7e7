"""One exam, one patient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.contact.queries import notices_of_exam, notices_of_patient
from xraydesk.desk import history
from xraydesk.desk.access import exam_or_404, needs
from xraydesk.desk.answers import SeeOther, done, refused
from xraydesk.desk.banner import banner_of, looked_at, open_items
from xraydesk.desk.panel import what_can_be_done
from xraydesk.desk.reader import readers_words, report_shown
from xraydesk.desk.sending import readable, where_images_go
from xraydesk.desk.track import track
from xraydesk.desk.views.charges import charges_of
from xraydesk.desk.views.late_order import joined_of, late_pairs, unidentified
from xraydesk.desk.views.merging import merges_of
from xraydesk.desk.views.picture import can_be_shown
from xraydesk.dose.queries import accounts_of_exam, dose_of_exam
from xraydesk.facts.models import Fact
from xraydesk.facts.queries import of_exam
from xraydesk.imaging.models import Image, Prior
from xraydesk.imaging.queries import counts_of_exam, outside_of
from xraydesk.imaging.states import ImageState
from xraydesk.journey import perform, reconcile
from xraydesk.journey.check import missing_checks
from xraydesk.journey.errors import Refused
from xraydesk.journey.exam_view import ExamView, find, views_of
from xraydesk.journey.unscheduled import is_done_elsewhere
from xraydesk.lib import clock
from xraydesk.lib.units import gycm2_from_gym2
from xraydesk.links.models import Message
from xraydesk.orders.models import Exam
from xraydesk.patients.models import Patient
from xraydesk.safety.checks import CheckKind
from xraydesk.safety.models import SafetyCheck

FACTS_SHOWN_MAX = 200
FACTS_SHOWN = 12
IMAGES_SHOWN_MAX = 60
PRIORS_SHOWN_MAX = 30
PICTURES_SHOWN_MAX = 12
NO_PICTURES = ("SR", "DOC", "PR", "KO")
"""What has no picture of its own: reports, documents, how others are to be shown."""
PICTURED = (ImageState.MATCHED, ImageState.SENT, ImageState.HELD)
"""Images that are this exam's by all that is known; the others are looked at where they are decided on."""
EXAMS_OF_PATIENT_MAX = 200

CHECK_WORDS = {
    CheckKind.IDENTITY: "Identity",
    CheckKind.PREGNANCY: "Pregnancy",
    CheckKind.SIDE: "Side",
}

DISCONTINUE_REASONS = (
    ("110514", "wrong worklist entry was picked"),
    ("110510", "ordered twice"),
    ("110512", "wrong side"),
    ("110515", "may be pregnant"),
    ("110506", "refused by the patient"),
    ("110521", "the patient did not come"),
    ("110501", "equipment failure"),
    ("110513", "another reason"),
)
"""Discontinuation reasons that a technologist meets (DICOM CID 9300), in plain words."""


@require_safe
@needs(Permission.SEE_PATIENT)
def exam_page(request: HttpRequest, member: Member, accession: str) -> HttpResponse:
    """Everything that is known of one exam."""
    exam = exam_or_404(member, accession)
    looked_at(member, exam.patient, what="exam", accession=exam.accession)
    view = find(site=member.site, accession=exam.accession)
    if view is None:
        raise Http404
    facts = list(of_exam(site_id=member.site.pk, accession=exam.accession)[:FACTS_SHOWN_MAX])
    images = list(Image.objects.filter(exam=exam).order_by("received_at", "id")[:IMAGES_SHOWN_MAX])
    counts = counts_of_exam(exam.pk)
    messages_in = Message.objects.filter(site=member.site, accession=exam.accession)
    items = open_items(site_id=member.site.pk, accession=exam.accession)
    context: dict[str, Any] = {
        "exam": exam,
        "view": view,
        "banner": banner_of(exam.patient),
        "items": items,
        "why": "" if any(view.why in item.text for item in items) else view.why,
        "track": track(
            facts=[(fact.kind, fact.at) for fact in facts],
            stage=view.stage,
            images=counts.as_json(),
            report=view.report,
        ),
        "shown": report_shown(view, member),
        "charges": charges_of(member, view.exam),
        "words": readers_words(exam, images, view, member),
        "counts": counts,
        # Of images that were all taken back nobody is to open any.
        "readable": readable(facts) if counts.matched else None,
        "going": where_images_go(view.exam, images, at=clock.now()),
        "look": bool(request.GET.get("look")),
        "checks": _checks(exam),
        "missing": [CHECK_WORDS[kind] for kind in missing_checks(exam, at=clock.now())],
        "notices": notices_of_exam(exam.pk),
        "notes": exam.notes.order_by("-at")[:20],
        "messages_in": list(messages_in.order_by("id").only("id", "type", "at", "state")[:10]),
        "reasons": DISCONTINUE_REASONS,
        **_told(facts, whole=bool(request.GET.get("all"))),
        **_pictured(exam, images),
        **_dose(exam),
        **_of_its_order(exam, member),
        "may": _may(view, member),
    }
    return render(request, "desk/exam.html", context)


def _told(facts: Sequence[Fact], *, whole: bool) -> dict[str, Any]:
    """What happened, in words, the newest first; the first few unless the whole is asked for."""
    told = [
        {
            "at": fact.at,
            "sentence": history.sentence(fact.kind),
            "detail": history.detail(fact.data, fact.room),
            "by": fact.by,
        }
        for fact in reversed(facts)
    ]
    return {"told": told if whole else told[:FACTS_SHOWN], "told_count": len(told)}


def _pictured(exam: Exam, images: Sequence[Image]) -> dict[str, Any]:
    """Its images, those that can be looked at, and earlier ones of the patient."""
    here = [
        i
        for i in images
        if (i.path or i.released_at) and i.modality not in NO_PICTURES and i.state in PICTURED
    ]
    return {
        "images": images,
        "pictures": [(i, can_be_shown(i)) for i in here[:PICTURES_SHOWN_MAX]],
        "outside": exam.outside_studies.first() if is_done_elsewhere(exam.order) else None,
        "priors": list(Prior.objects.filter(exam=exam).order_by("-performed_on", "id")[:PRIORS_SHOWN_MAX]),
    }


def _dose(exam: Exam) -> dict[str, Any]:
    """What the patient got, as departments say it (Gy·cm²)."""
    dose = dose_of_exam(exam_id=exam.pk)
    return {
        "dose": dose,
        "dose_gycm2": None if dose.total_dap_gym2 is None else gycm2_from_gym2(dose.total_dap_gym2),
        "dose_events": [
            (event, None if event.dap_gym2 is None else gycm2_from_gym2(event.dap_gym2))
            for event in dose.events
        ],
        "dose_accounts": accounts_of_exam(exam_id=exam.pk),
    }


def _of_its_order(exam: Exam, member: Member) -> dict[str, Any]:
    """An order that came late for it, or a patient whom nobody knew: for whoever decides about orders."""
    decides = member.may(Permission.TRIAGE)
    return {
        "late": late_pairs(exam) if decides else None,
        "joined": joined_of(exam) if decides else None,
        "unknown": unidentified(exam, member) if decides else None,
    }


def _may(view: ExamView, member: Member) -> dict[str, bool]:
    return {
        "book": member.may(Permission.BOOK),
        "find": what_can_be_done(view, member, clock.now()).find,
        "triage": member.may(Permission.TRIAGE),
        "perform": member.may(Permission.PERFORM),
        "images": member.may(Permission.DECIDE_IMAGES),
        "bring": member.may(Permission.BRING_IN),
        "opened": member.may(Permission.OPEN_IMAGES),
        "messages": member.may(Permission.SEE_MESSAGES),
    }


def _checks(exam: Exam) -> list[tuple[str, SafetyCheck]]:
    newest: dict[str, SafetyCheck] = {}
    for check in exam.safety_checks.order_by("at", "id"):
        newest[check.kind] = check
    return [(CHECK_WORDS[kind], newest[kind]) for kind in CheckKind if kind in newest]


@require_safe
@needs(Permission.SEE_PATIENT)
def patient_page(request: HttpRequest, member: Member, patient_id: int) -> HttpResponse:
    """One patient with the exams past and coming."""
    patient = Patient.objects.select_related("merged_into").filter(site=member.site, pk=patient_id).first()
    if patient is None:
        raise Http404
    looked_at(member, patient, what="patient")
    exams = Exam.objects.filter(patient=patient).order_by("-created_at", "-id")
    context = {
        "banner": banner_of(patient),
        "views": views_of(exams, site=member.site, limit=EXAMS_OF_PATIENT_MAX),
        "notices": notices_of_patient(patient.pk),
        "outside": outside_of(patient),
        "visits": patient.visits.order_by("-changed_at")[:20],
        "may_order": member.may(Permission.ORDER),
        "merges": merges_of(patient),
        "may_merge": member.may(Permission.MERGE),
    }
    return render(request, "desk/patient.html", context)


@require_POST
@needs(Permission.PERFORM)
def end(request: HttpRequest, member: Member, accession: str) -> SeeOther:
    """End an exam by hand."""
    exam = exam_or_404(member, accession)
    here = reverse("exam", args=[exam.accession])
    try:
        perform.end_by_hand(exam_id=exam.pk, at=clock.now(), by=member.who)
    except Refused as why:
        return refused(request, why, to=here)
    return done(request, "The exam has ended.", to=here)


@require_POST
@needs(Permission.PERFORM)
def discontinue(request: HttpRequest, member: Member, accession: str) -> SeeOther:
    """Break an exam off, with its reason."""
    exam = exam_or_404(member, accession)
    here = reverse("exam", args=[exam.accession])
    words = dict(DISCONTINUE_REASONS)
    code = request.POST.get("reason", "")
    if code not in words:
        return refused(request, Refused("Choose why the exam is broken off."), to=here)
    try:
        perform.discontinue_by_hand(
            exam_id=exam.pk, reason_code=code, reason_text=words[code], at=clock.now(), by=member.who
        )
    except Refused as why:
        return refused(request, why, to=here)
    return done(request, "The exam was broken off.", to=here)


@require_POST
@needs(Permission.DECIDE_IMAGES)
def release_images(request: HttpRequest, member: Member, accession: str) -> SeeOther:
    """Images that were held back do belong to this exam: let them go on."""
    exam = exam_or_404(member, accession)
    here = reverse("exam", args=[exam.accession])
    try:
        count = reconcile.release_held(exam_id=exam.pk, at=clock.now(), by=member.who)
    except Refused as why:
        return refused(request, why, to=here)
    return done(request, f"{count} images belong to this exam and go on.", to=here)
