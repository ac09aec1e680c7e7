"""The day as a list: to filter, to print, and to work by when the desk is down."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.desk import where
from xraydesk.desk.access import needs
from xraydesk.desk.board_layout import Card, lateness, stretch, waiting
from xraydesk.desk.board_markup import stage_word, whole_name
from xraydesk.desk.board_query import Board, board_of
from xraydesk.desk.views.board import day_asked
from xraydesk.desk.words import born
from xraydesk.journey.stage import Stage
from xraydesk.lib import clock
from xraydesk.orders.models import ExamNote
from xraydesk.patients.models import PatientIdentifier

Chosen = Callable[[Card, datetime], bool]

SHOWS: dict[str, tuple[str, Chosen]] = {
    "": ("All", lambda card, at: True),
    "unplaced": ("No place yet", lambda card, at: not card.room or card.displaced),
    "waiting": ("Waiting", lambda card, at: card.stage is Stage.ARRIVED),
    "inroom": ("In room", lambda card, at: card.stage is Stage.BEGUN),
    "late": ("Late", lambda card, at: lateness(card, at) is not None),
    "noimages": ("No images yet", lambda card, at: card.stage is Stage.ENDED and not card.images),
    "read": ("Read", lambda card, at: card.stage is Stage.READ),
}
"""What `?show=` may name: its word, and which exams it keeps."""

NO_PLACE = "No place yet"


@require_safe
@needs(Permission.SEE_BOARD)
def day(request: HttpRequest, member: Member) -> HttpResponse:
    """The exams of one day by room, with what is needed to work from paper."""
    at = clock.now()
    today = clock.local_day(at, member.site.timezone)
    asked = day_asked(request, today)
    show = request.GET.get("show", "")
    if show not in SHOWS:
        raise Http404
    seen = board_of(site=member.site, day=asked, at=at, locations=member.locations)
    word, keep = SHOWS[show]
    every = _every(seen, is_today=asked == today)
    kept = [card for card in every if keep(card, at)]
    numbers, notes = _numbers(member, kept), _notes(member, kept)
    rows = [_row(card, at, numbers, notes, member) for card in kept]
    day_text = "" if asked == today else asked.isoformat()
    context = {
        "day": asked,
        "before_url": where.day_list(day=(asked - timedelta(days=1)).isoformat(), show=show),
        "after_url": where.day_list(day=(asked + timedelta(days=1)).isoformat(), show=show),
        "today_url": where.day_list(show=show),
        "is_today": asked == today,
        "at": at,
        "word": word,
        "total": len(rows),
        "shows": _shows(every, at, day_text, show),
        "groups": [(room, list(group)) for room, group in groupby(rows, key=lambda row: row["room"])],
        "may_open": member.may(Permission.SEE_PATIENT),
        "board_url": where.board(day=day_text),
    }
    return render(request, "desk/day.html", context)


def _every(seen: Board, *, is_today: bool) -> list[Card]:
    """Placed exams room by room in order of time, then, on the present day, those without a place."""
    placed = [
        card
        for lane in seen.lanes
        for card in sorted(lane.cards, key=lambda c: (stretch(c, seen.first) or (seen.first,))[0])
    ]
    return placed + [card for card in seen.tray if not card.room] if is_today else placed


def _shows(every: list[Card], at: datetime, day_text: str, show: str) -> list[dict[str, Any]]:
    found = []
    for name, (word, keep) in SHOWS.items():
        count = sum(keep(card, at) for card in every)
        if count or name == show or not name:
            url = where.day_list(day=day_text, show=name)
            found.append({"word": word, "count": count, "url": url, "here": name == show})
    return found


def _numbers(member: Member, cards: list[Card]) -> dict[int, str]:
    found = PatientIdentifier.objects.filter(site=member.site, patient__in={c.patient for c in cards})
    return dict(found.order_by("-sort", "-id").values_list("patient_id", "value"))


def _notes(member: Member, cards: list[Card]) -> dict[str, str]:
    found = ExamNote.objects.filter(site=member.site, exam__accession__in=[c.accession for c in cards])
    notes: dict[str, str] = {}
    for accession, text in found.order_by("id").values_list("exam__accession", "text"):
        notes[accession] = f"{notes[accession]} {text}" if accession in notes else text
    return notes


def _row(
    card: Card, at: datetime, numbers: dict[int, str], notes: dict[str, str], member: Member
) -> dict[str, Any]:
    times = stretch(card, at)
    late, wait = lateness(card, at), waiting(card, at)
    marks = [f"{late.minutes} min {late.word}"] if late else []
    marks += [f"waits {wait.minutes} min"] if wait else []
    return {
        "room": card.room or NO_PLACE,
        "card": card,
        "start": times[0] if times else None,
        "name": whole_name(card),
        "born": born(card.born, clock.local_day(at, member.site.timezone)),
        "number": numbers.get(card.patient, "none yet"),
        "from": ", ".join(part for part in (card.origin, card.mode) if part),
        "stage": stage_word(card) if card.room else ("On hold" if card.held else NO_PLACE),
        "marks": ", ".join(marks),
        "notes": notes.get(card.accession, ""),
        "url": where.exam(card.accession),
        "board_url": where.board(exam=card.accession),
    }
