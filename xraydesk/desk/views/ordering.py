"""An order by form: for the walk-in, and for the day on which the EHR is down."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.desk.access import needs
from xraydesk.desk.answers import done
from xraydesk.desk.banner import banner_of, looked_at
from xraydesk.desk.forms import OrderFields, new_key
from xraydesk.journey.errors import Refused
from xraydesk.journey.order_by_form import order_by_form
from xraydesk.lib import clock
from xraydesk.orders.states import Priority
from xraydesk.patients.models import Patient

GROUPS = (
    ("Patient", ("family", "given", "birth_date", "sex", "patient_number", "phone")),
    ("Exam", ("procedure1", "side1", "procedure2", "side2", "procedure3", "side3", "reason")),
    (
        "Where, when, who",
        (
            "patient_class",
            "ward",
            "bed",
            "transport",
            "priority",
            "requested",
            "provider_name",
            "provider_phone",
        ),
    ),
)
"""How the form is laid out: headings and their fields."""


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Permission.ORDER)
def order_new(request: HttpRequest, member: Member) -> HttpResponse:
    """The order form; what was typed is kept where something is wrong."""
    if request.method != "POST":
        return _page(request, OrderFields(site=member.site, initial=_known(request, member)))
    fields = OrderFields(request.POST, site=member.site)
    if not fields.is_valid():
        return _page(request, fields, status=400)
    try:
        received = order_by_form(site=member.site, form=fields.order(), at=clock.now(), by=member.who)
    except Refused as why:
        return _page(request, fields, wrong=str(why), status=409)
    return done(request, "The order is written down.", to=reverse("exam", args=[received.exams[0].accession]))


def _page(request: HttpRequest, fields: OrderFields, *, wrong: str = "", status: int = 200) -> HttpResponse:
    groups = [(heading, [fields[name] for name in names]) for heading, names in GROUPS]
    context = {"fields": fields, "groups": groups, "wrong": wrong}
    return render(request, "desk/order.html", context, status=status)


def _known(request: HttpRequest, member: Member) -> dict[str, Any]:
    """What is known already of the patient whose page the form was opened from."""
    start: dict[str, Any] = {"key": new_key(), "priority": Priority.ROUTINE.value}
    asked = request.GET.get("patient", "")
    if not (asked.isdecimal() and len(asked) < 19):
        return start
    patient = Patient.objects.filter(site=member.site, pk=int(asked), merged_into=None).first()
    if patient is None:
        return start
    looked_at(member, patient, what="order form")
    banner = banner_of(patient)
    visit = banner.visit
    return start | {
        "family": patient.family,
        "given": patient.given,
        "birth_date": patient.birth_date,
        "sex": patient.sex,
        "patient_number": banner.number,
        "phone": patient.phone,
        "patient_class": visit.patient_class if visit else "O",
        "ward": visit.ward if visit else "",
        "bed": visit.bed if visit else "",
    }
