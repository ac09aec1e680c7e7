"""What the board does to an exam: arrived, moved, placed, taken back, did not come."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.desk import where
from xraydesk.desk.access import exam_or_404, needs, rooms_of
from xraydesk.desk.answers import SeeOther, done, refused
from xraydesk.desk.banner import banner_of, looked_at
from xraydesk.desk.panel import Offer, minutes_of, offers, place_of_value, place_value
from xraydesk.desk.proposals import Shown, shown
from xraydesk.desk.words import who
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.journey import arrive as arrivals
from xraydesk.journey import book as booking
from xraydesk.journey.errors import PlaceTaken, PlaceUnfit, Refused
from xraydesk.journey.places import judge_place
from xraydesk.journey.propose import propose_place
from xraydesk.lib import clock
from xraydesk.orders.models import Exam
from xraydesk.rooms.models import Room
from xraydesk.scheduling.engine.place import Place, Proposal
from xraydesk.scheduling.models import Booking
from xraydesk.scheduling.states import BookingState

REASON_LENGTH_MAX = 200
PROPOSALS = 5
PLACED = (FactKind.EXAM_BOOKED, FactKind.EXAM_MOVED, FactKind.BOOKING_RELEASED)


def _on_board(exam: Exam) -> str:
    """The board with the exam chosen, on the day on which it stands."""
    placed = exam.bookings.filter(state__in=[BookingState.BOOKED.value, BookingState.NO_SHOW.value]).first()
    today = clock.local_day(clock.now(), exam.site.timezone)
    day = clock.local_day(placed.during.lower, exam.site.timezone) if placed else today
    return where.board(day="" if day == today else day.isoformat(), exam=exam.accession)


def _do(
    request: HttpRequest,
    member: Member,
    accession: str,
    act: Callable[[Exam], object],
    said: str,
    *,
    undo: str = "",
) -> SeeOther:
    exam = exam_or_404(member, accession)
    try:
        act(exam)
    except Refused as why:
        return refused(request, why, to=_on_board(exam))
    undo_url = where.exam_action(accession, undo) if undo else ""
    return done(request, said, to=_on_board(exam), undo=undo_url)


@require_POST
@needs(Permission.BOOK, Permission.PERFORM)
def arrive(request: HttpRequest, member: Member, accession: str) -> SeeOther:
    """The patient is here."""
    return _do(
        request,
        member,
        accession,
        lambda exam: arrivals.arrive(exam_id=exam.pk, at=clock.now(), by=member.who),
        "Marked as arrived.",
        undo="unarrive",
    )


@require_POST
@needs(Permission.BOOK, Permission.PERFORM)
def unarrive(request: HttpRequest, member: Member, accession: str) -> SeeOther:
    """The patient is not here after all."""
    return _do(
        request,
        member,
        accession,
        lambda exam: arrivals.undo_arrival(exam_id=exam.pk, at=clock.now(), by=member.who),
        "Arrival taken back.",
        undo="arrive",
    )


@require_POST
@needs(Permission.BOOK)
def no_show(request: HttpRequest, member: Member, accession: str) -> SeeOther:
    """The patient did not come."""
    return _do(
        request,
        member,
        accession,
        lambda exam: booking.mark_no_show(exam_id=exam.pk, at=clock.now(), by=member.who),
        "Marked as not come. The place is free.",
        undo="undo-no-show",
    )


@require_POST
@needs(Permission.BOOK)
def undo_no_show(request: HttpRequest, member: Member, accession: str) -> SeeOther:
    """The patient came after all."""
    return _do(
        request,
        member,
        accession,
        lambda exam: booking.undo_no_show(exam_id=exam.pk, at=clock.now(), by=member.who),
        "Back in the same place.",
        undo="no-show",
    )


@require_POST
@needs(Permission.BOOK)
def cancel_booking(request: HttpRequest, member: Member, accession: str) -> SeeOther:
    """Take an exam's place back; the exam waits for another."""
    why = request.POST.get("why", "").strip()[:REASON_LENGTH_MAX]
    return _do(
        request,
        member,
        accession,
        lambda exam: booking.cancel_booking(exam_id=exam.pk, at=clock.now(), by=member.who, why=why),
        "The place is free; the exam waits for another.",
    )


@require_POST
@needs(Permission.BOOK)
def book(request: HttpRequest, member: Member, accession: str) -> HttpResponse:
    """Place an exam where the form says: one of the places proposed, or one chosen by hand."""
    exam = exam_or_404(member, accession)
    place = place_of_value(request.POST.get("place", ""), exam=exam, member=member)
    if place is None:
        return _choose(request, member, exam, mistake="Choose a room and a time.", status=400)
    try:
        made = booking.book_exam(exam_id=exam.pk, at=clock.now(), by=member.who, place=place)
    except Refused as why:
        return _choose(request, member, exam, place=place, why=why, status=409)
    undo = reverse("cancel-booking", args=[exam.accession])
    return done(request, _placed_words(made), to=_on_board(exam), undo=undo)


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Permission.BOOK)
def move(request: HttpRequest, member: Member, accession: str) -> HttpResponse:
    """Choose another place: what would happen is shown first, nothing changes until it is accepted."""
    exam = exam_or_404(member, accession)
    if request.method != "POST":
        return _preview(request, member, exam)
    place = place_of_value(request.POST.get("place", ""), exam=exam, member=member)
    if place is None:
        return _choose(request, member, exam, mistake="Choose a room and a time.", status=400)
    first = _who_was_first(exam, seen=request.POST.get("seen", ""))
    if first:
        return _choose(request, member, exam, place=place, first=first, status=409)
    try:
        made = booking.move_exam(exam_id=exam.pk, place=place, at=clock.now(), by=member.who)
    except Refused as why:
        return _choose(request, member, exam, place=place, why=why, status=409)
    undo = where.exam_action(accession, "move-back")
    return done(request, _placed_words(made), to=_on_board(exam), undo=undo)


@require_POST
@needs(Permission.BOOK)
def move_back(request: HttpRequest, member: Member, accession: str) -> HttpResponse:
    """Undo the last move, if the old place is still free."""
    exam = exam_or_404(member, accession)
    moved = (
        Fact.objects.filter(site=member.site, accession=accession, kind=FactKind.EXAM_MOVED)
        .order_by("-id")
        .first()
    )
    if moved is None:
        return _choose(request, member, exam, mistake="This exam was not moved.", status=409)
    old = moved.data["from"]
    value = place_value(old["room"], datetime.fromisoformat(old["start"]))
    place = place_of_value(value, exam=exam, member=member)
    if place is None:
        return _choose(request, member, exam, mistake="The old room is not in use any more.", status=409)
    try:
        made = booking.move_exam(exam_id=exam.pk, place=place, at=clock.now(), by=member.who)
    except Refused as why:
        return _choose(request, member, exam, place=place, why=why, status=409)
    return done(request, _placed_words(made), to=_on_board(exam))


def _placed_words(made: Booking) -> str:
    zone_time = clock.in_zone(made.during.lower, made.site.timezone)
    return f"Placed in {made.room.code} at {zone_time:%H:%M}, {zone_time:%a %d %b}."


def _live(exam: Exam) -> Booking | None:
    return exam.bookings.filter(state=BookingState.BOOKED).select_related("room").first()


def _who_was_first(exam: Exam, *, seen: str) -> str:
    """A sentence where somebody moved the exam since the form was opened; empty where nobody did."""
    now = _live(exam)
    if not seen or seen == str(now.pk if now else ""):
        return ""
    fact = (
        Fact.objects.filter(site=exam.site_id, accession=exam.accession, kind__in=[k.value for k in PLACED])
        .order_by("-id")
        .first()
    )
    if fact is None:
        return ""
    at = clock.in_zone(fact.at, exam.site.timezone)
    place = "took its place back"
    if now:
        place = f"put this exam into {now.room.code} at {clock.in_zone(now.during.lower, exam.site.timezone):%H:%M}"
    return f"{who(fact.by)} {place} at {at:%H:%M}. Your choice is still here; accept it again to put it before theirs."


def _preview(request: HttpRequest, member: Member, exam: Exam) -> HttpResponse:
    """The form; with `room`, `day` and `start` also what would happen there."""
    looked_at(member, exam.patient, what="choosing a place", accession=exam.accession)
    place, mistake = _typed(request, member, exam)
    return _choose(request, member, exam, place=place, mistake=mistake)


@require_safe
@needs(Permission.BOOK)
def would(request: HttpRequest, member: Member, accession: str) -> HttpResponse:
    """What would follow if the exam were dropped just there, in a few lines: asked while it is dragged. Nothing changes."""
    exam = exam_or_404(member, accession)
    place = place_of_value(
        f"{request.GET.get('room', '')} {request.GET.get('at', '')}", exam=exam, member=member
    )
    if place is None:
        raise Http404
    room = request.GET["room"]
    context = _what_follows(member, exam, place, room, clock.now())
    return render(request, "desk/would.html", context | {"room": room, "chosen": place})


def _typed(request: HttpRequest, member: Member, exam: Exam) -> tuple[Place | None, str]:
    code, day, start = (request.GET.get(name, "").strip() for name in ("room", "day", "start"))
    if dropped := request.GET.get("at", "").strip():
        # From the board, where it was dropped on a lane.
        place = place_of_value(f"{code} {dropped}", exam=exam, member=member)
        return place, "" if place else "Choose a room and a time."
    if not start:
        return None, ""
    try:
        wall = time.fromisoformat(start.zfill(5))
        on = date.fromisoformat(day) if day else clock.local_day(clock.now(), member.site.timezone)
    except ValueError:
        return None, "A day has 24 hours. Write the time like 14:10."
    moment = clock.at_wall_time(on, wall.replace(tzinfo=None), member.site.timezone)
    place = place_of_value(place_value(code, moment), exam=exam, member=member)
    return place, "" if place else "Choose a room."


def _choose(
    request: HttpRequest,
    member: Member,
    exam: Exam,
    *,
    place: Place | None = None,
    why: Refused | None = None,
    mistake: str = "",
    first: str = "",
    status: int = 200,
) -> HttpResponse:
    """The page to choose a place on, with what was typed kept, and what is in the way of it said."""
    at = clock.now()
    rooms = list(rooms_of(member))
    codes = {room.pk: room.code for room in rooms}
    others = list(why.alternatives) if isinstance(why, PlaceTaken | PlaceUnfit) else []
    follows: dict[str, Any] = {}
    if place and not why:
        follows = _what_follows(member, exam, place, codes.get(place.room_id, ""), at)
        place = follows["fitting"]
    context = (
        _page(exam, rooms, place, at)
        | follows
        | {
            "offers": _offered(exam, others, codes, at),
            "refused": str(why) if why else "",
            "mistake": mistake,
            "first": first,
            "leave_url": _on_board(exam),
        }
    )
    return render(request, "desk/move.html", context, status=status)


def _what_follows(member: Member, exam: Exam, place: Place, room: str, at: datetime) -> dict[str, Any]:
    """What is in the way of an exam in a place, and who could give way for it; nothing is written."""
    judged = judge_place(exam, place, at=at)
    giving_way = None
    if judged.why_not and judged.taken:
        giving_way = _giving_way(member, exam, room, place.start, at)
    return {
        "in_the_way": judged.why_not,
        "mind": judged.mind,
        "proposal": giving_way,
        "fitting": judged.place or place,
    }


def _giving_way(member: Member, exam: Exam, room: str, start: datetime, at: datetime) -> Shown | None:
    """Who would have to move for the exam to be just there; None where that cannot be."""
    proposed = propose_place(
        site=exam.site,
        accession=exam.accession,
        room=room,
        start=start,
        at=at,
        locations=member.locations,
    )
    if not proposed.proposals:
        return None
    return shown(proposed, 1, site=exam.site, asked=f"a place by hand for exam {exam.accession}", urls={})


def _offered(exam: Exam, others: list[Proposal], codes: dict[int, str], at: datetime) -> list[Offer]:
    return offers(others or booking.propose_places(exam_id=exam.pk, at=at, count=PROPOSALS), codes)


def _page(exam: Exam, rooms: list[Room], place: Place | None, at: datetime) -> dict[str, Any]:
    before = _live(exam)
    codes = {room.pk: room.code for room in rooms}
    start = clock.in_zone(
        place.start if place else (before.during.lower if before else at), exam.site.timezone
    )
    chosen = codes.get(place.room_id, "") if place else ""
    return {
        "banner": banner_of(exam.patient),
        "exam": exam,
        "before": before,
        "rooms": rooms,
        "room": chosen or (before.room.code if before else ""),
        "typed_day": start.date().isoformat(),
        "typed_start": f"{start:%H:%M}",
        "place": place,
        "place_value": place_value(chosen, place.start) if place and chosen else "",
        "minutes": minutes_of(exam),
        "do_url": where.exam_action(exam.accession, "move" if before else "book"),
        "choose_url": where.exam_action(exam.accession, "move"),
    }
