"""Accepting a proposal, undoing it, and mending the day after something happened."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.desk import where
from xraydesk.desk.access import exam_or_404, needs, rearrangement_or_404, room_ids_of, room_or_404, rooms_of
from xraydesk.desk.answers import SeeOther, back_to, done, refused
from xraydesk.desk.proposals import may_touch, shown, unsigned
from xraydesk.desk.rearrangements import as_rows
from xraydesk.desk.views.board import day_asked
from xraydesk.journey.better import look_further, propose_after_with_better
from xraydesk.journey.errors import BoardChanged, Refused, UnknownTechnologist
from xraydesk.journey.planned_day import Event
from xraydesk.journey.rearrange import accept as accept_proposal
from xraydesk.journey.rearrange import undo as undo_rearrangement
from xraydesk.journey.rearranged import rearranged
from xraydesk.journey.staff_state import mark_back, mark_gone
from xraydesk.lib import clock
from xraydesk.rooms.models import Room
from xraydesk.staff.queries import technologists

MINUTES_MAX = 480


@require_http_methods(["GET", "HEAD", "POST"])
def rearrangements(request: HttpRequest) -> HttpResponseBase:
    """What was rearranged on a day; posted to, one more."""
    return accept(request) if request.method == "POST" else accepted(request)


@needs(Permission.SEE_BOARD)
def accepted(request: HttpRequest, member: Member) -> HttpResponse:
    """What was accepted on a day, by people and by the desk itself, each with its undo as long as there is one."""
    zone = member.site.timezone
    today = clock.local_day(clock.now(), zone)
    day = day_asked(request, today)
    since, until = clock.day_bounds(day, zone)
    found = rearranged(site=member.site, since=since, until=until, room_ids=room_ids_of(member))
    context = {
        "rows": as_rows(found, site=member.site),
        "may_undo": member.may(Permission.BOOK),
        "day": day,
        "is_today": day == today,
        "before": day - timedelta(days=1),
        "after": day + timedelta(days=1),
        "here": request.get_full_path(),
    }
    return render(request, "desk/rearrangements.html", context)


@require_POST
@needs(Permission.BOOK)
def accept(request: HttpRequest, member: Member) -> SeeOther:
    """Do what was proposed, all of it; with `step` given, only those exams of it."""
    asked = unsigned(request.POST.get("proposal", ""))
    if asked is None:
        why = BoardChanged("That proposal has lain open for too long. Here is a new one.")
        return refused(request, why, to=back_to(request, "/"))
    to = back_to(request, where.board(exam=asked.wanted[0] if asked.wanted else ""))
    chosen = request.POST.getlist("step")
    if "part" in request.POST:
        asked = replace(asked, moves=tuple(m for m in asked.moves if m.accession in chosen))
    if not may_touch(member, asked):
        raise Http404
    try:
        kept = accept_proposal(
            site=member.site,
            moves=asked.moves,
            asked=asked.asked,
            why=asked.why,
            start=asked.start,
            wanted=asked.wanted,
            event=asked.event,
            locations=member.locations,
            at=clock.now(),
            by=member.who,
        )
    except Refused as why:
        return refused(request, why, to=to)
    number = len(kept.moves)
    said = f"Done: {number} exam{'s' if number != 1 else ''} placed anew. Patients are told in a minute."
    return done(request, said, to=to, undo=reverse("rearrangement-undo", args=[kept.pk]))


@require_POST
@needs(Permission.BOOK)
def better(request: HttpRequest, member: Member) -> HttpResponse:
    """Look for something better than the proposal on the screen, for some two seconds: 200 where there is, 204 where not.

    It is then what the page proposes; nothing else changes.
    """
    asked = unsigned(request.POST.get("proposal", ""))
    if asked is None or (len(asked.wanted) != 1 and asked.event is None):
        return HttpResponse(status=204)
    if not may_touch(member, asked):
        raise Http404
    found = look_further(
        site=member.site,
        accession="".join(asked.wanted[:1]),
        event=asked.event,
        at=clock.now(),
        locations=member.locations,
    )
    return HttpResponse(status=200 if found else 204)


@require_POST
@needs(Permission.BOOK)
def undo(request: HttpRequest, member: Member, number: int) -> SeeOther:
    """Put everything back that was accepted together."""
    kept = rearrangement_or_404(member, number)
    try:
        kept = undo_rearrangement(site=member.site, rearrangement_id=kept.pk, at=clock.now(), by=member.who)
    except Refused as why:
        return refused(request, why, to=back_to(request, "/"))
    moved = len(kept.moves)
    return done(request, f"Undone: {moved} exam{'s' if moved != 1 else ''} back where they were.", to="/")


@require_POST
@needs(Permission.BOOK)
def gone(request: HttpRequest, member: Member, code: str) -> SeeOther:
    """Somebody is gone for the rest of the day, or with `back` here again."""
    at = clock.now()
    try:
        if "back" in request.POST:
            who = mark_back(site=member.site, code=code, at=at, by=member.who)
            return done(request, f"{who.name} is back.", to=reverse("repair"))
        who = mark_gone(site=member.site, code=code, at=at, by=member.who)
    except UnknownTechnologist:
        raise Http404 from None
    to = f"{reverse('repair')}?{urlencode({'gone': code})}"
    return done(request, f"{who.name} is away for the rest of the day.", to=to)


@require_safe
@needs(Permission.BOOK)
def repair(request: HttpRequest, member: Member) -> HttpResponse:
    """What happened, and how the day could go on: a room down or back, somebody gone, porters behind, an exam longer."""
    at = clock.now()
    event, asked, mistake = _event(request, member, at)
    context: dict[str, Any] = {
        "rooms": [(room.code, room.state == Room.State.DOWN) for room in rooms_of(member)],
        "people": list(technologists(site=member.site).values_list("code", "name")),
        "away": list(technologists(site=member.site).filter(away_until__gt=at).values_list("code", "name")),
        "typed": {
            name: request.GET.get(name, "")
            for name in ("room", "until", "back", "gone", "porters", "longer", "minutes")
        },
        "mistake": mistake,
        "asked": asked,
        "at": at,
    }
    if event is not None:
        proposed = propose_after_with_better(site=member.site, event=event, at=at, locations=member.locations)
        total = len(proposed.proposals)
        number = min(max(1, _number(request.GET.get("option", "1"), most=99) or 1), max(1, total))
        context["nothing"] = not proposed.proposals
        if proposed.proposals:
            query = request.GET.copy()
            query["option"] = str(number % total + 1)
            context["proposal"] = shown(
                proposed,
                number,
                site=member.site,
                asked=asked,
                urls={},
                next_url=f"{request.path}?{query.urlencode()}" if total > 1 else "",
            )
    return render(request, "desk/repair.html", context, status=400 if mistake else 200)


def _event(request: HttpRequest, member: Member, at: datetime) -> tuple[Event | None, str, str]:
    """What the address says happened, what it is called, and what is wrong with it."""
    asked = {
        name: request.GET.get(name, "").strip()[:40]
        for name in ("room", "until", "back", "gone", "porters", "longer", "minutes")
    }
    if asked["room"]:
        return _room_event(room_or_404(member, asked["room"]), asked, member, at)
    if asked["gone"]:
        who = technologists(site=member.site).filter(code=asked["gone"]).first()
        if who is None:
            raise Http404
        return Event(gone=who.code), f"{who.name} has gone", ""
    if asked["porters"]:
        minutes = _number(asked["porters"], most=MINUTES_MAX)
        if minutes is None:
            return None, "", f"Porters are behind by 1 to {MINUTES_MAX} minutes."
        return Event(porters_late_minutes=minutes), f"porters are {minutes} minutes behind", ""
    if asked["longer"]:
        exam = exam_or_404(member, asked["longer"])
        minutes = _number(asked["minutes"], most=MINUTES_MAX)
        if minutes is None:
            return None, "", f"An exam takes 1 to {MINUTES_MAX} minutes more."
        event = Event(longer=(exam.accession, minutes))
        return event, f"exam {exam.accession} needs {minutes} more minutes", ""
    return None, "", ""


def _room_event(
    room: Room, asked: dict[str, str], member: Member, at: datetime
) -> tuple[Event | None, str, str]:
    text = asked["back"] or asked["until"]
    moment = _moment(text, member, at)
    if text and moment is None:
        return None, "", "Write the time like 14:10."
    if asked["back"]:
        return Event(room_back=(room.code, moment or at)), f"{room.code} is back at {asked['back']}", ""
    until = moment or room.down_until
    words = f" until {clock.in_zone(until, member.site.timezone):%H:%M}" if until else ""
    return Event(room_down=(room.code, until)), f"{room.code} is down{words}", ""


def _moment(text: str, member: Member, at: datetime) -> datetime | None:
    """A wall time of today, tomorrow where it has passed."""
    try:
        wall = time.fromisoformat(text.zfill(5)).replace(tzinfo=None)
    except ValueError:
        return None
    today = clock.local_day(at, member.site.timezone)
    found = clock.at_wall_time(today, wall, member.site.timezone)
    return found if found > at else clock.at_wall_time(today + timedelta(days=1), wall, member.site.timezone)


def _number(text: str, *, most: int) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 6 and 1 <= int(text) <= most else None
