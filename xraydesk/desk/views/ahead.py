"""Finding a place for a future day: where an exam, or several of one patient, could be; held while somebody decides."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from xraydesk.access.members import Member
from xraydesk.access.models import Location
from xraydesk.access.roles import Permission
from xraydesk.desk import where
from xraydesk.desk.access import exam_or_404, needs
from xraydesk.desk.answers import SeeOther, done, refused
from xraydesk.desk.banner import banner_of, looked_at
from xraydesk.desk.panel import place_of_value, place_value
from xraydesk.desk.words import procedure_words
from xraydesk.imaging.models import StepExam
from xraydesk.journey.ahead import Wish, book, find_hold, find_slots, hold, let_go
from xraydesk.journey.errors import Refused, UnknownHold
from xraydesk.lib import clock
from xraydesk.orders.models import Exam
from xraydesk.orders.states import TriageState
from xraydesk.rooms.models import Room
from xraydesk.scheduling.engine.ahead import ASKS_MAX, Offer
from xraydesk.scheduling.models import Booking, Hold
from xraydesk.scheduling.states import OCCUPYING, BookingState, HoldState

OFFERS = 9
"""So many places are offered at once: a few of each day, for three days or so."""

AHEAD_DAYS_MAX = 366
PLACES_LENGTH_MAX = 1000

GOING_WORDS = {
    "fetch": "{} fetches the patient",
    "return": "{} takes the patient back",
    "interpreter": "{} interprets",
    "escort": "{} stays with the patient",
}


@dataclass(frozen=True)
class Line:
    """One exam of a place that is offered or held."""

    accession: str
    what: str
    room: str
    location: str
    start: datetime
    end: datetime
    here: datetime | None = None
    """When the patient is to be here, where that is before the start."""


@dataclass(frozen=True)
class Choice:
    """One place as the form offers it; `value` names each exam, room and moment, checked again when it is sent."""

    value: str
    lines: tuple[Line, ...]
    lacks: tuple[str, ...]
    along: tuple[str, ...]

    @property
    def start(self) -> datetime:
        """When it begins."""
        return self.lines[0].start

    @property
    def minutes(self) -> int:
        """How long the patient is in the house."""
        return int((self.lines[-1].end - (self.lines[0].here or self.start)) / timedelta(minutes=1))


@require_safe
@needs(Permission.BOOK)
def find(request: HttpRequest, member: Member, accession: str) -> HttpResponse:
    """The first places for an exam over days and locations, each with what it lacks."""
    exam = exam_or_404(member, accession)
    looked_at(member, exam.patient, what="finding a place", accession=exam.accession)
    return _page(request, member, exam)


@require_POST
@needs(Permission.BOOK)
def hold_place(request: HttpRequest, member: Member, accession: str) -> HttpResponse:
    """Keep the place that was chosen while somebody makes up their mind."""
    exam = exam_or_404(member, accession)
    chosen = [
        (exam_or_404(member, key), value)
        for key, _, value in (part.partition(" ") for part in _parts(request.POST.get("places", "")))
    ]
    places = [place_of_value(value, exam=one, member=member) for one, value in chosen]
    if not chosen or exam.pk not in {one.pk for one, _ in chosen} or None in places:
        return _page(request, member, exam, refusal="Choose one of the places.", status=400)
    try:
        held = hold(
            site=member.site,
            wish=Wish(exam_ids=tuple(one.pk for one, _ in chosen)),
            places=[place for place in places if place],
            at=clock.now(),
            by=member.who,
        )
    except Refused as why:
        return _page(request, member, exam, refusal=str(why), status=409)
    return SeeOther(reverse("hold", args=[held.pk]))


def _parts(value: str) -> list[str]:
    """`ACCESSION ROOM MOMENT`, one for each exam."""
    return [part for part in value[:PLACES_LENGTH_MAX].split(";") if part][:ASKS_MAX]


@require_safe
@needs(Permission.BOOK)
def hold_page(request: HttpRequest, member: Member, hold_id: int) -> HttpResponse:
    """A held place: what it is, until when, and the two things that can be done with it."""
    held, exams = _hold_or_404(member, hold_id)
    exam = exams[0]
    looked_at(member, exam.patient, what="a held place", accession=exam.accession)
    at = clock.now()
    standing = held.state == HoldState.HELD and held.until > at
    context = {
        "banner": banner_of(exam.patient),
        "exam": exam,
        "hold": held,
        "standing": standing,
        "minutes": -((at - held.until) // timedelta(minutes=1)) if standing else 0,
        "lines": _held_lines(member, held, exams),
        "along": [
            GOING_WORDS[one["going"]].format(one["who"]) for told in held.places for one in told["along"]
        ],
        "moves": Booking.objects.filter(exam__in=exams, state=BookingState.BOOKED)
        .exclude(hold=held)
        .exists(),
        "find_url": _find_url(exams),
        "leave_url": where.exam(exam.accession),
    }
    return render(request, "desk/hold.html", context)


@require_POST
@needs(Permission.BOOK)
def hold_book(request: HttpRequest, member: Member, hold_id: int) -> SeeOther:
    """Make a held place a booking."""
    _, exams = _hold_or_404(member, hold_id)
    try:
        made = book(site=member.site, hold_id=hold_id, at=clock.now(), by=member.who)
    except Refused as why:
        return refused(request, why, to=reverse("hold", args=[hold_id]))
    first = min(made, key=lambda b: b.during.lower)
    start = clock.in_zone(first.during.lower, member.site.timezone)
    day = start.date().isoformat()
    said = f"Booked in {first.room.code} at {start:%H:%M}, {start:%a %d %b}."
    if len(made) > 1:
        said = f"{len(made)} exams are booked from {start:%H:%M}, {start:%a %d %b}."
    return done(request, said, to=where.board(day=day, exam=exams[0].accession))


@require_POST
@needs(Permission.BOOK)
def hold_let_go(request: HttpRequest, member: Member, hold_id: int) -> SeeOther:
    """Give a held place back."""
    _, exams = _hold_or_404(member, hold_id)
    let_go(site=member.site, hold_id=hold_id, at=clock.now(), by=member.who)
    return done(request, "The place is free again.", to=_find_url(exams))


def _hold_or_404(member: Member, hold_id: int) -> tuple[Hold, list[Exam]]:
    """A hold of the member's site and locations, with its exams; raises Http404."""
    try:
        held = find_hold(site=member.site, hold_id=hold_id)
    except UnknownHold as unknown:
        raise Http404 from unknown
    codes = {told["room"] for told in held.places}
    rooms = Room.objects.filter(site=member.site, code__in=codes)
    if member.locations and any(room.location_id not in member.locations for room in rooms):
        raise Http404
    exams = [exam_or_404(member, told["key"]) for told in held.places if " " not in told["key"]]
    if not exams:
        raise Http404
    return held, exams


def _held_lines(member: Member, held: Hold, exams: list[Exam]) -> list[Line]:
    names = dict(Room.objects.filter(site=member.site).values_list("code", "location__name"))
    by_key = {exam.accession: exam for exam in exams}
    return [
        Line(
            accession=told["key"],
            what=_what(by_key[told["key"]]),
            room=told["room"],
            location=names.get(told["room"], ""),
            start=datetime.fromisoformat(told["start"]),
            end=datetime.fromisoformat(told["end"]),
            here=datetime.fromisoformat(told["here"]) if told["here"] != told["start"] else None,
        )
        for told in held.places
        if told["key"] in by_key
    ]


def _what(exam: Exam) -> str:
    return procedure_words(exam.procedure_text or exam.procedure_code, exam.laterality)


def _find_url(exams: list[Exam]) -> str:
    url = reverse("find-place", args=[exams[0].accession])
    others = "&".join(f"with={exam.accession}" for exam in exams[1:])
    return f"{url}?{others}" if others else url


# -- the page on which a place is chosen -----------------------------------------------------------


def _page(
    request: HttpRequest, member: Member, exam: Exam, *, refusal: str = "", status: int = 200
) -> HttpResponse:
    at = clock.now()
    asked = request.POST if request.method == "POST" else request.GET
    others = _others(member, exam)
    together = [one for one in others if one.accession in asked.getlist("with")][: ASKS_MAX - 1]
    locations = Location.objects.filter(site=member.site).order_by("sort", "name")
    if member.locations:
        locations = locations.filter(pk__in=member.locations)
    location = next((one for one in locations if one.code == asked.get("location")), None)
    day, mistake = _day(asked.get("day", ""), member, at)
    wish = Wish(
        exam_ids=(exam.pk, *(one.pk for one in together)),
        locations=frozenset({location.pk}) if location else frozenset(member.locations),
    )
    choices: list[Choice] = []
    if not mistake:
        try:
            since = max(at, clock.day_bounds(day, member.site.timezone)[0])
            found = find_slots(site=member.site, wish=wish, at=at, since=since, count=OFFERS, spread=True)
            choices = _choices(member, found, [exam, *together])
        except Refused as why:
            refusal = refusal or str(why)
    context: dict[str, Any] = {
        "banner": banner_of(exam.patient),
        "exam": exam,
        "others": [(one, one in together) for one in others],
        "locations": locations,
        "location": location,
        "day": day.isoformat() if day else asked.get("day", ""),
        "mistake": mistake,
        "refused": refusal,
        "first": [choice for choice in choices if not _is_sooner(choice, choices)],
        "sooner": [choice for choice in choices if _is_sooner(choice, choices)],
        "whole": any(not choice.lacks for choice in choices),
        "visit": bool(together),
        "now": _place_now(exam),
        "leave_url": where.exam(exam.accession),
    }
    return render(request, "desk/find_place.html", context, status=status)


def _day(typed: str, member: Member, at: datetime) -> tuple[date, str]:
    today = clock.local_day(at, member.site.timezone)
    try:
        day = date.fromisoformat(typed) if typed else today
    except ValueError:
        return today, "Write the day like 2026-12-24."
    if not today <= day <= today + timedelta(days=AHEAD_DAYS_MAX):
        return day, "Choose a day from today on, within a year."
    return day, ""


def _others(member: Member, exam: Exam) -> list[Exam]:
    """The patient's other exams that could be done in the same visit: accepted, not begun."""
    begun = StepExam.objects.filter(voided=False, exam__patient=exam.patient_id).values("exam")
    return list(
        Exam.objects.select_related("procedure")
        .filter(site=member.site, patient=exam.patient_id, triage=TriageState.ACCEPTED)
        .exclude(pk=exam.pk)
        .exclude(pk__in=begun)
        .order_by("id")[: 2 * ASKS_MAX]
    )


def _place_now(exam: Exam) -> Booking | None:
    """Where the exam is booked or held now."""
    found = exam.bookings.filter(state__in=OCCUPYING).exclude(held_until__lte=clock.now())
    return found.select_related("room").order_by("state").first()


def _is_sooner(choice: Choice, choices: list[Choice]) -> bool:
    """True for a place that lacks something and begins before every one that does not."""
    whole = [one.start for one in choices if not one.lacks]
    return bool(choice.lacks and whole and choice.start < min(whole))


def _choices(member: Member, offers: list[Offer], exams: list[Exam]) -> list[Choice]:
    rooms = {room.pk: room for room in Room.objects.filter(site=member.site).select_related("location")}
    by_key = {exam.accession: exam for exam in exams}
    return [
        Choice(
            value=";".join(
                f"{part.ask.key} {place_value(rooms[part.place.room_id].code, part.place.start)}"
                for part in offer.parts
            ),
            lines=tuple(
                Line(
                    accession=part.ask.key,
                    what=_what(by_key[part.ask.key]),
                    room=rooms[part.place.room_id].code,
                    location=rooms[part.place.room_id].location.name,
                    start=part.place.start,
                    end=part.place.end,
                    here=part.here_at if part.here_at != part.place.start else None,
                )
                for part in offer.parts
            ),
            lacks=tuple(lack.words for lack in offer.lacks),
            along=tuple(GOING_WORDS[one.going].format(one.helper.name) for one in offer.along),
        )
        for offer in offers
    ]
