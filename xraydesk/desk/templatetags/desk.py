"""Words of the department for templates; see `xraydesk.desk.words`."""

from __future__ import annotations

from datetime import date, datetime

from django import template
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from xraydesk.access.members import Member
from xraydesk.desk import access, words
from xraydesk.journey.exam_view import name_of
from xraydesk.lib import clock
from xraydesk.lib.text import name_as_said
from xraydesk.orders.models import Exam
from xraydesk.patients.models import Patient
from xraydesk.rooms.models import Room

register = template.Library()


@register.filter
def spoken(patient: Patient) -> str:
    """`Family, Given Middle`, or "no name yet"."""
    return name_of(patient).spoken()


@register.filter
def born(birth_date: date | None) -> str:
    """`06 Apr 1984 (42 y)`, aged today in the site's zone."""
    return words.born(birth_date, timezone.localdate(clock.now()))


@register.filter
def procedure(exam: Exam) -> str:
    """What is to be x-rayed, with the side in words."""
    return words.procedure_words(exam.procedure_text or exam.procedure_code, exam.laterality)


@register.filter
def time_left(until: datetime) -> str:
    """`16 min`, or `12 min over`."""
    return words.left(until, clock.now())


@register.filter
def later(minutes: int) -> str:
    """`15 min later`, or `5 min sooner`."""
    return f"{abs(minutes)} min {'later' if minutes > 0 else 'sooner'}"


@register.filter
def since(at: datetime) -> str:
    """`28 min` since then."""
    return words.span(clock.now() - at)


@register.filter
def who(by: str) -> str:
    """Who did it, from a fact's `by`."""
    return words.who(by)


@register.filter
def person(name: str) -> str:
    """A provider's name as people say it."""
    return name_as_said(name)


@register.filter
def dicom_name(name: str) -> str:
    """A name as DICOM writes it, as people read it; its first group of letters."""
    return " ".join(name.partition("=")[0].replace("^", " ").split()) or "no name"


@register.filter
def clock_time(at: datetime | None) -> str:
    """`10:40` today, `Mon 10:40` within six days, else `12 Feb 2026 10:40`; empty for none."""
    if at is None:
        return ""
    local, today = timezone.localtime(at), timezone.localdate(clock.now())
    if local.date() == today:
        return f"{local:%H:%M}"
    if abs((local.date() - today).days) <= 6:
        return f"{local:%a %H:%M}"
    return f"{local:%d %b %Y %H:%M}"


@register.filter
def may_open(member: Member, url_name: str) -> bool:
    """True where the page of that name is one that the member's role opens: nothing leads to a page that is not there."""
    return access.may_open(member, reverse(url_name))


@register.filter
def beyond_code(room: Room) -> str:
    """`Chest` of the room `XR1 Chest`: its name beside its code, which is not said twice."""
    return room.name.removeprefix(room.code).strip()


@register.simple_tag
def cap(stage: str, glyph: str = "") -> SafeString:
    """The cap of a drawn stage: its colour and glyph. Put the word beside it."""
    glyph = glyph or words.GLYPHS.get(stage, "")
    if not glyph:
        return format_html('<span class="cap" data-stage="{}"></span>', stage)
    return format_html(
        '<span class="cap" data-stage="{}"><svg aria-hidden="true"><use href="#g-{}"/></svg></span>',
        stage,
        glyph,
    )


@register.simple_tag
def priority_tag(priority: str) -> SafeString:
    """STAT filled, urgent heavy, routine silent."""
    match priority:
        case "stat":
            return SafeString('<b class="tag fill">STAT</b>')
        case "urgent":
            return SafeString('<b class="tag heavy">Urgent</b>')
        case _:
            return SafeString("")
