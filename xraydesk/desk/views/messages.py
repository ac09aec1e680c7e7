"""Every message, in and out, raw and read."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import timedelta

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.attention.kinds import ItemKind
from xraydesk.attention.models import Item
from xraydesk.desk import history
from xraydesk.desk.access import needs
from xraydesk.desk.answers import SeeOther, done, refused
from xraydesk.desk.banner import banner_of, looked_at
from xraydesk.facts.models import Fact
from xraydesk.journey.errors import Refused
from xraydesk.lib import clock
from xraydesk.links import messages as links
from xraydesk.links.again import apply_again
from xraydesk.links.hl7.shown import fields_of, visible
from xraydesk.links.models import Message, Subscription
from xraydesk.links.outgoing import send as outgoing
from xraydesk.links.states import Direction, MessageState
from xraydesk.links.subscriptions.topics import TOPICS
from xraydesk.patients.models import Patient
from xraydesk.siteplan.link_plan import EhrPlan, OutlinkPlan
from xraydesk.siteplan.reading import from_json

PAGE_LENGTH = 50
LINK_LENGTH_MAX = 64
HOURS_MAX = 8_784
"""A year of them; whoever looks further back takes them all."""
DONE_SHOWN_MAX = 100
DIFFERENCES_SHOWN_MAX = 200
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
    """The newest messages; by direction, link, state, control number, or those of the last hours where asked."""
    rows = Message.objects.filter(site=member.site).defer("raw", "answer").order_by("-at", "-id")
    direction, state = request.GET.get("direction", ""), request.GET.get("state", "")
    control_id = request.GET.get("control", "").strip()[:199]
    if direction in set(Direction):
        rows = rows.filter(direction=direction)
    if state in set(MessageState):
        rows = rows.filter(state=state)
    if control_id:
        rows = rows.filter(control_id=control_id)
    link, hours = request.GET.get("link", "")[:LINK_LENGTH_MAX], request.GET.get("hours", "")
    if link:
        rows = rows.filter(link=link)
    if hours.isdecimal() and 0 < int(hours[:6]) <= HOURS_MAX:
        rows = rows.filter(at__gt=clock.now() - timedelta(hours=int(hours)))
    else:
        hours = ""
    page = Paginator(rows, PAGE_LENGTH).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "asked": {
            "direction": direction,
            "state": state,
            "control": control_id,
            "link": link,
            "hours": hours,
        },
        "directions": [d.value for d in Direction],
        "states": [s.value for s in MessageState],
        "links": from_json(member.site.plan).links if member.site.plan else (),
        "outlinks": _outlinks(member),
        "ehrs": from_json(member.site.plan).ehrs if member.site.plan else (),
        "subscriptions": [
            (row, TOPICS[row.topic]) for row in Subscription.objects.filter(site=member.site).order_by("id")
        ],
    }
    return render(request, "desk/messages.html", context)


@dataclass(frozen=True)
class Outlink:
    """A system that is told, and what waits for it."""

    plan: OutlinkPlan | EhrPlan
    waiting: int
    oldest: Message | None


def _outlinks(member: Member) -> list[Outlink]:
    if not member.site.plan:
        return []
    waiting = Message.objects.filter(
        site=member.site, direction=Direction.OUT, state__in=(MessageState.QUEUED, MessageState.SENT)
    ).defer("raw", "answer")
    found = []
    site_plan = from_json(member.site.plan)
    told: tuple[OutlinkPlan | EhrPlan, ...] = (*site_plan.outlinks, *(e for e in site_plan.ehrs if e.sends))
    for plan in told:
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
    items = list(Item.objects.filter(site=member.site, message=message.pk, closed_at=None))
    records = []
    if any(item.kind == ItemKind.MERGE_REQUESTED for item in items):
        records = links.records_named(message)
        for record in records:
            looked_at(member, record, what="message")
    text = links.raw_text(message)
    before = links.one_before(message)
    context = {
        "message": message,
        "raw_lines": _lines(text[:RAW_LENGTH_SHOWN_MAX]),
        "cut": len(text) > RAW_LENGTH_SHOWN_MAX,
        "answer": bytes(message.answer).decode("utf-8", "replace").replace("\r", "\n"),
        "fields": fields_of(bytes(message.raw), fallback=message.charset or "iso8859-1"),
        "done": _done(message),
        "before": before,
        "differs": links.compared(message, before)[:DIFFERENCES_SHOWN_MAX] if before else [],
        "read": json.dumps(links.read_of(message), indent=2, ensure_ascii=False),
        "items": items,
        "records": [banner_of(record) for record in records],
        "may_merge": member.may(Permission.MERGE),
        "may_send_again": outgoing.may_be_sent_again(message),
        "may_leave": outgoing.may_be_left(message),
        "may_set_fields": member.may(Permission.SET_LINKS) and _has_fields(member, message),
        "may_replay": message.direction == Direction.IN
        and message.state not in (MessageState.APPLIED, MessageState.IGNORED),
    }
    return render(request, "desk/message.html", context)


def _has_fields(member: Member, message: Message) -> bool:
    """True where a message came by a link of HL7 v2, whose rules say what is read where."""
    links_in = from_json(member.site.plan).links if member.site.plan else ()
    names = [link.name for link in links_in if link.kind != "dicom"]
    return message.direction == Direction.IN and message.link in names


def _lines(text: str) -> list[str]:
    return [visible(line) for line in re.split(r"\r\n|\r|\n", text) if line]


@dataclass(frozen=True)
class Done:
    """One thing that happened because of a message: what, about which exam or patient, what is behind it."""

    sentence: str
    detail: str
    accession: str
    patient: int | None


def _done(message: Message) -> list[Done]:
    """What a message made or changed, or what it tells of, in the order in which it happened."""
    keys = message.facts or ([message.fact] if message.fact else [])
    facts = Fact.objects.filter(site=message.site_id, pk__in=keys).order_by("id")
    return [
        Done(history.sentence(f.kind), history.detail(f.data, f.room), f.accession, f.patient)
        for f in facts[:DONE_SHOWN_MAX]
    ]


@require_POST
@needs(Permission.SEE_MESSAGES)
def search(request: HttpRequest, member: Member) -> HttpResponse:
    """Messages by number, accession, patient or text. What is typed is posted, so that nothing of a patient stands in an address."""
    typed = request.POST.get("text", "").strip()[: links.SEARCH_LENGTH_MAX]
    found = links.search(site=member.site, text=typed)
    patients = Patient.objects.filter(site=member.site, pk__in={m.patient for m in found if m.patient})
    for patient in patients:
        looked_at(member, patient, what="message search")
    return render(
        request, "desk/messagesearch.html", {"typed": typed, "found": found, "most": links.FOUND_MAX}
    )


@require_POST
@needs(Permission.SEE_MESSAGES)
def replay(request: HttpRequest, member: Member, message_id: int) -> SeeOther:
    """Apply a message again, after its cause was mended."""
    message = message_or_404(member, message_id)
    here = reverse("message", args=[message.pk])
    try:
        after = apply_again(message_id=message.pk, at=clock.now(), by=member.who)
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
