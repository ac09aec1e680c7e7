"""Search: a name, a number, a room. What is typed is posted, so that no name stands in an address."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.desk.access import needs
from xraydesk.desk.answers import SeeOther
from xraydesk.desk.banner import looked_at
from xraydesk.journey.exam_view import views_of
from xraydesk.orders.models import Exam
from xraydesk.patients import queries
from xraydesk.rooms.models import Room

QUERY_LENGTH_MAX = 100
EXAMS_SHOWN_MAX = 30


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Permission.SEE_PATIENT)
def search(request: HttpRequest, member: Member) -> HttpResponse:
    """What fits what was typed; straight to the exam or room where it names just one."""
    typed = request.POST.get("q", "").strip()[:QUERY_LENGTH_MAX]
    if not typed:
        return render(request, "desk/search.html", {"typed": "", "patients": [], "views": []})
    exam = Exam.objects.filter(site=member.site, accession__iexact=typed).first()
    if exam is not None:
        return SeeOther(reverse("exam", args=[exam.accession]))
    room = Room.objects.filter(site=member.site, code__iexact=typed, retired=False).first()
    if room is not None and member.may(Permission.PERFORM):
        return SeeOther(reverse("room", args=[room.code]))
    patients = list(queries.search(site=member.site, text=typed).prefetch_related("identifiers"))
    for patient in patients:
        looked_at(member, patient, what="search")
    exams = Exam.objects.filter(site=member.site, accession__istartswith=typed) | Exam.objects.filter(
        site=member.site, order__placer__iexact=typed
    )
    views = views_of(exams.order_by("-id"), site=member.site, limit=EXAMS_SHOWN_MAX)
    return render(request, "desk/search.html", {"typed": typed, "patients": patients, "views": views})
