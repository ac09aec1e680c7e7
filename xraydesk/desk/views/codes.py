"""Codes of senders that are not known here, and what they were said to mean."""

from __future__ import annotations

from django.db.models import Count, Min
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.desk.access import needs
from xraydesk.desk.answers import SeeOther, done, refused
from xraydesk.journey.codes import map_code, unmap_code
from xraydesk.journey.errors import Refused
from xraydesk.lib import clock
from xraydesk.orders.models import CodeMapping, CodeTable, Exam, Procedure
from xraydesk.orders.queries import of_unknown_codes

CODES_SHOWN_MAX = 200


@require_safe
@needs(Permission.TRIAGE)
def codes(request: HttpRequest, member: Member) -> HttpResponse:
    """Every code that exams wait with, how many and since when, and every code that was mapped."""
    waiting = (
        of_unknown_codes(site=member.site)
        .exclude(procedure_code="")
        .values("order__source", "procedure_code", "procedure_system")
        .annotate(
            count=Count("pk"),
            since=Min("created_at"),
            text=Min("procedure_text"),
            first=Min("pk"),
            accession=Min("accession"),
        )
        .order_by("since")
    )
    context = {
        "waiting": list(waiting[:CODES_SHOWN_MAX]),
        "mappings": CodeMapping.objects.filter(site=member.site, ended_at=None)
        .select_related("procedure")
        .order_by("source", "code")[:CODES_SHOWN_MAX],
        "tables": CodeTable.objects.filter(site=member.site)
        .annotate(count=Count("pairs"))
        .order_by("of", "system"),
        "procedures": Procedure.objects.filter(site=member.site, retired=False).order_by("text"),
    }
    return render(request, "desk/codes.html", context)


@require_POST
@needs(Permission.TRIAGE)
def map_one(request: HttpRequest, member: Member, exam_id: int) -> SeeOther:
    """Say what the code of a waiting exam means, from now on and for every exam that waits with it."""
    exam = Exam.objects.select_related("order").filter(site=member.site, pk=exam_id).first()
    if exam is None:
        raise Http404
    chosen = request.POST.get("procedure", "")
    try:
        count = map_code(
            site=member.site,
            source=exam.order.source,
            code=exam.procedure_code,
            system=exam.procedure_system,
            procedure_id=int(chosen) if chosen.isdecimal() and len(chosen) < 19 else 0,
            at=clock.now(),
            by=member.who,
        )
    except Refused as why:
        return refused(request, why, to=reverse("codes"))
    return done(
        request,
        f"{exam.procedure_code} is known now; {count} exam{'' if count == 1 else 's'} that waited went on.",
        to=reverse("codes"),
    )


@require_POST
@needs(Permission.TRIAGE)
def unmap(request: HttpRequest, member: Member, mapping_id: int) -> SeeOther:
    """Take the meaning of a code back."""
    try:
        unmap_code(site=member.site, mapping_id=mapping_id, at=clock.now(), by=member.who)
    except Refused as why:
        return refused(request, why, to=reverse("codes"))
    return done(request, "What comes with that code waits for a person again.", to=reverse("codes"))
