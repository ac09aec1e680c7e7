"""Deciding where an image belongs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.desk.access import needs
from xraydesk.desk.answers import SeeOther, done, refused
from xraydesk.desk.banner import looked_at
from xraydesk.imaging.models import Delivery, Image
from xraydesk.imaging.states import DeliveryState, ImageState
from xraydesk.journey import reconcile, route
from xraydesk.journey.errors import Refused
from xraydesk.journey.exam_view import ExamView, find, name_of, of_day, views_of
from xraydesk.lib import clock
from xraydesk.lib.text import folded
from xraydesk.orders.models import Exam

REASON_LENGTH_MAX = 200
OTHERS_SHOWN_MAX = 12


@dataclass(frozen=True)
class Compared:
    """One line of the comparison: what the image says, what the exam says, and whether they agree."""

    word: str
    image: str
    exam: str
    agrees: bool


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


def compared(image: Image, view: ExamView) -> list[Compared]:
    """What an image says of itself beside what an exam says."""
    patient = view.patient
    born = image.patient_birth_date
    pairs = [
        ("Name", image.patient_name.replace("^", " ").strip(), name_of(patient).dicom().replace("^", " ")),
        ("MRN", image.patient_id, view.patient_number),
        (
            "Born",
            f"{born:%d %b %Y}" if born else "",
            f"{patient.birth_date:%d %b %Y}" if patient.birth_date else "",
        ),
        ("Sex", image.patient_sex, patient.sex),
        ("Accession", image.accession, view.exam.accession),
        ("Part", image.body_part, view.exam.procedure.body_part if view.exam.procedure else ""),
        ("Side", image.laterality, view.exam.laterality),
    ]
    return [Compared(w, a or "not said", b or "not said", _agrees(a, b)) for w, a, b in pairs]


def _agrees(said: str, expected: str) -> bool:
    return not said or said == "U" or not expected or folded(said) == folded(expected)


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
    ranked = sorted(others, key=lambda view: sum(not c.agrees for c in compared(image, view)))
    context: dict[str, Any] = {
        "image": image,
        "chosen": chosen,
        "asked": asked,
        "lines": compared(image, chosen) if chosen else [],
        "others": [view for view in ranked if not chosen or view.exam.pk != chosen.exam.pk][
            :OTHERS_SHOWN_MAX
        ],
        "undecided": image.state in (ImageState.QUARANTINED, ImageState.HELD),
        "deliveries": image.deliveries.order_by("id"),
    }
    return render(request, "desk/image.html", context)


@require_POST
@needs(Permission.DECIDE_IMAGES)
def belongs(request: HttpRequest, member: Member, image_id: int) -> SeeOther:
    """The image belongs to an exam: it is corrected on its way out, and goes on."""
    image = image_or_404(member, image_id)
    here = reverse("image", args=[image.pk])
    exam = Exam.objects.filter(site=member.site, accession=request.POST.get("exam", "").strip()).first()
    if exam is None:
        return refused(request, Refused("There is no exam with that accession number here."), to=here)
    try:
        reconcile.belongs_here(image_id=image.pk, exam_id=exam.pk, at=clock.now(), by=member.who)
    except Refused as why:
        return refused(request, why, to=here)
    return done(request, f"The image belongs to {exam.accession} and goes on, corrected.", to=here)


@require_POST
@needs(Permission.DECIDE_IMAGES)
def reject(request: HttpRequest, member: Member, image_id: int) -> SeeOther:
    """The image belongs nowhere: it is kept, and goes nowhere."""
    image = image_or_404(member, image_id)
    here = reverse("image", args=[image.pk])
    why_text = request.POST.get("why", "").strip()[:REASON_LENGTH_MAX]
    if not why_text:
        return refused(request, Refused("Say in a word why the image is rejected."), to=here)
    try:
        reconcile.reject_image(image_id=image.pk, why=why_text, at=clock.now(), by=member.who)
    except Refused as why:
        return refused(request, why, to=here)
    return done(request, "The image was rejected. It is kept, and goes nowhere.", to=here)


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
