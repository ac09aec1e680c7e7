"""One link, in or out: how it goes, what waits, what went wrong; pause and resume what goes out."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlencode

from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.attention.models import Item
from xraydesk.desk.access import needs
from xraydesk.desk.answers import SeeOther, done
from xraydesk.desk.banner import looked_at
from xraydesk.lib import clock
from xraydesk.links.ehr.fetch import last_call, worst_of
from xraydesk.links.models import Message, Paused, Subscription
from xraydesk.links.outgoing import send as outgoing
from xraydesk.links.outgoing import tell as telling
from xraydesk.links.states import Direction, MessageState
from xraydesk.links.subscriptions import standing
from xraydesk.links.subscriptions.standing import Hook
from xraydesk.orders.models import Exam
from xraydesk.siteplan.link_plan import EhrPlan, LinkPlan, OutlinkPlan
from xraydesk.siteplan.reading import from_json

WRONG = (MessageState.REFUSED, MessageState.WAITING, MessageState.REJECTED, MessageState.FAILED)
SPANS = (("the last hour", 1), ("24 hours", 24), ("7 days", 168))
"""In words and in hours."""

WAITING_SHOWN_MAX = 20
ACCESSION_LENGTH_MAX = 16


@dataclass
class LinkShown:
    """One link as its page tells of it."""

    name: str
    direction: str
    how: str
    """In words: up, quiet, paused, away."""
    since: datetime | None = None
    last: Message | None = None
    rates: list[tuple[str, int, int]] = field(default_factory=list)
    """How long in words and in hours, and how many messages went by in it."""
    wrong: list[tuple[str, str, int]] = field(default_factory=list)
    """Errors of seven days by kind: the message's type, its state, how many."""
    waiting: int = 0
    oldest: Message | None = None
    why: str = ""
    """Why it does not answer."""
    called_at: datetime | None = None
    """When it called last because something had changed there."""
    paused: Paused | None = None

    @property
    def rows_url(self) -> str:
        """The list of its messages."""
        return f"{reverse('messages')}?{urlencode({'direction': self.direction, 'link': self.name})}"


def _plan_or_404(member: Member, direction: str, name: str) -> LinkPlan | OutlinkPlan | EhrPlan | Hook:
    hook = standing.hook_of(member.site, name) if direction == Direction.OUT else None
    if hook is not None:
        return hook
    plan = from_json(member.site.plan) if member.site.plan else None
    plans: tuple[LinkPlan | OutlinkPlan | EhrPlan, ...] = ()
    if plan is not None:
        plans = (*(plan.links if direction == Direction.IN else plan.outlinks), *plan.ehrs)
    found = next((p for p in plans if p.name == name), None)
    if found is None:
        raise Http404
    return found


@require_safe
@needs(Permission.SEE_MESSAGES)
def link_page(request: HttpRequest, member: Member, direction: str, name: str) -> HttpResponse:
    """Whether a link goes, since when, how much, what waits, and errors by kind."""
    plan = _plan_or_404(member, direction, name)
    at = clock.now()
    mine = Message.objects.filter(site=member.site, direction=direction, link=name).defer("raw", "answer")
    shown = LinkShown(name, direction, "up")
    shown.last = mine.order_by("-at", "-id").first()
    shown.rates = [
        (word, hours, mine.filter(at__gt=at - timedelta(hours=hours)).count()) for word, hours in SPANS
    ]
    recent = mine.filter(at__gt=at - timedelta(hours=SPANS[-1][1]), state__in=WRONG)
    kinds = recent.values_list("type", "state").annotate(count=Count("pk")).order_by("-count")
    shown.wrong = [(kind, state, count) for kind, state, count in kinds[:50]]
    if direction == Direction.OUT:
        _how_out(shown, member)
    elif isinstance(plan, EhrPlan):
        _how_asked(shown, member)
    else:
        shown.since = shown.last.at if shown.last else None
        shown.how = "heard" if shown.last else "never heard"
    items = Item.objects.filter(site=member.site, closed_at=None, message__in=mine.values("pk")).order_by(
        "until"
    )
    context = {
        "link": shown,
        "plan": plan,
        "items": items[:WAITING_SHOWN_MAX],
        "wrong_hours": SPANS[-1][1],
        "is_out": direction == Direction.OUT,
        "is_ehr": isinstance(plan, EhrPlan),
        "may_preview": isinstance(plan, OutlinkPlan),
        "may_set_fields": isinstance(plan, LinkPlan)
        and plan.kind != "dicom"
        and member.may(Permission.SET_LINKS),
    }
    return render(request, "desk/link.html", context)


@require_POST
@needs(Permission.SEE_MESSAGES)
def preview(request: HttpRequest, member: Member, name: str) -> HttpResponse:
    """What a system would be told of an exam, message by message; nothing is sent or kept."""
    plan = _plan_or_404(member, Direction.OUT, name)
    if not isinstance(plan, OutlinkPlan):
        raise Http404
    typed = request.POST.get("accession", "").strip()[:ACCESSION_LENGTH_MAX]
    exam = Exam.objects.select_related("site", "patient").filter(site=member.site, accession=typed).first()
    told: list[tuple[str, list[str]]] = []
    if exam is not None:
        looked_at(member, exam.patient, what="message preview", accession=exam.accession)
        told = [(kind, text.rstrip("\r").split("\r")) for kind, text in telling.preview(exam, plan)]
    context = {"name": name, "typed": typed, "exam": exam, "told": told}
    return render(request, "desk/linkpreview.html", context)


def _how_out(shown: LinkShown, member: Member) -> None:
    waiting = Message.objects.filter(
        site=member.site, direction=Direction.OUT, link=shown.name, state__in=outgoing.ON_THE_WAY
    ).defer("raw", "answer")
    shown.waiting, shown.oldest = waiting.count(), waiting.order_by("id").first()
    shown.paused = Paused.objects.filter(site=member.site, outlink=shown.name).first()
    answered = Message.objects.filter(
        site=member.site, direction=Direction.OUT, link=shown.name, answered_at__isnull=False
    )
    last = answered.order_by("-answered_at").values_list("answered_at", flat=True).first()
    if shown.paused:
        shown.how, shown.since = "paused", shown.paused.at
    elif shown.oldest is not None and shown.oldest.attempts:
        shown.how, shown.since = "not answering", last
    else:
        shown.how, shown.since = ("up" if last else "never used"), last


def _how_asked(shown: LinkShown, member: Member) -> None:
    """How it goes with an EHR that things are fetched from."""
    answered, failing_since, why = worst_of(member.site, shown.name)
    shown.called_at = last_call(member.site, shown.name)
    shown.paused = Paused.objects.filter(site=member.site, outlink=shown.name).first()
    if shown.paused:
        shown.how, shown.since = "paused", shown.paused.at
    elif failing_since:
        shown.how, shown.since, shown.why = "not answering", failing_since, why
    else:
        shown.how, shown.since = ("up, asked every minute" if answered else "never asked"), answered


@require_POST
@needs(Permission.SEE_MESSAGES)
def end_subscription(request: HttpRequest, member: Member, subscription_id: int) -> SeeOther:
    """Call a program no more; it may subscribe anew."""
    row = Subscription.objects.filter(site=member.site, pk=subscription_id).first()
    if row is None:
        raise Http404
    standing.delete(row, at=clock.now())
    return done(request, f"{row.who} is called no more.", to=reverse("messages"))


@require_POST
@needs(Permission.SEE_MESSAGES)
def pause(request: HttpRequest, member: Member, name: str) -> SeeOther:
    """Keep back what goes to a system."""
    _plan_or_404(member, Direction.OUT, name)
    outgoing.pause(site=member.site, outlink=name, at=clock.now(), by=member.who)
    return done(
        request,
        f"Nothing goes to {name} until somebody lets it go on; what happens meanwhile is queued.",
        to=reverse("link", args=[Direction.OUT, name]),
        undo=reverse("link-resume", args=[name]),
    )


@require_POST
@needs(Permission.SEE_MESSAGES)
def resume(request: HttpRequest, member: Member, name: str) -> SeeOther:
    """Let it go on."""
    _plan_or_404(member, Direction.OUT, name)
    outgoing.resume(site=member.site, outlink=name)
    return done(request, "It goes on, in order.", to=reverse("link", args=[Direction.OUT, name]))
