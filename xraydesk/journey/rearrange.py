"""Several exams change places together: all of it or nothing, and all of it can be taken back.

What is accepted was computed a moment ago and read by a person. Here it is checked against the
day as it is now, by the same rules by which any plan is judged, before anything is written.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from xraydesk.access.models import Site
from xraydesk.contact.actions import give_notice, take_back
from xraydesk.contact.rules import due_after, moved_text
from xraydesk.facts.kinds import FactKind
from xraydesk.journey.book import (
    as_told,
    ask_for_place,
    has_begun,
    locked_exam,
    settle_no_place,
    tell_booking,
)
from xraydesk.journey.errors import BoardChanged, WrongState
from xraydesk.journey.fetch import plan_transport
from xraydesk.journey.planned_day import SLACK_MINUTES, Event, PlannedDay, day_of, later
from xraydesk.journey.staff_state import mark_gone
from xraydesk.lib import clock
from xraydesk.orders.actions import set_booking_blocked
from xraydesk.orders.models import Exam
from xraydesk.orders.states import TriageState
from xraydesk.scheduling import actions
from xraydesk.scheduling.actions import SlotTaken
from xraydesk.scheduling.engine.checker import broken_rule
from xraydesk.scheduling.engine.insertion import with_moves
from xraydesk.scheduling.engine.place import Place
from xraydesk.scheduling.engine.problem import Placed
from xraydesk.scheduling.models import Booking, Rearrangement
from xraydesk.scheduling.queries import live_booking
from xraydesk.scheduling.rules import IN_HOUSE_CLASSES
from xraydesk.scheduling.states import BookingState

MOVES_MAX = 60
"""So many exams change places at once at most; a coordinator would not read more."""


@dataclass(frozen=True)
class WantedMove:
    """One exam of what is accepted: the booking that it had when it was proposed (None: it had no place), and where it goes.

    `after` None takes its place away; it is asked for a new one.
    """

    accession: str
    booking_id: int | None
    after: Placed | None


@transaction.atomic
def accept(
    *,
    site: Site,
    moves: Sequence[WantedMove],
    asked: str,
    why: Iterable[str],
    at: datetime,
    by: str,
    start: datetime,
    wanted: tuple[str, ...] = (),
    event: Event | None = None,
    locations: Collection[int] = (),
    keep: Collection[str] = (),
) -> Rearrangement:
    """Do what was proposed: every exam, room, technologist, porter's job and notice, or nothing.

    `start` is the moment from which the proposal counted its minutes, `wanted`, `event`, `locations` and `keep`
    what it was asked for with: it is judged by the same day. The time of who is let in counts as given, whoever accepts it: the EHR
    is told of it. Facts are written for each exam; the messages to the
    EHR and the pages follow from them. Patients who were told a time are to be told the new one after the
    undo window.

    Raises BoardChanged where the board is not any more what it was when this was proposed.
    """
    if not moves or len(moves) > MOVES_MAX or len({m.accession for m in moves}) != len(moves):
        raise BoardChanged("Nothing that could be done was proposed. Ask for a new proposal.")
    exams = _locked(site, [m.accession for m in moves])
    before = {m.accession: _unchanged(exams[m.accession], m) for m in moves}
    day = day_of(
        site=site,
        at=at,
        wanted=wanted,
        event=event,
        slack_minutes=SLACK_MINUTES,
        locations=locations,
        keep=keep,
    )
    shifted = _since(moves, start, day)
    places = _judged(day, shifted)
    # Who keeps room, time and technologist is part of what was judged, and nothing of it is to be written.
    moves = [m for m in moves if not _is_where_it_was(before[m.accession], places.get(m.accession))]
    if not moves:
        raise BoardChanged("Everybody stands there already. Ask for a new proposal.")
    before = {m.accession: before[m.accession] for m in moves}
    _hold(exams, before, places)
    for booking in before.values():
        if booking is not None:
            actions.release(booking, at=at, why=f"rearranged: {asked}")
    after: dict[str, Booking] = {}
    for move in moves:
        if place := places.get(move.accession):
            after[move.accession] = _insert(
                exams[move.accession],
                place,
                before[move.accession],
                why=why,
                at=at,
                by=by,
                given=True if move.accession in wanted else None,
            )
    if event and event.gone:
        mark_gone(site=site, code=event.gone, at=at, by=by)
    done = [(exams[m.accession], before[m.accession], after.get(m.accession)) for m in moves]
    return keep_and_tell(site=site, moves=done, asked=asked, why=why, at=at, by=by)


def keep_and_tell(
    *,
    site: Site,
    moves: Sequence[tuple[Exam, Booking | None, Booking | None]],
    asked: str,
    why: Iterable[str],
    at: datetime,
    by: str,
) -> Rearrangement:
    """Keep what was done to exams together (each with its old and its new place), so that it can be undone, and tell of it.

    Facts, porters' jobs and patients' notices; an exam without a new place waits for a person.
    """
    kept = actions.insert_rearrangement(
        site_id=site.pk,
        asked=asked,
        why=why,
        moves=[
            {"accession": exam.accession, "before": _kept(old), "after": _kept(new)}
            for exam, old, new in moves
        ],
        at=at,
        by=by,
    )
    for exam, old, new in moves:
        _tell(exam, old, new, kept=kept, at=at, by=by)
        if old and new:
            _notify(exam, old, new, at=at)
    return kept


@transaction.atomic
def undo(*, site: Site, rearrangement_id: int, at: datetime, by: str) -> Rearrangement:
    """Put every exam back where it was, as long as nothing has begun and nobody moved them since.

    Notices that have not gone yet do not go; whoever was told already is told again. The EHR is
    told a second time, as of any move.

    Raises WrongState (undone already, begun, moved since) and BoardChanged (an old place has gone).
    """
    kept = Rearrangement.objects.filter(site=site, pk=rearrangement_id).first()
    if kept is None:
        raise WrongState("There is nothing to undo.")
    exams = _locked(site, [m["accession"] for m in kept.moves])
    now: dict[str, Booking | None] = {}
    for move in kept.moves:
        exam = exams[move["accession"]]
        now[exam.accession] = booking = live_booking(exam.pk)
        if has_begun(exam):
            raise WrongState(
                f"Exam {exam.accession} has begun, so this cannot be undone as a whole. Move the others by hand."
            )
        if (booking.pk if booking else None) != (move["after"] or {}).get("booking"):
            raise WrongState(f"Exam {exam.accession} was moved since. Move the others by hand.")
    if not actions.mark_undone(kept, at=at, by=by):
        raise WrongState("That was undone already.")
    kept.refresh_from_db()
    places = {m["accession"]: _place_of(m["before"]) for m in kept.moves if m["before"]}
    _hold(exams, now, places)
    for booking in now.values():
        if booking is not None:
            actions.release(booking, at=at, why="undone")
    for move in kept.moves:
        exam, old = exams[move["accession"]], now[move["accession"]]
        new = None
        if place := places.get(exam.accession):
            new = _insert(
                exam, place, old, why=move["before"]["why"], at=at, by=by, given=move["before"]["given"]
            )
        _tell(exam, old, new, kept=kept, at=at, by=by)
        told_nobody = take_back(exam_id=exam.pk, at=at, by=by) > 0
        if old and new and not told_nobody:
            _notify(exam, old, new, at=at)
    return kept


# -- reading the board ------------------------------------------------------------------------------


def _locked(site: Site, accessions: Sequence[str]) -> dict[str, Exam]:
    """The exams, locked in one order so that no two rearrangements wait for each other in a circle."""
    keys = (
        Exam.objects.filter(site=site, accession__in=accessions).order_by("pk").values_list("pk", flat=True)
    )
    found = [locked_exam(pk) for pk in keys]
    if len(found) != len(accessions):
        raise BoardChanged("One of these exams is not here any more. Ask for a new proposal.")
    return {exam.accession: exam for exam in found}


def _unchanged(exam: Exam, move: WantedMove) -> Booking | None:
    """The exam's booking, where it is the one that was seen. Raises BoardChanged."""
    booking = live_booking(exam.pk)
    if exam.triage != TriageState.ACCEPTED or has_begun(exam):
        raise BoardChanged(f"Exam {exam.accession} has begun, is held or was cancelled meanwhile.")
    if booking is not None and booking.state == BookingState.NO_SHOW and move.booking_id is None:
        return booking
    if (booking.pk if booking else None) != move.booking_id:
        raise BoardChanged(f"Somebody placed or moved exam {exam.accession} meanwhile.")
    if booking is not None and booking.state != BookingState.BOOKED:
        raise BoardChanged(f"The place of exam {exam.accession} is {booking.state} now.")
    return booking


def _since(moves: Sequence[WantedMove], start: datetime, day: PlannedDay) -> list[WantedMove]:
    """The same moves, in minutes of the day as it is read now."""
    by = int((start - day.start) / timedelta(minutes=1))
    return [replace(m, after=later(m.after, by)) if m.after else m for m in moves]


def _judged(day: PlannedDay, moves: Sequence[WantedMove]) -> dict[str, Place]:
    """Where each exam goes, where the whole plan still keeps every rule. Raises BoardChanged with the rule."""
    known = {e.id for e in day.told.problem.exams}
    lost = next((m.accession for m in moves if m.accession not in known), None)
    if lost:
        raise BoardChanged(f"Exam {lost} cannot be moved any more.")
    past = next((m.accession for m in moves if m.after and m.after.start < 0), None)
    if past:
        raise BoardChanged(f"The time proposed for exam {past} has passed. Ask for a new proposal.")
    plan = with_moves(day.told.problem, day.told.plan, {m.accession: m.after for m in moves})
    broken = broken_rule(day.told.problem, plan)
    if broken:
        raise BoardChanged(f"The board has changed: {broken}")
    return {m.accession: day.place(m.after) for m in moves if m.after}


def _is_where_it_was(booking: Booking | None, place: Place | None) -> bool:
    """Whether room, seat, time and technologist are those that it is booked with; who fetches may differ."""
    booked = booking is not None and booking.state == BookingState.BOOKED
    return bool(booked and booking and actions.place_of(booking) == place)


# -- writing ----------------------------------------------------------------------------------------


def _hold(exams: dict[str, Exam], before: dict[str, Booking | None], after: dict[str, Place]) -> None:
    old = [actions.place_of(b) for b in before.values() if b is not None]
    every = [*old, *after.values()]
    actions.lock_places(
        room_ids=[p.room_id for p in every],
        technologist_ids=[p.technologist_id for p in every],
        patient_ids=[e.patient_id for e in exams.values()],
    )


def _insert(
    exam: Exam,
    place: Place,
    before: Booking | None,
    *,
    why: Iterable[str],
    at: datetime,
    by: str,
    given: bool | None = None,
) -> Booking:
    try:
        return actions.insert_booking(
            exam=exam,
            place=place,
            at=at,
            by=by,
            why=why,
            time_was_given=bool(before and before.time_was_given) if given is None else given,
            arrived_at=before.arrived_at if before else None,
        )
    except SlotTaken as lost:
        raise BoardChanged(
            f"The {lost.what} for exam {exam.accession} was taken meanwhile. Nothing was changed."
        ) from lost


def _kept(booking: Booking | None) -> dict[str, Any] | None:
    """A booking as a rearrangement keeps it: enough to put it back."""
    if booking is None:
        return None
    return as_told(booking) | {
        "booking": booking.pk,
        "room_id": booking.room_id,
        "technologist_id": booking.technologist_id,
        "seat": booking.seat,
    }


def _place_of(kept: dict[str, Any]) -> Place:
    return Place(
        room_id=kept["room_id"],
        start=datetime.fromisoformat(kept["start"]),
        end=datetime.fromisoformat(kept["end"]),
        technologist_id=kept["technologist_id"],
        seat=kept["seat"],
    )


def _tell(
    exam: Exam, old: Booking | None, new: Booking | None, *, kept: Rearrangement, at: datetime, by: str
) -> None:
    """The fact of one exam's change, and its porter's job with it."""
    also = {"rearrangement": kept.pk, "asked": kept.asked}
    if new is not None and old is not None:
        data = {"from": as_told(old), "to": as_told(new)} | also
        tell_booking(exam, FactKind.EXAM_MOVED, new, at=at, by=by, data=data)
    elif new is not None:
        tell_booking(exam, FactKind.EXAM_BOOKED, new, at=at, by=by, data=as_told(new) | also)
    elif old is not None:
        data = as_told(old) | also | {"why": kept.asked}
        tell_booking(exam, FactKind.BOOKING_RELEASED, old, at=at, by=by, data=data)
    if new is not None:
        settle_no_place(exam, at=at, by=by, how="placed together with others")
    elif kept.undone_at is None:
        ask_for_place(exam, why=f"Lost its place: {kept.asked}.", at=at)
    else:
        set_booking_blocked(exam, "Its place was taken back together with others. Place it by hand.")
    plan_transport(exam_id=exam.pk, at=at)


def _notify(exam: Exam, old: Booking, new: Booking, *, at: datetime) -> None:
    """Whoever was told a time, and is not here yet, is told the new one once it cannot be undone in a moment."""
    told = exam.order.patient_class not in IN_HOUSE_CLASSES and new.arrived_at is None
    if not told or old.during.lower == new.during.lower:
        return
    zone = exam.site.timezone
    give_notice(
        exam=exam,
        text=moved_text(
            before=clock.in_zone(old.during.lower, zone),
            after=clock.in_zone(new.during.lower, zone),
            place=f"{new.room.name or new.room.code}, {new.room.location.name}",
        ),
        at=at,
        due_at=due_after(at),
    )
