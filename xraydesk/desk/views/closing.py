"""Closing a room for a while on a day to come: the windows that move the fewest, and who they are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.desk.access import needs, room_or_404
from xraydesk.desk.answers import SeeOther, done, refused
from xraydesk.journey import maintenance as closures
from xraydesk.journey.errors import BoardChanged, Refused
from xraydesk.lib import clock
from xraydesk.rooms.models import Room
from xraydesk.scheduling.engine.spans import Span

USUAL_MINUTES = 60
USUAL_DAYS = 14
USUAL_FROM, USUAL_TO = time(7), time(18)
REASON_LENGTH_MAX = 200


@dataclass(frozen=True)
class _Asked:
    """What the form says, and what is wrong with it."""

    minutes: int
    first_day: date
    last_day: date
    first: time
    last: time
    mistake: str = ""


@require_safe
@needs(Permission.BOOK)
def maintenance(request: HttpRequest, member: Member, code: str) -> HttpResponse:
    """When a room could be closed so that the fewest patients have to move."""
    room = room_or_404(member, code)
    at = clock.now()
    asked = _asked(request, member, at)
    found: list[closures.Proposed] = []
    refusal = asked.mistake
    if "minutes" in request.GET and not refusal:
        zone = member.site.timezone
        try:
            found = closures.propose_windows(
                room=room,
                minutes=asked.minutes,
                since=max(at, clock.day_bounds(asked.first_day, zone)[0]),
                until=clock.day_bounds(asked.last_day, zone)[1],
                first=asked.first,
                last=asked.last,
                at=at,
            )
        except Refused as why:
            refusal = str(why)
    context: dict[str, Any] = {
        "room": room,
        "asked": asked,
        "searched": "minutes" in request.GET and not refusal,
        "mistake": refusal,
        "windows": found,
        "planned": closures.closures_to_come(room=room, at=at),
        "may_open_room": member.may(Permission.PERFORM),
        "reason": request.GET.get("reason", "")[:REASON_LENGTH_MAX],
    }
    return render(request, "desk/maintenance.html", context, status=400 if refusal else 200)


def _asked(request: HttpRequest, member: Member, at: datetime) -> _Asked:
    today = clock.local_day(at, member.site.timezone)
    usual = _Asked(USUAL_MINUTES, today, today + timedelta(days=USUAL_DAYS), USUAL_FROM, USUAL_TO)
    given = {name: request.GET.get(name, "").strip() for name in ("minutes", "from", "to", "first", "last")}
    try:
        return _Asked(
            int(given["minutes"]) if given["minutes"] else usual.minutes,
            date.fromisoformat(given["from"]) if given["from"] else usual.first_day,
            date.fromisoformat(given["to"]) if given["to"] else usual.last_day,
            time.fromisoformat(given["first"]) if given["first"] else usual.first,
            time.fromisoformat(given["last"]) if given["last"] else usual.last,
        )
    except ValueError:
        words = "Write minutes as a number, days like 2026-12-24 and times like 07:30."
        return _Asked(usual.minutes, usual.first_day, usual.last_day, usual.first, usual.last, mistake=words)


@require_POST
@needs(Permission.BOOK)
def close(request: HttpRequest, member: Member, code: str) -> SeeOther:
    """Close the room in the window that was chosen; those who were shown are placed elsewhere."""
    room = room_or_404(member, code)
    here = reverse("maintenance", args=[room.code])
    try:
        start = datetime.fromisoformat(request.POST.get("start", ""))
        span = Span(start, start + timedelta(minutes=int(request.POST.get("minutes", ""))))
    except (ValueError, OverflowError):
        return refused(request, BoardChanged("Choose one of the windows."), to=here)
    if start.tzinfo is None:
        return refused(request, BoardChanged("Choose one of the windows."), to=here)
    try:
        closure, kept = closures.close_room(
            room_id=room.pk,
            span=span,
            reason=request.POST.get("reason", "")[:REASON_LENGTH_MAX],
            seen=request.POST.get("seen", "").split(),
            at=clock.now(),
            by=member.who,
        )
    except Refused as why:
        return refused(request, why, to=here)
    return done(request, _closed_words(room, closure.during.lower, kept, member), to=here)


def _closed_words(room: Room, start: datetime, kept: Any, member: Member) -> str:
    local = clock.in_zone(start, member.site.timezone)
    said = f"{room.code} is closed from {local:%H:%M} on {local:%a %d %b}."
    if kept is None:
        return f"{said} Nobody had to move."
    waiting = sum(move["after"] is None for move in kept.moves)
    moved = len(kept.moves) - waiting
    said += f" {moved} exam{'s' if moved != 1 else ''} placed anew; patients are told in a minute."
    return f"{said} {waiting} wait for a place." if waiting else said


@require_POST
@needs(Permission.BOOK)
def open_again(request: HttpRequest, member: Member, code: str, closure_id: int) -> SeeOther:
    """The room is not to be closed after all."""
    room = room_or_404(member, code)
    here = reverse("maintenance", args=[room.code])
    try:
        closures.open_again(room_id=room.pk, closure_id=closure_id, at=clock.now(), by=member.who)
    except Refused as why:
        return refused(request, why, to=here)
    return done(request, f"{room.code} stays open then. Nobody was moved back.", to=here)
