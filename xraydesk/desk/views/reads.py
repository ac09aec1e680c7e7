"""Who looked at which record: for administrators."""

from __future__ import annotations

from datetime import timedelta

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from xraydesk.access.members import Member
from xraydesk.access.queries import READS_SHOWN_MAX, reads
from xraydesk.access.roles import Permission
from xraydesk.desk.access import needs
from xraydesk.desk.views.board import day_asked
from xraydesk.lib import clock


@require_safe
@needs(Permission.SEE_ACCESS_LOG)
def reads_page(request: HttpRequest, member: Member) -> HttpResponse:
    """The log of one day: who read what, through which page; by person, patient or exam where asked."""
    zone = member.site.timezone
    day = day_asked(request, clock.local_day(clock.now(), zone))
    since, until = clock.day_bounds(day, zone)
    patient = request.GET.get("patient", "")
    who = request.GET.get("who", "").strip()[:80]
    rows = reads(
        site=member.site,
        since=since,
        until=until,
        patient=int(patient) if patient.isdecimal() and len(patient) < 19 else None,
        who=who if ":" in who or not who else f"user:{who}",
        accession=request.GET.get("exam", "")[:16],
    )
    context = {
        "rows": rows,
        "day": day,
        "before": day - timedelta(days=1),
        "after": day + timedelta(days=1),
        "most": READS_SHOWN_MAX,
        "asked": {key: request.GET.get(key, "") for key in ("who", "patient", "exam")},
    }
    return render(request, "desk/reads.html", context)
