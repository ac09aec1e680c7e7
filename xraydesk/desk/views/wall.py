"""The wallboard for corridor and reading room: rooms, waits, STATs, what is down. No names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.attention.kinds import ItemKind
from xraydesk.attention.models import Item
from xraydesk.desk.access import needs
from xraydesk.lib import clock
from xraydesk.reporting.days import last_days
from xraydesk.reporting.story import Story
from xraydesk.rooms.models import Room

DOWN_KINDS = {
    ItemKind.MESSAGE_NOT_SENT: "Messages to another system wait",
    ItemKind.IMAGE_NOT_SENT: "Images to an archive wait",
    ItemKind.REACTION_FAILED: "A step of the desk failed",
}
"""Items that say that something is down, in words without a patient."""


@dataclass(frozen=True)
class OnWall:
    """One room on the wall: what goes on, how many wait, and the longest wait."""

    code: str
    name: str
    state: str
    since: datetime | None
    waiting: int
    longest_minutes: int
    next_at: datetime | None
    down_reason: str = ""


@require_safe
@needs(Permission.SEE_WALL)
def wall(request: HttpRequest, member: Member) -> HttpResponse:
    """Everything that may be read from across a corridor."""
    at = clock.now()
    day = clock.local_day(at, member.site.timezone)
    stories = last_days(site=member.site, day=day, count=1, at=at).of(day)
    rooms = Room.objects.filter(site=member.site, retired=False).order_by("location__sort", "sort", "code")
    if member.locations:
        rooms = rooms.filter(location__in=member.locations)
    items = Item.objects.filter(site=member.site, closed_at=None, kind__in=DOWN_KINDS)
    stats = [
        s for s in stories if s.priority == "stat" and not (s.ended_at or s.cancelled_at or s.no_show_at)
    ]
    stats.sort(key=lambda s: s.due_at or at)
    waiting = [s for s in stories if _waits(s)]
    context = {
        "rooms": [_on_wall(room, stories, at) for room in rooms],
        "stats": [(s, s.due_at is not None and s.due_at < at and s.begun_at is None) for s in stats],
        "waiting": len(waiting),
        "longest": max((_minutes(s.arrived_at, at) for s in waiting), default=0),
        "done": sum(1 for s in stories if s.ended_at),
        "down": sorted({DOWN_KINDS[ItemKind(kind)] for kind in items.values_list("kind", flat=True)}),
        "at": at,
    }
    return render(request, "desk/wall.html", context)


def _waits(story: Story) -> bool:
    gone = story.begun_at or story.cancelled_at or story.no_show_at
    return story.arrived_at is not None and not gone


def _minutes(since: datetime | None, at: datetime) -> int:
    return max(0, (at - since) // timedelta(minutes=1)) if since else 0


def _on_wall(room: Room, stories: list[Story], at: datetime) -> OnWall:
    here = [s for s in stories if s.room == room.code]
    under_way = [s for s in here if s.begun_at and not (s.ended_at or s.discontinued_at)]
    waiting = [s for s in here if _waits(s)]
    coming = [
        s.booked_for for s in here if s.booked_for and not (s.begun_at or s.cancelled_at or s.no_show_at)
    ]
    down = room.state == Room.State.DOWN and (room.down_until is None or room.down_until > at)
    return OnWall(
        code=room.code,
        name=room.name,
        state="down" if down else "in use" if under_way else "free",
        since=max((s.begun_at for s in under_way if s.begun_at), default=None),
        waiting=len(waiting),
        longest_minutes=max((_minutes(s.arrived_at, at) for s in waiting), default=0),
        next_at=min((t for t in coming if t > at), default=None),
        down_reason=room.down_reason if down else "",
    )
