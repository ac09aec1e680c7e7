"""The board: one day of the department, and the exam that was chosen on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.desk import where
from xraydesk.desk.access import needs, room_ids_of, rooms_of
from xraydesk.desk.board_layout import (
    SPAN_HOURS,
    Card,
    Window,
    counts,
    day_window,
    hours_window,
    stretch,
    ticks,
)
from xraydesk.desk.board_markup import lane_head, line, whole_name
from xraydesk.desk.board_porters import porter_lanes
from xraydesk.desk.board_query import Board, board_of, usual_hours
from xraydesk.desk.panel import Panel, offers, panel_of, what_can_be_done
from xraydesk.desk.proposals import ghosts, shown
from xraydesk.desk.words import due
from xraydesk.journey.autopilot import why_left
from xraydesk.journey.better import propose_with_better
from xraydesk.journey.book import propose_places
from xraydesk.journey.exam_view import ExamView, find
from xraydesk.journey.propose import Proposed
from xraydesk.journey.rearranged import done_by_itself
from xraydesk.journey.stage import Stage
from xraydesk.lib import clock
from xraydesk.orders.states import Priority, TriageState
from xraydesk.scheduling.rules import is_prompt

HOURS = f"{SPAN_HOURS}h"
STEP = timedelta(hours=2)
"""How far the four hours move at a click."""

PROPOSALS = 5


@dataclass(frozen=True)
class Asked:
    """What the board's address asks for. `since` is a wall time, empty to follow now."""

    day: date
    today: date
    hours: bool
    since: str
    exam: str
    option: int = 0
    """Which proposal is shown, counted from one; none where it was not asked for."""
    unfolded: str = ""
    """The room whose read exams are shown one by one."""

    @property
    def is_today(self) -> bool:
        """Whether the day shown is the one we live in."""
        return self.day == self.today

    def url(self, **other: Any) -> str:
        """The board's address with some of it changed."""
        day = other.get("day", self.day)
        hours = other.get("hours", self.hours)
        return where.board(
            day="" if day == self.today else day.isoformat(),
            span=HOURS if hours else "",
            since=other.get("since", self.since) if hours else "",
            exam=other.get("exam", self.exam),
            option=other.get("option", 0),
            unfolded=other.get("unfolded", self.unfolded),
        )


def day_asked(request: HttpRequest, today: date) -> date:
    """The day of `?day=YYYY-MM-DD`, today without one; raises Http404 where it is none."""
    text = request.GET.get("day", "")
    try:
        day = date.fromisoformat(text) if text else today
    except ValueError:
        raise Http404 from None
    if not today - timedelta(days=36525) < day < today + timedelta(days=3653):
        raise Http404
    return day


def _asked(request: HttpRequest, member: Member, at: datetime) -> Asked:
    today = clock.local_day(at, member.site.timezone)
    since = request.GET.get("from", "")
    try:
        since = datetime.strptime(since, "%H:%M").strftime("%H:%M") if since else ""  # noqa: DTZ007
    except ValueError:
        raise Http404 from None
    return Asked(
        day=day_asked(request, today),
        today=today,
        hours=request.GET.get("span", "") == HOURS,
        since=since,
        exam=request.GET.get("exam", "")[:16],
        option=_option(request.GET.get("option", "")),
        unfolded=request.GET.get("unfolded", "")[:32],
    )


def _option(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 3 else 0


@require_safe
@needs(Permission.SEE_BOARD)
def board(request: HttpRequest, member: Member) -> HttpResponse:
    """The board of today, or of `?day=`; `?span=4h` for detail, `?exam=` with that exam in the side panel."""
    at = clock.now()
    asked = _asked(request, member, at)
    seen = board_of(site=member.site, day=asked.day, at=at, locations=member.locations, chosen=asked.exam)
    window = _window(seen, asked, member, at)
    zone = ZoneInfo(member.site.timezone)
    now = window.minute(at)
    chosen = _chosen(seen, asked, member)
    proposed = _proposed(chosen, asked, member, at) if chosen else None
    number = _number(asked, proposed)
    may_see_jobs = member.may(Permission.SEE_TRANSPORT)
    context = {
        "day": asked.day,
        "before": asked.day - timedelta(days=1),
        "after": asked.day + timedelta(days=1),
        "is_today": asked.is_today,
        "may_place": member.may(Permission.BOOK),
        "hours": asked.hours,
        "at": at,
        "board": seen,
        "window": window,
        "now": max(0, min(window.minutes, now)),
        "shows_now": 0 <= now <= window.minutes,
        "ticks": ticks(window),
        "tick_format": "H:i" if asked.hours else "H",
        "counts": counts(seen.cards, at),
        "lists": _lists(asked),
        "tray": [_in_tray(card, asked, at, zone) for card in seen.tray],
        "tray_more": max(0, seen.tray_total - len(seen.tray)),
        "groups": list(
            _groups(
                seen,
                window,
                asked,
                at=at,
                zone=zone,
                ghostly=_ghosts(seen, proposed, number, window, zone),
                member=member,
            )
        ),
        "by_itself": done_by_itself(
            site=member.site, since=seen.first, until=seen.after, room_ids=room_ids_of(member)
        ),
        "porters": porter_lanes(
            site=member.site,
            window=window,
            at=at,
            zone=zone,
            link=_link(asked),
            jobs_url=reverse("jobs") if may_see_jobs else "",
        ),
        "may_see_jobs": may_see_jobs,
        "panel": _panel(seen, asked, member, at=at, view=chosen, proposed=proposed) if chosen else None,
        **_urls(asked, window, zone),
    }
    return render(request, "desk/board.html", context)


def _window(seen: Board, asked: Asked, member: Member, at: datetime) -> Window:
    usual = usual_hours(seen, zone=member.site.timezone)
    if asked.hours:
        since = at - timedelta(minutes=40) if asked.is_today else usual[0]
        if asked.since:
            wall = datetime.strptime(asked.since, "%H:%M").time()  # noqa: DTZ007
            since = clock.at_wall_time(asked.day, wall, member.site.timezone)
        return hours_window(seen.first, seen.after, since=since)
    # What was read in the night needs no width any more: four hours and the day list still show it.
    kept = [card for card in seen.cards if not (asked.is_today and card.stage is Stage.READ)]
    busy = [times for card in kept if (times := stretch(card, at))]
    busy += [(place.start, place.end) for lane in seen.lanes for place in lane.held]
    if asked.is_today:
        busy.append((at, at))
    return day_window(seen.first, seen.after, busy=busy, usual=usual)


def _urls(asked: Asked, window: Window, zone: ZoneInfo) -> dict[str, str]:
    def wall(at: datetime) -> str:
        return f"{at.astimezone(zone):%H:%M}"

    day = "" if asked.is_today else f"?day={asked.day.isoformat()}"
    return {
        "rearranged_url": reverse("rearrange") + day,
        "before_url": asked.url(day=asked.day - timedelta(days=1), exam=""),
        "after_url": asked.url(day=asked.day + timedelta(days=1), exam=""),
        "today_url": asked.url(day=asked.today, since="", exam="", unfolded=""),
        "whole_url": asked.url(hours=False),
        "hours_url": asked.url(hours=True, since=""),
        "earlier_url": asked.url(hours=True, since=wall(window.start - STEP)),
        "later_url": asked.url(hours=True, since=wall(window.start + STEP)),
    }


def _lists(asked: Asked) -> dict[str, str]:
    day = "" if asked.is_today else asked.day.isoformat()
    shows = ("read", "inroom", "waiting", "late", "unplaced")
    return {"all": where.day_list(day=day)} | {show: where.day_list(day=day, show=show) for show in shows}


def _link(asked: Asked) -> Callable[[str], str]:
    """The board's address with an exam in the side panel."""
    here = asked.url(exam="")
    stem = f"{here}{'&' if '?' in here else '?'}exam="
    return lambda accession: stem + quote(accession, safe="")


def _ghosts(
    seen: Board, proposed: Proposed | None, number: int, window: Window, zone: ZoneInfo
) -> dict[str, SafeString]:
    """Where exams would go, by room; empty where nothing is proposed."""
    if proposed is None or not number:
        return {}
    proposal = proposed.proposals[number - 1]
    cards = ((s.accession, seen.card(s.accession)) for s in proposal.steps)
    names = {accession: whole_name(card) for accession, card in cards if card}
    return ghosts(proposal, window, names=names, zone=zone)


def _groups(
    seen: Board,
    window: Window,
    asked: Asked,
    *,
    at: datetime,
    zone: ZoneInfo,
    ghostly: Mapping[str, SafeString],
    member: Member,
) -> Iterator[dict[str, Any]]:
    link = _link(asked)
    day = "" if asked.is_today else asked.day.isoformat()
    may_open_room, may_place = member.may(Permission.PERFORM), member.may(Permission.BOOK)
    for location, lanes in groupby(seen.lanes, key=lambda lane: lane.location):
        drawn: list[dict[str, str | SafeString | int]] = [
            {
                "code": lane.code,
                "down": lane.down is not None and bool(lane.down_reason),
                "head": lane_head(
                    lane, at, day=day, zone=zone, may_open_room=may_open_room, may_place=may_place
                ),
                "line": line(
                    lane,
                    window,
                    at,
                    link=link,
                    zone=zone,
                    chosen=asked.exam,
                    may_open_holds=may_place,
                    unfolded=_unfolds(asked, lane.code),
                )
                + ghostly.get(lane.code, SafeString("")),
                "rows": 6 if lane.code in ghostly else 5 if lane.down else 4,
            }
            for lane in lanes
        ]
        yield {"name": location, "lanes": drawn}


def _unfolds(asked: Asked, room: str) -> str:
    """The address that shows a lane's read exams one by one; empty where they are shown: other days have little else."""
    if not asked.is_today or asked.hours or asked.unfolded == room:
        return ""
    return asked.url(unfolded=room)


def _in_tray(card: Card, asked: Asked, at: datetime, zone: ZoneInfo) -> dict[str, Any]:
    """One exam without a place: who, what, and the most pressing thing about it."""
    strong = rest = ""
    if card.held:
        strong, rest = "hold", card.why
    elif card.due_at:
        strong, rest = f"due {card.due_at.astimezone(zone):%H:%M}", due(card.due_at, at)
    elif card.was and card.was_at:
        rest = f"was {card.was} {card.was_at.astimezone(zone):%H:%M}"
    elif card.requested_at:
        rest = f"asked for {card.requested_at.astimezone(zone):%a %H:%M}"
    else:
        rest = card.why
    return {
        "card": card,
        "lead": card.priority == "stat",
        "url": asked.url(exam=card.accession),
        "chosen": card.accession == asked.exam,
        "name": whole_name(card),
        "what": " · ".join(
            part for part in (card.what, ", ".join(p for p in (card.origin, card.mode) if p)) if part
        ),
        "strong": strong,
        "rest": rest,
    }


def _chosen(seen: Board, asked: Asked, member: Member) -> ExamView | None:
    """The exam in the side panel; None where there is none, or it is in a building of others."""
    view = find(site=member.site, accession=asked.exam) if asked.exam else None
    if view is None:
        return None
    booked_in = view.booking.room.location_id if view.booking else None
    if member.locations and booked_in is not None and booked_in not in member.locations:
        return None
    return view


def _may_ask(view: ExamView, member: Member, at: datetime) -> bool:
    """Whether others could give way for the exam: it has no place, or one that could be sooner."""
    can = what_can_be_done(view, member, at)
    return view.exam.triage == TriageState.ACCEPTED and (can.book or can.move)


def _proposed(view: ExamView, asked: Asked, member: Member, at: datetime) -> Proposed | None:
    """What the planner proposes: by itself for a STAT or urgent exam without a place, else where it is asked for."""
    presses = is_prompt(Priority(view.exam.priority)) and what_can_be_done(view, member, at).book
    if not _may_ask(view, member, at) or not (asked.option or presses):
        return None
    return propose_with_better(
        site=member.site, accession=view.exam.accession, at=at, locations=member.locations
    )


def _number(asked: Asked, proposed: Proposed | None) -> int:
    """Which proposal is shown, counted from one; none where there is none."""
    total = len(proposed.proposals) if proposed else 0
    return min(max(asked.option, 1), total)


def _panel(
    seen: Board, asked: Asked, member: Member, *, at: datetime, view: ExamView, proposed: Proposed | None
) -> Panel:
    number = _number(asked, proposed)
    proposal, found = None, []
    if proposed and number:
        total = len(proposed.proposals)
        proposal = shown(
            proposed,
            number,
            site=member.site,
            asked=f"a place for exam {view.exam.accession}",
            urls={s.accession: asked.url(exam=s.accession) for s in proposed.proposals[number - 1].steps},
            next_url=asked.url(option=number % total + 1) if total > 1 else "",
            left=why_left(exam=view.exam, proposed=proposed, proposal=proposed.proposals[number - 1], at=at),
        )
    elif what_can_be_done(view, member, at).book and view.exam.triage == TriageState.ACCEPTED:
        rooms = dict(rooms_of(member).values_list("pk", "code"))
        found = offers(propose_places(exam_id=view.exam.pk, at=at, count=PROPOSALS), rooms)
    return panel_of(
        view,
        seen.card(asked.exam),
        member=member,
        day=asked.day,
        at=at,
        here_url=asked.url(),
        leave_url=asked.url(exam=""),
        proposals=found,
        proposal=proposal,
        ask_url=asked.url(option=1) if _may_ask(view, member, at) and asked.is_today else "",
    )
