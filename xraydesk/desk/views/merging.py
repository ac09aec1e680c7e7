"""Two records of one person: compare them, make them one, part them again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.desk.access import needs
from xraydesk.desk.answers import SeeOther, done, refused
from xraydesk.desk.banner import Banner, banner_of, looked_at
from xraydesk.journey.errors import Refused
from xraydesk.journey.exam_view import views_of
from xraydesk.journey.merge import merge_by_hand, undo_merge
from xraydesk.lib import clock
from xraydesk.orders.models import Exam
from xraydesk.patients.models import Merge, Patient
from xraydesk.patients.queries import by_identifier

MERGES_SHOWN_MAX = 50
EXAMS_SHOWN_MAX = 20


@dataclass(frozen=True)
class MergeShown:
    """One merge as the patient's page tells of it."""

    row: Merge
    sentence: str

    @property
    def at(self) -> datetime:
        """When it was done."""
        return self.row.at


def merges_of(patient: Patient) -> list[MergeShown]:
    """What was made one with a record, what went over to it or away from it; the newest first."""
    rows = Merge.objects.filter(stays=patient) | Merge.objects.filter(goes=patient)
    found = rows.prefetch_related("goes__identifiers", "stays__identifiers").order_by("-at", "-id")
    return [MergeShown(row, _sentence(row, patient)) for row in found[:MERGES_SHOWN_MAX]]


def _sentence(merge: Merge, patient: Patient) -> str:
    exams = len(merge.moved.get("exams", ()))
    with_them = f", with {exams} exam{'' if exams == 1 else 's'}"
    if merge.stays_id == patient.pk:
        other = (
            ", ".join(n.value for n in merge.goes.identifiers.all()[:3]) or "a number that is used no more"
        )
        if merge.moved.get("numbers") and not merge.whole:
            return f"A number came from {other}"
        return (
            f"Record {other} was made one with this" if merge.whole else f"A stay came from {other}"
        ) + with_them
    other = ", ".join(n.value for n in merge.stays.identifiers.all()[:3]) or "another record"
    if merge.moved.get("numbers") and not merge.whole:
        return f"A number went over to {other}"
    return (f"This record went into {other}" if merge.whole else f"A stay went over to {other}") + with_them


def _record_or_404(member: Member, patient_id: int) -> Patient:
    patient = Patient.objects.filter(site=member.site, pk=patient_id).first()
    if patient is None:
        raise Http404
    return patient


@require_POST
@needs(Permission.MERGE)
def choose(request: HttpRequest, member: Member, patient_id: int) -> SeeOther:
    """Find the other record by its number; it is posted, so that no number stands in an address."""
    patient = _record_or_404(member, patient_id)
    here = reverse("patient", args=[patient.pk])
    other = by_identifier(site=member.site, value=request.POST.get("number", "")[:64])
    if other is None:
        return refused(request, Refused("No record here has that number, or more than one has."), to=here)
    if other.pk == patient.pk:
        return refused(request, Refused("That is a number of this record."), to=here)
    return SeeOther(reverse("merge", args=[patient.pk, other.pk]))


@dataclass(frozen=True)
class Side:
    """One of the two records, as they are compared."""

    banner: Banner
    exams: int


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Permission.MERGE)
def compare(request: HttpRequest, member: Member, patient_id: int, other_id: int) -> HttpResponse:
    """Both records side by side, what would go over, and the button that makes them one."""
    stays, goes = _record_or_404(member, patient_id), _record_or_404(member, other_id)
    if request.method == "POST":
        try:
            merge = merge_by_hand(
                site=member.site, stays_id=stays.pk, goes_id=goes.pk, at=clock.now(), by=member.who
            )
        except Refused as why:
            return refused(request, why, to=reverse("merge", args=[stays.pk, goes.pk]))
        return done(
            request,
            "They are one record now.",
            to=reverse("patient", args=[stays.pk]),
            undo=reverse("merge-undo", args=[merge.pk]),
        )
    for patient in (stays, goes):
        looked_at(member, patient, what="merge")
    exams = Exam.objects.filter(patient=goes)
    context = {
        "stays": Side(banner_of(stays), Exam.objects.filter(patient=stays).count()),
        "goes": Side(banner_of(goes), exams.count()),
        "banner": banner_of(stays),
        "views": views_of(exams.order_by("-id"), site=member.site, limit=EXAMS_SHOWN_MAX),
    }
    return render(request, "desk/merge.html", context)


@require_POST
@needs(Permission.MERGE)
def undo(request: HttpRequest, member: Member, merge_id: int) -> SeeOther:
    """Part two records again, or give a stay back."""
    merge = Merge.objects.filter(site=member.site, pk=merge_id).first()
    if merge is None:
        raise Http404
    here = reverse("patient", args=[merge.stays_id])
    try:
        undo_merge(merge_id=merge.pk, at=clock.now(), by=member.who)
    except Refused as why:
        return refused(request, why, to=here)
    return done(request, "Everything that had come over went back.", to=here)
