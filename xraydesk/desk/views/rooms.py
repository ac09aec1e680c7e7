"""The rooms, and one room's worklist on a technologist's tablet."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.desk.access import exam_or_404, needs, room_or_404
from xraydesk.desk.answers import SeeOther, back_to, done, refused
from xraydesk.desk.banner import banner_of, looked_at, open_items
from xraydesk.desk.views.exam import CHECK_WORDS, DISCONTINUE_REASONS
from xraydesk.journey import check, perform, room_state
from xraydesk.journey.check import missing_checks
from xraydesk.journey.errors import Refused
from xraydesk.journey.exam_view import ExamView, find, of_day, views_of
from xraydesk.journey.stage import Stage
from xraydesk.journey.triage import write_room_note
from xraydesk.lib import clock
from xraydesk.orders.models import Exam
from xraydesk.rooms.models import Room
from xraydesk.safety.checks import CheckKind

REASON_LENGTH_MAX = 200
NOTE_LENGTH_MAX = 500
DOWN_MINUTES_MAX = 7 * 24 * 60
OTHERS_SHOWN_MAX = 20

_TO_COME = (Stage.SCHEDULED, Stage.ARRIVED, Stage.DISCONTINUED)


def _today(member: Member) -> list[ExamView]:
    day = clock.local_day(clock.now(), member.site.timezone)
    views = views_of(of_day(site=member.site, day=day), site=member.site)
    return sorted(views, key=lambda view: (view.start is None, view.start, view.exam.pk))


@require_safe
@needs(Permission.PERFORM)
def rooms(request: HttpRequest, member: Member) -> HttpResponse:
    """Every room: who is in it, who is next, and whether it can be used."""
    views = _today(member)
    found = Room.objects.filter(site=member.site, retired=False).select_related("location")
    if member.locations:
        found = found.filter(location__in=member.locations)
    lines = []
    for room in found.order_by("location__sort", "sort", "code"):
        here = [view for view in views if view.room == room.code]
        lines.append(
            {
                "room": room,
                "now": next((view for view in here if view.stage is Stage.BEGUN), None),
                "next": next((view for view in here if view.stage in _TO_COME), None),
                "left": sum(view.stage in _TO_COME for view in here),
            }
        )
    return render(request, "desk/rooms.html", {"lines": lines})


@require_safe
@needs(Permission.PERFORM)
def room_page(request: HttpRequest, member: Member, code: str) -> HttpResponse:
    """Who is in the room, the safety check of who is next, and who comes after."""
    room = room_or_404(member, code)
    views = _today(member)
    here = [view for view in views if view.room == room.code]
    coming = [view for view in here if view.stage in _TO_COME]
    # Who is here goes before who is booked earlier but has not come.
    coming.sort(key=lambda view: (view.stage is not Stage.ARRIVED, view.start is None, view.start))
    asked = request.GET.get("exam", "")
    chosen = next((view for view in coming if view.exam.accession == asked), coming[0] if coming else None)
    context: dict[str, Any] = {
        "room": room,
        "inside": [view for view in here if view.stage is Stage.BEGUN],
        "chosen": chosen,
        "after": [view for view in coming if view is not chosen],
        "elsewhere": [view for view in views if view.room != room.code and view.stage is Stage.ARRIVED][
            :OTHERS_SHOWN_MAX
        ],
        "notes": room.notes.order_by("-at")[:5],
        "reasons": DISCONTINUE_REASONS,
        "may_book": member.may(Permission.BOOK),
    }
    if chosen is not None:
        looked_at(member, chosen.patient, what="room worklist", accession=chosen.exam.accession)
        context |= {"banner": banner_of(chosen.patient)} | _questions(chosen.exam)
        context["items"] = open_items(site_id=member.site.pk, accession=chosen.exam.accession)
    return render(request, "desk/room.html", context)


def _questions(exam: Exam) -> dict[str, Any]:
    """What is to be asked before an exam, with the answers given so far."""
    missing = missing_checks(exam, at=clock.now())
    newest = {row.kind: row for row in exam.safety_checks.order_by("at", "id")}
    needed = set(missing) | set(newest)
    return {
        "questions": [
            {"kind": kind.value, "answer": newest.get(kind)} for kind in CheckKind if kind in needed
        ],
        "missing": [CHECK_WORDS[kind].lower() for kind in missing],
    }


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Permission.PERFORM)
def check_exam(request: HttpRequest, member: Member, accession: str) -> HttpResponse:
    """The safety check of one exam: show it, or keep the answers given."""
    exam = exam_or_404(member, accession)
    if request.method == "POST":
        return _keep_answers(request, member, exam)
    looked_at(member, exam.patient, what="safety check", accession=exam.accession)
    context = {
        "exam": exam,
        "view": find(site=member.site, accession=exam.accession),
        "banner": banner_of(exam.patient),
        "items": open_items(site_id=member.site.pk, accession=exam.accession),
    } | _questions(exam)
    return render(request, "desk/check.html", context)


def _keep_answers(request: HttpRequest, member: Member, exam: Exam) -> SeeOther:
    at = clock.now()
    otherwise = reverse("exam-check", args=[exam.accession])
    begin = request.POST.get("begin", "")
    try:
        for kind in CheckKind:
            answer = request.POST.get(kind.value, "")[:64]
            if answer:
                method = "said name and birth date" if kind is CheckKind.IDENTITY else "asked"
                check.record_check(
                    exam_id=exam.pk, kind=kind, answer=answer, method=method, note="", at=at, by=member.who
                )
        if begin:
            room = room_or_404(member, begin)
            perform.begin_by_hand(exam_id=exam.pk, room_id=room.pk, at=at, by=member.who)
    except Refused as why:
        return refused(request, why, to=otherwise)
    return done(request, "The exam has begun." if begin else "The answers are kept.", to=otherwise)


@require_POST
@needs(Permission.PERFORM)
def take_here(request: HttpRequest, member: Member, code: str) -> SeeOther:
    """Do an exam in this room that was booked in another."""
    room = room_or_404(member, code)
    exam = exam_or_404(member, request.POST.get("exam", ""))
    here = reverse("room", args=[room.code])
    try:
        perform.take_here(exam_id=exam.pk, room_id=room.pk, at=clock.now(), by=member.who)
    except Refused as why:
        return refused(request, why, to=here)
    return done(request, f"{exam.accession} is done in {room.code}.", to=f"{here}?exam={exam.accession}")


@require_POST
@needs(Permission.PERFORM)
def state(request: HttpRequest, member: Member, code: str) -> SeeOther:
    """Say that a room is down, and until when; or that it is ready again."""
    room = room_or_404(member, code)
    here = reverse("room", args=[room.code])
    at = clock.now()
    try:
        if request.POST.get("ready"):
            room_state.set_room_ready(room_id=room.pk, at=at, by=member.who)
            return done(request, f"{room.code} is ready again.", to=here)
        minutes = request.POST.get("minutes", "")
        until = None
        if minutes.isdecimal() and 0 < int(minutes) <= DOWN_MINUTES_MAX:
            until = at + timedelta(minutes=int(minutes))
        reason = request.POST.get("reason", "").strip()[:REASON_LENGTH_MAX]
        touched = room_state.set_room_down(
            room_id=room.pk, until=until, reason=reason or "no reason given", at=at, by=member.who
        )
    except Refused as why:
        return refused(request, why, to=here)
    booked = "1 exam is" if len(touched) == 1 else f"{len(touched) or 'no'} exams are"
    return done(
        request,
        f"{room.code} is down; {booked} booked there meanwhile.",
        to=back_to(request, here),
    )


@require_POST
@needs(Permission.PERFORM)
def note(request: HttpRequest, member: Member, code: str) -> SeeOther:
    """Leave a word about a room."""
    room = room_or_404(member, code)
    here = reverse("room", args=[room.code])
    text = request.POST.get("text", "").strip()[:NOTE_LENGTH_MAX]
    if not text:
        return refused(request, Refused("An empty note was not kept. Write a word, then keep it."), to=here)
    write_room_note(room_id=room.pk, text=text, at=clock.now(), by=member.who)
    return done(request, "The note is kept.", to=here)
