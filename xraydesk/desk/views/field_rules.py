"""What a sender puts elsewhere: rules for one link, written, tried on messages that came, and only then kept."""

from __future__ import annotations

import hashlib
import json
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
from xraydesk.desk.banner import looked_at
from xraydesk.journey.errors import Refused
from xraydesk.lib import clock
from xraydesk.links.models import Message
from xraydesk.links.states import Direction
from xraydesk.links.trying import Tried, save_fields, try_fields
from xraydesk.patients.models import Patient
from xraydesk.siteplan.diff import diff
from xraydesk.siteplan.field_text import with_fields, written
from xraydesk.siteplan.jsonform import from_json
from xraydesk.siteplan.link_plan import LinkField, LinkPlan
from xraydesk.siteplan.plan import SitePlan
from xraydesk.siteplan.problems import SiteFileErrors

SALT = "xraydesk.rules-of-fields"


@require_safe
@needs(Permission.SET_LINKS)
def field_rules(request: HttpRequest, member: Member, name: str) -> HttpResponse:
    """The rules of a link as they are, to be changed and tried; on one message before all others where it is named."""
    _, link = _plan_or_404(member, name)
    first = _message(member, link, request.GET.get("message", ""))
    return render(request, "desk/linkfields.html", _context(link, written(link), first))


@require_POST
@needs(Permission.SET_LINKS)
def try_rules(request: HttpRequest, member: Member, name: str) -> HttpResponse:
    """How messages that came would be read under the rules as they are written here; nothing is kept."""
    plan, link = _plan_or_404(member, name)
    text = _text(request)
    first = _message(member, link, request.POST.get("message", ""))
    context = _context(link, text, first)
    try:
        changed = with_fields(text, plan, name)
    except SiteFileErrors as wrong:
        return render(request, "desk/linkfields.html", context | {"errors": wrong.errors})
    then = next(one for one in changed.links if one.name == name)
    tried = try_fields(site=member.site, today=link, then=then, first=first)
    _looked_at(member, tried)
    context |= {
        "tried": tried,
        "changes": diff(plan, changed),
        "token": signing.dumps(_print_of(member, name, text), salt=SALT),
    }
    return render(request, "desk/linkfields.html", context)


@require_POST
@needs(Permission.SET_LINKS)
def save(request: HttpRequest, member: Member, name: str) -> SeeOther:
    """Keep rules that were tried just so."""
    here = reverse("link-fields", args=[name])
    _plan_or_404(member, name)
    text = _text(request)
    try:
        tried = signing.loads(request.POST.get("token", ""), salt=SALT)
    except signing.BadSignature:
        tried = ""
    if tried != _print_of(member, name, text):
        why = "Nothing was kept: these rules, or what was there before, changed since they were tried. Try them again."
        return refused(request, Refused(why), to=here)
    try:
        lines = save_fields(site=member.site, name=name, text=text, at=clock.now(), by=member.who)
    except Refused as why_not:
        return refused(request, why_not, to=here)
    said = "; ".join(lines) or "nothing is new"
    return done(
        request,
        f"Kept: {said}. Take the rules into the site file too, or its next load takes them back.",
        to=here,
    )


def _text(request: HttpRequest) -> str:
    # A browser sends the ends of lines as two characters; lines are counted by one.
    return request.POST.get("rules", "").replace("\r\n", "\n")


def _plan_or_404(member: Member, name: str) -> tuple[SitePlan, LinkPlan]:
    plan = from_json(member.site.plan) if member.site.plan else None
    links = plan.links if plan else ()
    link = next((one for one in links if one.name == name and one.kind != "dicom"), None)
    if plan is None or link is None:
        raise Http404
    return plan, link


def _message(member: Member, link: LinkPlan, typed: str) -> Message | None:
    """The message of this link that is named; None where none is, raises Http404 where it is not there."""
    if not typed:
        return None
    found = Message.objects.filter(site=member.site, direction=Direction.IN, link=link.name)
    message = found.filter(pk=typed).first() if typed.isdecimal() and len(typed) < 19 else None
    if message is None:
        raise Http404
    return message


def _context(link: LinkPlan, text: str, first: Message | None) -> dict[str, Any]:
    return {"link": link, "text": text, "first": first, "names": list(LinkField)}


def _looked_at(member: Member, tried: Tried) -> None:
    wanted = {one.message.patient for one in tried.shown if one.message.patient is not None}
    for patient in Patient.objects.filter(site=member.site, pk__in=wanted):
        looked_at(member, patient, what="message")


def _print_of(member: Member, name: str, text: str) -> str:
    """What was tried, and on what it was tried, in few letters."""
    plan = json.dumps(member.site.plan, sort_keys=True)
    return hashlib.sha256(f"{member.site.pk}\n{name}\n{plan}\n{text}".encode()).hexdigest()
