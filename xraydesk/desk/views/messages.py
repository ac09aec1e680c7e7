"""Every message, in and out, raw and read."""

from __future__ import annotations

import json
from dataclasses import dataclass

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.attention.models import Item
from xraydesk.desk.access import needs
from xraydesk.desk.answers import SeeOther, done, refused
from xraydesk.desk.banner import looked_at
from xraydesk.journey.errors import Refused
from xraydesk.lib import clock
from xraydesk.links import messages as links
from xraydesk.links.models import Message
from xraydesk.links.outgoing import send as outgoing
from xraydesk.links.states import Direction, MessageState
from xraydesk.patients.models import Patient
from xraydesk.siteplan.plan import OutlinkPlan
from xraydesk.siteplan.reading import from_json

PAGE_LENGTH = 50
RAW_LENGTH_SHOWN_MAX = 65_536
"""A message may carry a whole document; the page shows its beginning."""


def message_or_404(member: Member, message_id: int) -> Message:
    """A message of the member's own site; raises Http404."""
    message = Message.objects.filter(site=member.site, pk=message_id).first()
    if message is None:
        raise Http404
    return message


@require_safe
@needs(Permission.SEE_MESSAGES)
def messages_page(request: HttpRequest, member: Member) -> HttpResponse:
    """The newest messages; by direction, state or control number where asked."""
    rows = Message.objects.filter(site=member.site).defer("raw", "answer").order_by("-at", "-id")
    direction, state = request.GET.get("direction", ""), request.GET.get("state", "")
    control_id = request.GET.get("control", "").strip()[:199]
    if direction in set(Direction):
        rows = rows.filter(direction=direction)
    if state in set(MessageState):
        rows = rows.filter(state=state)
    if control_id:
        rows = rows.filter(control_id=control_id)
    page = Paginator(rows, PAGE_LENGTH).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "asked": {"direction": direction, "state": state, "control": control_id},
        "directions": [d.value for d in Direction],
        "states": [s.value for s in MessageState],
        "links": from_json(member.site.plan).links if member.site.plan else (),
        "outlinks": _outlinks(member),
    }
    return render(request, "desk/messages.html", context)


@dataclass(frozen=True)
class Outlink:
    """A system that is told, and what waits for it."""

    plan: OutlinkPlan
    waiting: int
    oldest: Message | None


def _outlinks(member: Member) -> list[Outlink]:
    if not member.site.plan:
        return []
    waiting = Message.objects.filter(
        site=member.site, direction=Direction.OUT, state__in=(MessageState.QUEUED, MessageState.SENT)
    ).defer("raw", "answer")
    found = []
    for plan in from_json(member.site.plan).outlinks:
        of_link = waiting.filter(link=plan.name)
        found.append(Outlink(plan, of_link.count(), of_link.order_by("id").first()))
    return found


@require_safe
@needs(Permission.SEE_MESSAGES)
def message_page(request: HttpRequest, member: Member, message_id: int) -> HttpResponse:
    """One message as it came, and what the desk read in it."""
    message = message_or_404(member, message_id)
    if message.patient is not None:
        patient = Patient.objects.filter(site=member.site, pk=message.patient).first()
        if patient is not None:
            looked_at(member, patient, what="message", accession=message.accession)
    text = links.raw_text(message)
    context = {
        "message": message,
        "raw_lines": text[:RAW_LENGTH_SHOWN_MAX].replace("\r\n", "\r").replace("\n", "\r").split("\r"),
        "cut": len(text) > RAW_LENGTH_SHOWN_MAX,
        "answer": bytes(message.answer).decode("utf-8", "replace").replace("\r", "\n"),
        "read": json.dumps(links.read_of(message), indent=2, ensure_ascii=False),
        "items": Item.objects.filter(site=member.site, message=message.pk, closed_at=None),
        "may_decide": message.direction == Direction.OUT and message.state == MessageState.REJECTED,
        "may_replay": message.direction == Direction.IN
        and message.state not in (MessageState.APPLIED, MessageState.IGNORED),
    }
    return render(request, "desk/message.html", context)


@require_POST
@needs(Permission.SEE_MESSAGES)
def replay(request: HttpRequest, member: Member, message_id: int) -> SeeOther:
    """Apply a message again, after its cause was mended."""
    message = message_or_404(member, message_id)
    here = reverse("message", args=[message.pk])
    try:
        after = links.replay(message_id=message.pk, at=clock.now(), by=member.who)
    except Refused as why:
        return refused(request, why, to=here)
    return done(request, f"Applied again: {after.state}.", to=here)


@require_POST
@needs(Permission.SEE_MESSAGES)
def send_again(request: HttpRequest, member: Member, message_id: int) -> SeeOther:
    """Send a message again that was refused there."""
    message = message_or_404(member, message_id)
    here = reverse("message", args=[message.pk])
    try:
        outgoing.send_again(message_id=message.pk, at=clock.now(), by=member.who)
    except Refused as why:
        return refused(request, why, to=here)
    return done(request, "It is sent again, in its turn.", to=here)


@require_POST
@needs(Permission.SEE_MESSAGES)
def leave(request: HttpRequest, member: Member, message_id: int) -> SeeOther:
    """Leave a refused message as it is."""
    message = message_or_404(member, message_id)
    here = reverse("message", args=[message.pk])
    try:
        outgoing.leave_it(message_id=message.pk, at=clock.now(), by=member.who)
    except Refused as why:
        return refused(request, why, to=here)
    return done(request, "It is left as it is, and kept.", to=here)
