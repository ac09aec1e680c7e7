"""Deciding where an image belongs."""

from __future__ import annotations

from typing import Any

from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.desk.access import needs
from xraydesk.desk.answers import SeeOther, done, refused
from xraydesk.desk.banner import looked_at
from xraydesk.desk.compared import compared
from xraydesk.desk.views.picture import can_be_shown
from xraydesk.imaging import actions, queries
from xraydesk.imaging.labelled_rules import Way, findings_of_json, heaviest_first, score
from xraydesk.imaging.models import Delivery, Image
from xraydesk.imaging.rejection_rules import RejectionCode
from xraydesk.imaging.states import DeliveryState, ImageState
from xraydesk.journey import recall, reconcile, route
from xraydesk.journey.errors import Refused
from xraydesk.journey.exam_view import find, of_day, views_of
from xraydesk.journey.judge import is_decided
from xraydesk.journey.keys import standing
from xraydesk.journey.policy import policies_of
from xraydesk.lib import clock
from xraydesk.orders.models import Exam

REASON_LENGTH_MAX = 200
OTHERS_SHOWN_MAX = 12
SIBLINGS_SHOWN_MAX = 40
UNDECIDED = (ImageState.QUARANTINED, ImageState.HELD)

CODE_WORDS = (
    (RejectionCode.SAFETY, "its label would do harm"),
    (RejectionCode.QUALITY, "it cannot be read"),
    (RejectionCode.WRONG_ENTRY, "the wrong worklist entry was picked"),
    (RejectionCode.RETENTION, "it is not to be kept any longer"),
)
"""Reasons that others are told (PS3.16 CID 7011), in plain words."""


WORD_OF_KEYWORD = {
    "PatientID": "MRN",
    "IssuerOfPatientID": "MRN",
    "PatientName": "name",
    "PatientBirthDate": "birth date",
    "PatientSex": "sex",
    "AccessionNumber": "accession number",
    "StudyInstanceUID": "study number",
    "SeriesInstanceUID": "series number",
    "SOPInstanceUID": "its own number",
    "ImageLaterality": "side",
    "BodyPartExamined": "part",
}
"""What is corrected, in plain words."""


def image_or_404(member: Member, image_id: int) -> Image:
    """An image of the member's own site; raises Http404."""
    image = (
        Image.objects.select_related("exam__patient", "exam__order")
        .filter(site=member.site, pk=image_id)
        .first()
    )
    if image is None:
        raise Http404
    return image


@require_safe
@needs(Permission.DECIDE_IMAGES)
def image_page(request: HttpRequest, member: Member, image_id: int) -> HttpResponse:
    """An image beside the exam that it claims, and others that it may belong to."""
    image = image_or_404(member, image_id)
    claimed = find(site=member.site, accession=image.exam.accession) if image.exam else None
    if image.exam is not None:
        looked_at(member, image.exam.patient, what="image", accession=image.exam.accession)
    asked = request.GET.get("exam", "").strip()
    chosen = find(site=member.site, accession=asked) if asked else claimed
    day = clock.local_day(image.acquired_at or image.received_at, member.site.timezone)
    others = views_of(of_day(site=member.site, day=day), site=member.site)
    moved = queries.moved_by_people(site_id=member.site.pk, study_instance_uid=image.study_instance_uid)
    went_to = {one.exam_id for one in moved}
    ranked = sorted(
        others,
        key=lambda view: (
            view.exam.pk not in went_to,
            sum(not c.agrees for c in compared(image, view)),
        ),
    )
    deliveries = list(image.deliveries.order_by("id"))
    findings = heaviest_first(findings_of_json(image.findings))
    lines = compared(image, chosen) if chosen else []
    context: dict[str, Any] = {
        "image": image,
        "is_right": not asked
        and not findings
        and image.state in (ImageState.MATCHED, ImageState.SENT)
        and bool(lines)
        and all(line.agrees for line in lines),
        "has_picture": can_be_shown(image),
        "findings": findings,
        "score": score(findings),
        "limit": policies_of(member.site).label_limit,
        "fix": any(finding.way is Way.ANATOMY for finding in findings),
        "words": actions.header_of(image).marker_texts if image.header else (),
        "chosen": chosen,
        "asked": asked,
        "lines": lines,
        "others": [view for view in ranked if not chosen or view.exam.pk != chosen.exam.pk][
            :OTHERS_SHOWN_MAX
        ],
        "undecided": image.state in UNDECIDED,
        "decidable": image.state != ImageState.REJECTED,
        "corrected": list(dict.fromkeys(WORD_OF_KEYWORD.get(each, each) for each in image.corrections)),
        "siblings": [(one, _ticked(one), _goes_along(one, image)) for one in _siblings(image)],
        "together": reconcile.decided_together(image),
        "is_final": image.before is None and is_decided(image),
        "seen": standing(image),
        "had": [d.destination for d in deliveries if d.state == DeliveryState.SENT],
        "may_have": [d.destination for d in deliveries if d.may_have_it and d.state != DeliveryState.SENT],
        "moved_from": recall.moved_from(image),
        "deliveries": deliveries,
        "notes": recall.notes_about(image),
        "saw": recall.who_saw(image, at=clock.now()),
        "codes": CODE_WORDS,
    }
    return render(request, "desk/image.html", context)


def _siblings(image: Image) -> list[Image]:
    """Other images of the same study or exam that can be decided together with one."""
    same = Q(study_instance_uid=image.study_instance_uid) if image.study_instance_uid else Q(pk=None)
    if image.exam_id:
        same |= Q(exam=image.exam_id)
    found = Image.objects.filter(same, site=image.site_id, copy=0).exclude(pk=image.pk)
    return list(found.exclude(state=ImageState.REJECTED).order_by("received_at", "id")[:SIBLINGS_SHOWN_MAX])


def _goes_along(one: Image, image: Image) -> bool:
    """True where another image most likely is decided as this one: it says the same of its patient, and the same is wrong."""
    same = ("state", "exam_id", "why", "patient_id", "patient_name", "patient_birth_date", "accession")
    return image.state in UNDECIDED and all(getattr(one, each) == getattr(image, each) for each in same)


def _ticked(image: Image) -> str:
    """What a ticked image sends: its key, and where it stood when it was ticked."""
    return f"{image.pk}@{standing(image)}"


def _also(request: HttpRequest, image: Image) -> dict[int, str]:
    """The others that were ticked on the page, only those that it offered, and where each stood then."""
    asked = dict(key.partition("@")[::2] for key in request.POST.getlist("also")[:SIBLINGS_SHOWN_MAX])
    return {one.pk: asked[str(one.pk)] for one in _siblings(image) if str(one.pk) in asked}


@require_POST
@needs(Permission.DECIDE_IMAGES)
def belongs(request: HttpRequest, member: Member, image_id: int) -> SeeOther:
    """The image, and those ticked with it, belong to an exam: they are corrected on their way out, and go on."""
    image = image_or_404(member, image_id)
    here = reverse("image", args=[image.pk])
    exam = Exam.objects.filter(site=member.site, accession=request.POST.get("exam", "").strip()).first()
    if exam is None:
        return refused(request, Refused("There is no exam with that accession number here."), to=here)
    also = _also(request, image)
    try:
        decided = reconcile.belongs_here(
            image_id=image.pk,
            exam_id=exam.pk,
            at=clock.now(),
            by=member.who,
            also=also,
            fix_anatomy=bool(request.POST.get("fix")),
            as_seen=also | {image.pk: request.POST.get("seen", "")},
        )
    except Refused as why:
        return refused(request, why, to=here)
    what = (
        f"{len(also) + 1} images belong to {exam.accession} and go"
        if also
        else f"The image belongs to {exam.accession} and goes"
    )
    return done(request, f"{what} on, corrected.", to=here, undo=_undo_of(decided))


def _undo_of(image: Image) -> str:
    """Where a decision is taken back, that about others in the same step too; "" where it cannot be."""
    return reverse("image-undo", args=[image.pk]) if image.before is not None else ""


@require_POST
@needs(Permission.DECIDE_IMAGES)
def reject(request: HttpRequest, member: Member, image_id: int) -> SeeOther:
    """The image, and those ticked with it, belong nowhere: they are kept, and go nowhere."""
    image = image_or_404(member, image_id)
    here = reverse("image", args=[image.pk])
    why_text = request.POST.get("why", "").strip()[:REASON_LENGTH_MAX]
    if not why_text:
        return refused(request, Refused("Say in a word why the image is rejected."), to=here)
    code = request.POST.get("code", "")
    also = _also(request, image)
    try:
        decided = reconcile.reject_image(
            image_id=image.pk,
            why=why_text,
            at=clock.now(),
            by=member.who,
            code=RejectionCode(code) if code in tuple(RejectionCode) else RejectionCode.SAFETY,
            also=also,
            as_seen=also | {image.pk: request.POST.get("seen", "")},
        )
    except Refused as why:
        return refused(request, why, to=here)
    what = f"{len(also) + 1} images were rejected. They are" if also else "The image was rejected. It is"
    go = "go" if also else "goes"
    return done(request, f"{what} kept, and {go} nowhere.", to=here, undo=_undo_of(decided))


@require_POST
@needs(Permission.DECIDE_IMAGES)
def undo(request: HttpRequest, member: Member, image_id: int) -> SeeOther:
    """What was decided about the image is taken back, where nothing of it has left."""
    image = image_or_404(member, image_id)
    here = reverse("image", args=[image.pk])
    try:
        undone = reconcile.undo_decision(image_id=image.pk, at=clock.now(), by=member.who)
    except Refused as why:
        return refused(request, why, to=here)
    about = f" about {len(undone)} images" if len(undone) > 1 else ""
    return done(request, f"The decision{about} was taken back.", to=here)


@require_POST
@needs(Permission.DECIDE_IMAGES)
def send_again(request: HttpRequest, member: Member, image_id: int) -> SeeOther:
    """Try again to send an image that a destination would not take."""
    image = image_or_404(member, image_id)
    here = reverse("image", args=[image.pk])
    failed = Delivery.objects.filter(image=image, state=DeliveryState.FAILED)
    try:
        for delivery in failed:
            route.retry_delivery(delivery_id=delivery.pk, at=clock.now(), by=member.who)
    except Refused as why:
        return refused(request, why, to=here)
    return done(request, "It is being sent again.", to=here)
