"""The one list of everything that waits for a person."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.attention.kinds import ItemKind
from xraydesk.attention.models import Item
from xraydesk.desk.access import may_open, needs
from xraydesk.desk.answers import SeeOther, done, refused
from xraydesk.desk.endings import CAN_BE_DONE, ENDINGS, GROUPS, OPEN_EXAM, Ending
from xraydesk.journey import attend
from xraydesk.journey.errors import Refused
from xraydesk.journey.exam_view import by_accession, name_of, views_of
from xraydesk.lib import clock
from xraydesk.orders.models import Exam

ITEMS_SHOWN_MAX = 300


@dataclass(frozen=True)
class Button:
    """One way to end an item, with its address worked out."""

    word: str
    url: str
    posts: bool
    key: str


@dataclass(frozen=True)
class Line:
    """One line of the list."""

    item: Item
    whom: tuple[str, ...]
    """Which exam, of whom: each part by itself, so that a name written from right to left turns no date round."""
    over: bool
    buttons: list[Button]


@dataclass(frozen=True)
class Part:
    """Lines with about the same time left."""

    word: str
    lines: list[Line]


@require_safe
@needs(Permission.SEE_PATIENT)
def attention(request: HttpRequest, member: Member) -> HttpResponse:
    """Everything that waits for a person, the least time left until harm first."""
    at = clock.now()
    waiting = Item.objects.filter(site=member.site, closed_at=None)
    counts = {word: waiting.filter(kind__in=kinds).count() for word, kinds in GROUPS.items()}
    chosen = request.GET.get("kind", "")
    shown = waiting.filter(kind__in=GROUPS[chosen]) if chosen in GROUPS else waiting
    items = list(shown.order_by("until", "id")[:ITEMS_SHOWN_MAX])
    exams = Exam.objects.filter(accession__in={item.accession for item in items if item.accession})
    views = by_accession(views_of(exams, site=member.site))
    whom = {
        accession: tuple(
            part
            for part in (
                view.exam.procedure_text,
                name_of(view.patient).spoken(),
                f"{view.patient.birth_date:%d %b %Y}" if view.patient.birth_date else "",
                f"MRN {view.patient_number}" if view.patient_number else "",
                view.room,
            )
            if part
        )
        for accession, view in views.items()
    }
    lines = [_line(item, whom.get(item.accession) or (item.room,), at, member) for item in items]
    context = {
        "parts": _parts(lines, at),
        "total": sum(counts.values()),
        "counts": counts,
        "chosen": chosen,
        "cut": len(items) == ITEMS_SHOWN_MAX,
    }
    return render(request, "desk/attention.html", context)


def _line(item: Item, whom: tuple[str, ...], at: datetime, member: Member) -> Line:
    ways = ENDINGS.get(ItemKind(item.kind), ())
    buttons = [button for way in ways if (button := _button(way, item, member)) is not None]
    if not buttons:  # what ends it is another role's: it still leads to what it is about
        looks = [_button(OPEN_EXAM, item, member)]
        buttons = [look for look in looks if look is not None]
    return Line(item=item, whom=whom, over=item.until < at, buttons=buttons)


def _button(way: Ending, item: Item, member: Member) -> Button | None:
    """The button with its address; None where the item lacks what the address needs, or it is not for this role."""
    arguments = {
        "accession": item.accession,
        "image": item.data.get("image"),
        "delivery": item.data.get("delivery"),
        "finding": item.data.get("finding"),
        "outside": item.data.get("outside"),
        "message": item.message,
        "item": item.pk,
    }
    if way.argument:
        value = arguments[way.argument]
        if not value:
            return None
        url = reverse(way.url_name, args=[value])
    else:
        url = reverse(way.url_name)
    if not may_open(member, url):
        return None
    if way.query:
        url += f"?{way.query}={item.accession}"
    return Button(way.word, url, way.posts, way.key)


def _parts(lines: list[Line], at: datetime) -> list[Part]:
    bounds = (
        ("Past its time", at),
        ("Within 30 minutes", at + timedelta(minutes=30)),
        ("Within two hours", at + timedelta(hours=2)),
    )
    parts: list[Part] = []
    rest = lines
    for word, until in bounds:
        parts.append(Part(word, [line for line in rest if line.item.until < until]))
        rest = [line for line in rest if line.item.until >= until]
    parts.append(Part("Later", rest))
    return [part for part in parts if part.lines]


@require_POST
@needs(Permission.SEE_PATIENT)
def item_done(request: HttpRequest, member: Member, item_id: int) -> SeeOther:
    """Take an item off the list that a person has dealt with elsewhere."""
    item = Item.objects.filter(site=member.site, pk=item_id).first()
    if item is None or ItemKind(item.kind) not in CAN_BE_DONE:
        raise Http404
    try:
        attend.end_item(item_id=item.pk, at=clock.now(), by=member.who)
    except Refused as why:
        return refused(request, why, to=reverse("attention"))
    return done(
        request, "It is off the list.", to=reverse("attention"), undo=reverse("item-undone", args=[item.pk])
    )


@require_POST
@needs(Permission.SEE_PATIENT)
def item_undone(request: HttpRequest, member: Member, item_id: int) -> SeeOther:
    """Put back an item that was taken off by mistake."""
    item = Item.objects.filter(site=member.site, pk=item_id).first()
    if item is None:
        raise Http404
    try:
        attend.take_back(item_id=item.pk, at=clock.now(), by=member.who)
    except Refused as why:
        return refused(request, why, to=reverse("attention"))
    return done(request, "It is on the list again.", to=reverse("attention"))
