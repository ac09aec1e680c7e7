"""Booking ahead in three calls: find places, hold one, book it. What FHIR and patients' links stand on too.

`find_slots` says where one exam, or several of one patient in one visit, could be, with whatever
each place lacks. `hold` keeps a place for somebody who makes up their mind: room, technologist,
patient and whoever goes along, all of it or nothing. `book` makes it a booking. A held place that
nobody books is free again by itself; while it is held the database guards it as it guards bookings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from xraydesk.access.models import Site
from xraydesk.facts.actions import record
from xraydesk.facts.kinds import FactKind
from xraydesk.journey.ask import asks_of, helpers_of
from xraydesk.journey.book import as_told, check_bookable, locked_exam, settle_no_place, tell_booking
from xraydesk.journey.errors import HoldOver, PlaceTaken, PlaceUnfit, UnknownExam, UnknownHold, WrongState
from xraydesk.journey.places import EDGE
from xraydesk.journey.policy import policies_of
from xraydesk.orders.models import Exam, Procedure
from xraydesk.scheduling import actions
from xraydesk.scheduling.actions import Company, SlotTaken, ToHold
from xraydesk.scheduling.engine.ahead import ASKS_MAX, Ask, Offer, Search, Unfit
from xraydesk.scheduling.engine.place import Place, Proposal
from xraydesk.scheduling.models import Booking, Hold
from xraydesk.scheduling.queries import department_of, live_booking
from xraydesk.scheduling.states import OCCUPYING, BookingState, Going, HoldState

FIRST_LOOK_DAYS = 4
"""Places are nearly always found within so many days; only where they are not are all the days looked at."""

SLOTS_MAX = 200
"""So many places are found in one call at most."""

HOLD_MINUTES_MAX = 240

ALTERNATIVES_MAX = 5
"""Whoever lost a place is offered so many others."""

EXPIRED_AT_ONCE_MAX = 500

BY_RULE = "rule"


@dataclass(frozen=True)
class Wish:
    """What is to have a place: exams of one patient, or (for somebody who has no order yet) procedures by key.

    `locations` and `rooms` limit where, by key; empty for anywhere.
    """

    exam_ids: tuple[int, ...] = ()
    procedure_ids: tuple[int, ...] = ()
    locations: frozenset[int] = frozenset()
    rooms: frozenset[int] = frozenset()


def find_slots(
    *,
    site: Site,
    wish: Wish,
    at: datetime,
    since: datetime | None = None,
    until: datetime | None = None,
    count: int = ALTERNATIVES_MAX,
    spread: bool = False,
    sooner: bool = True,
) -> list[Offer]:
    """The first places for what is wished for, over days and locations, each with what it lacks. Writes nothing.

    From `since` (now, where it is not said) up to `until`, and no further than the site books
    ahead from there. In order of time; with `sooner` followed by a few that begin before all
    of them but lack something. With `spread` they lie apart, for a person to choose from.

    Raises UnknownExam, and WrongState where nothing, too much, or exams of several patients are asked for.
    """
    return _found(
        site,
        _asked(site, wish, at=at),
        at=at,
        since=since,
        until=until,
        count=count,
        spread=spread,
        sooner=sooner,
    )


def _found(
    site: Site,
    asked: _Asked,
    *,
    at: datetime,
    since: datetime | None = None,
    until: datetime | None = None,
    count: int,
    spread: bool = False,
    sooner: bool = True,
) -> list[Offer]:
    first = max(at, since or at)
    ahead = timedelta(days=policies_of(site).booking_days_ahead)
    last = min(first + ahead, until or first + ahead)
    count = min(count, SLOTS_MAX)
    found: list[Offer] = []
    for end in sorted({min(first + timedelta(days=FIRST_LOOK_DAYS), last), last}):
        search = _search(site, asked, at=at, since=first, until=end)
        found = search.offers(since=first, until=end, count=count, spread=spread, sooner=sooner)
        if sum(not any(lack.waits for lack in offer.lacks) for offer in found) >= count:
            break
    return found


@transaction.atomic
def hold(
    *,
    site: Site,
    wish: Wish,
    places: Sequence[Place],
    at: datetime,
    by: str,
    minutes: int | None = None,
) -> Hold:
    """Keep places for a while, one for each exam or procedure of the wish and in its order: all of them or none.

    Of a place only room and start are read; who does it, the seat, and who goes along are
    filled in, and what is lacking is kept with the hold. It ends after `minutes` (as the
    site's policies say, where they are not said). An earlier hold of the same exams is let go.

    Raises UnknownExam, WrongState, PlaceTaken (with others that are free) and PlaceUnfit.
    """
    for exam_id in sorted(wish.exam_ids):
        check_bookable(locked_exam(exam_id))
    asked = _asked(site, wish, at=at)
    if len(places) != len(asked.asks):
        raise WrongState("Choose one place for each exam.")
    since, until = min(p.start for p in places), max(p.start for p in places) + timedelta(days=1)
    search = _search(site, asked, at=at, since=since, until=until)
    offer = search.exactly(places)
    if isinstance(offer, Unfit):
        refusal = PlaceTaken if offer.taken else PlaceUnfit
        raise refusal(f"Nothing was held: {offer.words}.", _alternatives(site, asked, at=at, since=since))
    company_of = site.pk if offer.along else None
    _lock([part.place for part in offer.parts], asked.exams, company_of=company_of)
    _let_go_of(asked, at=at, by=by)
    length = min(minutes or policies_of(site).hold_minutes, HOLD_MINUTES_MAX)
    try:
        held = actions.insert_hold(
            site_id=site.pk,
            places=_to_hold(offer, asked),
            told=_told(offer, search),
            lacks=[lack.words for lack in offer.lacks],
            until=at + timedelta(minutes=length),
            at=at,
            by=by,
        )
    except SlotTaken as lost:
        raise PlaceTaken(
            f"Nothing was held: somebody else has just taken the {lost.what}.",
            _alternatives(site, asked, at=at, since=since),
        ) from lost
    _tell_hold(held, FactKind.PLACE_HELD, asked.exams, at=at, by=by)
    return held


@transaction.atomic
def book(
    *, site: Site, hold_id: int, at: datetime, by: str, exam_ids: Sequence[int] | None = None
) -> list[Booking]:
    """Make what is held a booking, every part of it or none; exams that had a place are moved.

    `exam_ids` says for which exams, in the order in which the places were held, where they were
    held for nobody yet.

    Raises UnknownHold, HoldOver, UnknownExam, WrongState, and PlaceTaken where the patient is elsewhere then.
    """
    keys = list(
        Booking.objects.filter(site=site, hold=hold_id, state=BookingState.HELD)
        .order_by("pk")
        .values_list("exam_id", flat=True)
    )
    wanted = [one or other for one, other in zip(keys, exam_ids or keys, strict=False)]
    exams = {key: locked_exam(key) for key in sorted(key for key in wanted if key is not None)}
    _lock([actions.place_of(b) for b in Booking.objects.filter(hold=hold_id)], tuple(exams.values()))
    held = _standing_hold(site, hold_id, at=at)
    # Locked: whoever meets a hold that has run out takes its places away, by a porter's way also from another room.
    standing = held.bookings.select_for_update(of=("self",)).select_related("room")
    bookings = list(standing.filter(state=BookingState.HELD).order_by("pk"))
    if not bookings or len(bookings) != len(keys) or any(b.room.retired for b in bookings):
        raise HoldOver("That place is not in use any more. Look for another one.")
    if None in wanted or len(wanted) != len(bookings) or any(e.site_id != site.pk for e in exams.values()):
        raise WrongState("Say for which exam each place is to be booked.")
    made = [
        _book_one(booking, exams[exam_id], at=at, by=by)
        for booking, exam_id in zip(bookings, wanted, strict=True)
        if exam_id is not None
    ]
    actions.end_hold(held, HoldState.BOOKED, at=at, by=by)
    return made


def _book_one(booking: Booking, exam: Exam, *, at: datetime, by: str) -> Booking:
    check_bookable(exam)
    before = live_booking(exam.pk)
    if before:
        actions.release(before, at=at, why="moved" if before.state == BookingState.BOOKED else "booked anew")
    try:
        made = actions.confirm(booking, exam=exam, at=at, by=by, why=("chosen from the free places",))
    except SlotTaken as lost:
        raise PlaceTaken(
            f"Exam {exam.accession} was not booked: the {lost.what} is taken at that time.",
        ) from lost
    if before and before.ended_why == "moved":
        data: dict[str, Any] = {"from": as_told(before), "to": as_told(made)}
        tell_booking(exam, FactKind.EXAM_MOVED, made, at=at, by=by, data=data)
    else:
        tell_booking(exam, FactKind.EXAM_BOOKED, made, at=at, by=by, data=as_told(made))
    settle_no_place(exam, at=at, by=by, how="booked")
    return made


@transaction.atomic
def let_go(*, site: Site, hold_id: int, at: datetime, by: str) -> None:
    """Give a held place back before its time is over. Over already: nothing changes. Raises UnknownHold."""
    held = actions.lock_hold(site_id=site.pk, hold_id=hold_id)
    if held is None:
        raise UnknownHold("There is no such held place here.")
    if held.state == HoldState.HELD:
        _end(held, HoldState.LET_GO, at=at, by=by)


def end_expired(*, site: Site, at: datetime) -> int:
    """Take away places whose time to decide is over; how many. Nobody waits for this: they take nothing any more."""
    keys = Hold.objects.filter(site=site, state=HoldState.HELD, until__lte=at).order_by("until")
    ended = 0
    for hold_id in list(keys.values_list("pk", flat=True)[:EXPIRED_AT_ONCE_MAX]):
        with transaction.atomic():
            held = actions.lock_hold(site_id=site.pk, hold_id=hold_id)
            if held and held.state == HoldState.HELD and held.until <= at:
                _end(held, HoldState.EXPIRED, at=at, by=BY_RULE)
                ended += 1
    return ended


def find_hold(*, site: Site, hold_id: int) -> Hold:
    """A hold of this site, whatever became of it. Raises UnknownHold."""
    held = Hold.objects.filter(site=site, pk=hold_id).first()
    if held is None:
        raise UnknownHold("There is no such held place here.")
    return held


# -- reading ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Asked:
    """What is wished for, read: the exams there are, and what each needs, in one order."""

    asks: tuple[Ask, ...]
    exams: tuple[Exam, ...]
    wish: Wish

    @property
    def patient_id(self) -> int | None:
        """Whose exams they are; None where nobody is known yet."""
        return self.exams[0].patient_id if self.exams else None


def _asked(site: Site, wish: Wish, *, at: datetime) -> _Asked:
    number = len(wish.exam_ids) + len(wish.procedure_ids)
    if not 1 <= number <= ASKS_MAX or (wish.exam_ids and wish.procedure_ids):
        raise WrongState(f"Between one and {ASKS_MAX} exams are planned together.")
    known = {
        exam.pk: exam
        for exam in Exam.objects.select_related("site", "order", "procedure", "patient").filter(
            site=site, pk__in=wish.exam_ids
        )
    }
    exams = tuple(known[key] for key in wish.exam_ids if key in known)
    if len(exams) != len(wish.exam_ids) or len(known) != len(wish.exam_ids):
        raise UnknownExam("There is no such exam here.")
    if len({exam.patient_id for exam in exams}) > 1:
        raise WrongState("Only exams of one patient are planned together.")
    procedures = {p.pk: p for p in Procedure.objects.filter(site=site, pk__in=wish.procedure_ids)}
    if set(procedures) != set(wish.procedure_ids):
        raise UnknownExam("There is no such procedure here.")
    asks = asks_of(site=site, exams=exams, procedures=[procedures[pk] for pk in wish.procedure_ids], at=at)
    return _Asked(asks, exams, wish)


def _search(site: Site, asked: _Asked, *, at: datetime, since: datetime, until: datetime) -> Search:
    department, busy = department_of(
        site=site,
        since=since - EDGE,
        until=until + EDGE,
        cleaning=timedelta(minutes=policies_of(site).cleaning_minutes),
        without_holds=_holds_of(asked, at=at),
        at=at,
    )
    wish = asked.wish
    department = replace(
        department,
        rooms=tuple(
            room
            for room in department.rooms
            if (not wish.locations or room.location in wish.locations)
            and (not wish.rooms or room.room_id in wish.rooms)
        ),
    )
    patient_busy = busy.get(asked.patient_id, ()) if asked.patient_id is not None else ()
    asks = [
        replace(ask, need=replace(ask.need, until=until, patient_busy=patient_busy)) for ask in asked.asks
    ]
    helpers = helpers_of(site=site, asks=asks, since=since - EDGE, until=until + EDGE, at=at)
    return Search(department, asks, helpers)


def _holds_of(asked: _Asked, *, at: datetime) -> list[int]:
    """Holds of the same exams: they are let go when another place is held, so they are in nobody's way."""
    if not asked.exams:
        return []
    found = Booking.objects.filter(exam__in=asked.exams, state=BookingState.HELD, held_until__gt=at)
    return sorted({key for key in found.values_list("hold_id", flat=True) if key is not None})


def _alternatives(site: Site, asked: _Asked, *, at: datetime, since: datetime) -> list[Proposal]:
    """Free places from the time that was wanted; of a visit where it begins."""
    found = _found(site, asked, at=at, since=since, count=ALTERNATIVES_MAX, sooner=False)
    return [Proposal(o.parts[0].place, tuple(lack.words for lack in o.lacks)) for o in found]


# -- writing ---------------------------------------------------------------------------------------


def _lock(places: Sequence[Place], exams: Sequence[Exam], *, company_of: int | None = None) -> None:
    """The places, and those that the exams have or hold already, before anything of them is written."""
    theirs = Booking.objects.filter(exam__in=exams, state__in=OCCUPYING)
    every = [*places, *(actions.place_of(booking) for booking in theirs)]
    actions.lock_places(
        room_ids=[place.room_id for place in every],
        technologist_ids=[place.technologist_id for place in every],
        patient_ids=[exam.patient_id for exam in exams],
        company_of=company_of,
    )


def _standing_hold(site: Site, hold_id: int, *, at: datetime) -> Hold:
    held = actions.lock_hold(site_id=site.pk, hold_id=hold_id)
    if held is None:
        raise UnknownHold("There is no such held place here.")
    if held.state == HoldState.BOOKED:
        raise HoldOver("That place is booked already.")
    if held.state != HoldState.HELD or held.until <= at:
        raise HoldOver("That place is not held any more: the time to decide is over. Look for one again.")
    return held


def _let_go_of(asked: _Asked, *, at: datetime, by: str) -> None:
    if not asked.exams:
        return
    keys = Booking.objects.filter(exam__in=asked.exams, state=BookingState.HELD).values_list("hold_id")
    for hold_id in sorted({key for (key,) in keys if key is not None}):
        held = actions.lock_hold(site_id=asked.exams[0].site_id, hold_id=hold_id)
        if held and held.state == HoldState.HELD:
            _end(held, HoldState.EXPIRED if held.until <= at else HoldState.LET_GO, at=at, by=by)


def _end(held: Hold, state: HoldState, *, at: datetime, by: str) -> None:
    exams = list(Exam.objects.filter(site=held.site_id, accession__in=[told["key"] for told in held.places]))
    actions.end_hold(held, state, at=at, by=by)
    _tell_hold(held, FactKind.HOLD_ENDED, exams, at=at, by=by)


def _tell_hold(held: Hold, kind: FactKind, exams: Sequence[Exam], *, at: datetime, by: str) -> None:
    """One fact an exam; one for the places where they are held for nobody yet."""
    data = {"hold": held.pk, "until": held.until.isoformat(), "places": held.places, "state": held.state}
    for exam in exams or (None,):
        record(
            site_id=held.site_id,
            kind=kind,
            at=at,
            by=by,
            accession=exam.accession if exam else "",
            patient=exam.patient_id if exam else None,
            room=held.places[0]["room"],
            data=data,
            simulated=bool(exam and exam.simulated),
        )


def _to_hold(offer: Offer, asked: _Asked) -> list[ToHold]:
    """The places in the order of the wish; whoever goes along belongs to the first or last exam of the visit."""
    exams = {exam.accession: exam for exam in asked.exams}
    first, last = offer.parts[0].ask.key, offer.parts[-1].ask.key
    company: dict[str, list[Company]] = {}
    for one in offer.along:
        porter = one.going in (Going.FETCH, Going.RETURN)
        company.setdefault(last if one.going is Going.RETURN else first, []).append(
            Company(
                one.going,
                one.span,
                porter_id=one.helper.key if porter else None,
                companion_id=None if porter else one.helper.key,
            )
        )
    parts = {part.ask.key: part for part in offer.parts}
    return [
        ToHold(
            parts[ask.key].place,
            exams.get(ask.key),
            asked.patient_id,
            tuple(company.get(ask.key, ())),
        )
        for ask in asked.asks
    ]


def _told(offer: Offer, search: Search) -> list[dict[str, Any]]:
    names = {t.technologist_id: t.code for t in search.department.technologists or ()}
    along = [{"going": one.going.value, "who": one.helper.name} for one in offer.along]
    return [
        {
            "key": part.ask.key,
            "room": search.rooms[part.place.room_id].code,
            "start": part.place.start.isoformat(),
            "end": part.place.end.isoformat(),
            "here": part.here_at.isoformat(),
            "technologist": names.get(part.place.technologist_id or 0),
            "along": along if number == 0 else [],
        }
        for number, part in enumerate(offer.parts)
    ]
