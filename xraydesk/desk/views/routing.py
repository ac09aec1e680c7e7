"""Rules about where images go: written, tried on a day that was, and only then kept."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.core import signing
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.desk.access import needs
from xraydesk.desk.answers import SeeOther, done, refused
from xraydesk.imaging.route_rules import Otherwise
from xraydesk.journey.errors import Refused
from xraydesk.journey.try_routes import Tried, day_to_try, save_rules, try_plan
from xraydesk.lib import clock
from xraydesk.orders.models import Exam
from xraydesk.siteplan.diff import diff
from xraydesk.siteplan.jsonform import from_json
from xraydesk.siteplan.plan import SitePlan
from xraydesk.siteplan.problems import SiteFileError, SiteFileErrors
from xraydesk.siteplan.reading import read_toml_text
from xraydesk.siteplan.route_text import with_rules, written
from xraydesk.siteplan.toml_file import FILE_BYTES_MAX

DAYS_BACK_MAX = 3_653
SALT = "xraydesk.rules-of-routing"
OTHERWISE_SHOWN_MAX = 500


@dataclass(frozen=True)
class Row:
    """One exam that would go elsewhere, as the page shows it."""

    exam: Exam
    otherwise: Otherwise


@require_safe
@needs(Permission.SET_ROUTES)
def routing(request: HttpRequest, member: Member) -> HttpResponse:
    """The rules as they are, to be changed and tried."""
    plan = _plan(member)
    return render(
        request,
        "desk/routing.html",
        {"text": written(plan), "day": day_to_try(site=member.site, at=clock.now())},
    )


@require_POST
@needs(Permission.SET_ROUTES)
def try_rules(request: HttpRequest, member: Member) -> HttpResponse:
    """Which exams of a day would go elsewhere under the rules as they are written here, or under another site file."""
    plan = _plan(member)
    # A browser sends the ends of lines as two characters; lines are counted by one.
    text = request.POST.get("rules", "").replace("\r\n", "\n")
    file = request.FILES.get("file")
    context: dict[str, Any] = {"text": text, "day": _day(request, member), "file": file.name if file else ""}
    try:
        changed = _of_file(file, plan) if file else with_rules(text, plan)
    except SiteFileErrors as wrong:
        return render(request, "desk/routing.html", context | {"errors": wrong.errors})
    tried = try_plan(site=member.site, plan=changed, day=context["day"], at=clock.now())
    context |= {
        "tried": tried,
        "rows": _rows(member, tried),
        "changes": diff(plan, changed),
        "token": "" if file else signing.dumps(_print_of(member, text), salt=SALT),
    }
    return render(request, "desk/routing.html", context)


@require_POST
@needs(Permission.SET_ROUTES)
def save(request: HttpRequest, member: Member) -> SeeOther:
    """Keep rules that were tried just so."""
    here = reverse("routing")
    _plan(member)
    text = request.POST.get("rules", "").replace("\r\n", "\n")
    try:
        tried = signing.loads(request.POST.get("token", ""), salt=SALT)
    except signing.BadSignature:
        tried = ""
    if tried != _print_of(member, text):
        why = "Nothing was kept: these rules, or what was there before, changed since they were tried. Try them again."
        return refused(request, Refused(why), to=here)
    try:
        lines = save_rules(site=member.site, text=text, at=clock.now(), by=member.who)
    except Refused as why_not:
        return refused(request, why_not, to=here)
    said = "; ".join(lines) or "nothing is new"
    return done(
        request,
        f"Kept: {said}. Take the rules into the site file too, or its next load takes them back.",
        to=here,
    )


def _plan(member: Member) -> SitePlan:
    if not member.site.plan:
        raise Http404
    return from_json(member.site.plan)


def _of_file(file: Any, plan: SitePlan) -> SitePlan:
    raw = file.read(FILE_BYTES_MAX + 1)
    if len(raw) > FILE_BYTES_MAX:
        raise SiteFileErrors((SiteFileError(1, "", f"the file is longer than {FILE_BYTES_MAX} bytes"),))
    try:
        changed = read_toml_text(raw.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise SiteFileErrors((SiteFileError(1, "", "the file is not UTF-8 text"),)) from None
    if changed.code != plan.code:
        raise SiteFileErrors((SiteFileError(1, "site, code", f"this is the file of {changed.code}"),))
    return changed


def _print_of(member: Member, text: str) -> str:
    """What was tried, and on what it was tried, in few letters."""
    plan = json.dumps(member.site.plan, sort_keys=True)
    return hashlib.sha256(f"{member.site.pk}\n{plan}\n{text}".encode()).hexdigest()


def _day(request: HttpRequest, member: Member) -> date:
    try:
        day = date.fromisoformat(request.POST.get("day", ""))
    except ValueError:
        return day_to_try(site=member.site, at=clock.now())
    today = clock.local_day(clock.now(), member.site.timezone)
    return min(max(day, today - timedelta(days=DAYS_BACK_MAX)), today)


def _rows(member: Member, tried: Tried) -> list[Row]:
    shown = tried.otherwise[:OTHERWISE_SHOWN_MAX]
    accessions = [one.accession for one in shown]
    found = Exam.objects.filter(site=member.site, accession__in=accessions).select_related("procedure")
    exams = {exam.accession: exam for exam in found}
    return [Row(exams[one.accession], one) for one in shown]
