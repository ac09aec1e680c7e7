"""Booking by FHIR after IHE ITI Scheduling: $find (ITI-115), $hold (ITI-116) and $book (ITI-117)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from xraydesk.journey import ahead
from xraydesk.journey.errors import PlaceTaken, PlaceUnfit, Refused
from xraydesk.lib import clock
from xraydesk.links.fhir import interactions, plan_codec, shape_codec, slots
from xraydesk.links.fhir.answers_codec import Entry, Issue, searchset
from xraydesk.links.fhir.callers import Caller
from xraydesk.links.fhir.conditions import key_of
from xraydesk.links.fhir.elements_codec import Resource, may_be_planned, read_moment, read_reference
from xraydesk.links.fhir.operations import parameter
from xraydesk.links.fhir.replies import Refusal, Reply, refuse
from xraydesk.links.fhir.writing import Written, refused_by_step
from xraydesk.orders.models import Exam, Procedure
from xraydesk.rooms.models import Room
from xraydesk.scheduling.engine.ahead import Offer
from xraydesk.scheduling.engine.place import Place
from xraydesk.scheduling.models import Booking
from xraydesk.scheduling.queries import live_booking
from xraydesk.scheduling.states import BookingState

FOUND_USUAL = 10
FOUND_MAX = 60


@dataclass(frozen=True)
class Chosen:
    """An exam and the place that was chosen for it."""

    exam: Exam
    place: Place


def _text(value: Any) -> str:
    """A parameter's value as text: a code, a date, a reference, or the first code of a concept."""
    if isinstance(value, dict):
        codings = value.get("coding") or [value]
        first = codings[0] if isinstance(codings, list) and isinstance(codings[0], dict) else {}
        return str(value.get("reference") or first.get("code") or "")
    return str(value) if isinstance(value, str) else ""


def find(caller: Caller, told: Any, *, base: str, at: datetime) -> Resource:
    """Places that could be had, as Appointments that are proposed: for an order (`based-on`), or for a procedure. Raises Refusal."""
    interactions.kind_for(caller, "Appointment", "search")
    site = caller.member.site
    named = _text(parameter(told, "based-on")) or _text(parameter(told, "referral-number"))
    procedure, wish = None, None
    if named:
        exam = exam_meant(caller, named, "Parameters.parameter")
        procedure, wish = exam.procedure, ahead.Wish(exam_ids=(exam.pk,))
    else:
        code = next((c for n in ("service-type", "visit-type") if (c := _text(parameter(told, n)))), "")
        procedure = Procedure.objects.filter(site=site, code=code, retired=False).first()
        if procedure is None:
            raise refuse(
                422,
                "code-invalid",
                "Name an order, or a procedure of this department.",
                "Parameters.parameter",
            )
        wish = ahead.Wish(procedure_ids=(procedure.pk,))
    offers = _found(caller, told, wish, at=at)
    entries = []
    for offer in offers:
        if procedure is not None and not offer.lacks:
            entries.append(Entry(_proposed(caller, offer.parts[0].place, procedure, told)))
    return searchset(entries, total=len(entries), base=base, here=f"{base}/Appointment/$find", further=None)


def _found(caller: Caller, told: Any, wish: ahead.Wish, *, at: datetime) -> list[Offer]:
    count = parameter(told, "_count") or parameter(told, "count")
    room = caller.key_in(_text(parameter(told, "location-reference")), "Location")
    try:
        return ahead.find_slots(
            site=caller.member.site,
            wish=ahead.Wish(wish.exam_ids, wish.procedure_ids, rooms=frozenset({room} if room else ())),
            at=at,
            since=_moment(told, "start"),
            until=_moment(told, "end"),
            count=min(count, FOUND_MAX) if isinstance(count, int) and count > 0 else FOUND_USUAL,
            sooner=False,
        )
    except Refused as error:
        raise refused_by_step(error, "Parameters") from error


def _moment(told: Any, name: str) -> datetime | None:
    text = _text(parameter(told, name))
    if not text:
        return None
    try:
        at = read_moment(text)
        if at is None or at.tzinfo is None or not may_be_planned(at):
            raise ValueError
    except ValueError:
        raise refuse(400, "value", f"{name} takes a time with its offset.", "Parameters.parameter") from None
    return at


def _proposed(caller: Caller, place: Place, procedure: Procedure, told: Any) -> Resource:
    slot = slots.slot_of(place, procedure, caller.member.site.timezone)
    patient = _text(parameter(told, "patient-reference"))
    return plan_codec.proposed(slot, room_id=str(place.room_id), patient=patient)


def hold(caller: Caller, told: Any, *, at: datetime) -> Reply:
    """Keep a place for an order while somebody makes up their mind: an Appointment that is pending. Raises Refusal."""
    kind = interactions.kind_for(caller, "Appointment", "update")
    held = _hold(caller, _chosen(caller, told, at=at), at=at)
    return interactions.written_reply(caller, kind, "operation", Written(_booking_of(held).pk, True), at=at)


def book(caller: Caller, told: Any, *, at: datetime) -> Reply:
    """Book a place that was chosen, or one that is held (`appointment-reference`). The same again changes nothing.

    Raises Refusal: 409 with free Slots where somebody else has it.
    """
    kind = interactions.kind_for(caller, "Appointment", "update")
    named = _text(parameter(told, "appointment-reference"))
    if named:
        standing = _appointment(caller, named)
        if standing.state == BookingState.BOOKED:
            return interactions.written_reply(caller, kind, "operation", Written(standing.pk, False), at=at)
        made = _book(caller, standing.hold_id, at=at)
        return interactions.written_reply(caller, kind, "operation", Written(made.pk, False), at=at)
    chosen = _chosen(caller, told, at=at)
    before = live_booking(chosen.exam.pk)
    place = chosen.place
    if (
        before
        and before.state == BookingState.BOOKED
        and before.during.lower == place.start
        and before.room_id == place.room_id
    ):
        return interactions.written_reply(caller, kind, "operation", Written(before.pk, False), at=at)
    made = _book(caller, _hold(caller, chosen, at=at), at=at)
    return interactions.written_reply(caller, kind, "operation", Written(made.pk, True), at=at)


def _hold(caller: Caller, chosen: Chosen, *, at: datetime) -> int:
    member = caller.member
    try:
        held = ahead.hold(
            site=member.site,
            wish=ahead.Wish(exam_ids=(chosen.exam.pk,)),
            places=[chosen.place],
            at=at,
            by=member.who,
        )
    except (PlaceTaken, PlaceUnfit) as lost:
        raise _lost(caller, chosen.exam, lost) from lost
    except Refused as error:
        raise refused_by_step(error, "Appointment") from error
    return held.pk


def _book(caller: Caller, hold_id: int | None, *, at: datetime) -> Booking:
    if hold_id is None:
        raise refuse(409, "conflict", "That appointment is not held any more.", "Appointment.status")
    member = caller.member
    try:
        return ahead.book(site=member.site, hold_id=hold_id, at=at, by=member.who)[0]
    except Refused as error:
        raise refused_by_step(error, "Appointment") from error


def _booking_of(hold_id: int) -> Booking:
    return Booking.objects.get(hold=hold_id, state=BookingState.HELD)


def _lost(caller: Caller, exam: Exam, lost: PlaceTaken | PlaceUnfit) -> Refusal:
    """409 with what is free instead; 422 where the place would not do for this exam at all."""
    zone = caller.member.site.timezone
    procedure = exam.procedure
    free = [slots.slot_of(p.place, procedure, zone) for p in lost.alternatives] if procedure else []
    status, code = (409, "conflict") if isinstance(lost, PlaceTaken) else (422, "business-rule")
    return Refusal(status, Issue(code, str(lost), "Appointment.slot"), contained=free)


def exam_meant(caller: Caller, named: str, path: str) -> Exam:
    """The exam of an order that is referred to by its id here. Raises Refusal."""
    key = caller.key_in(named, "ServiceRequest") or key_of(named)
    found = Exam.objects.select_related("procedure").filter(site=caller.member.site, pk=key or 0)
    if caller.patient is not None:
        found = found.filter(patient=caller.patient)
    exam = found.first()
    if exam is None:
        raise refuse(422, "not-found", "There is no such ServiceRequest here; send it first.", path)
    return exam


def _chosen(caller: Caller, told: Any, *, at: datetime) -> Chosen:
    """What an Appointment asks for: its order, whose patient must be its own, and its slot, else its start and room. Raises Refusal."""
    resource = parameter(told, "appointment-resource")
    if resource is None and isinstance(told, dict) and told.get("resourceType") == "Appointment":
        resource = told
    if not isinstance(resource, dict):
        raise refuse(
            400,
            "required",
            "Send Parameters with appointment-resource or appointment-reference.",
            "Parameters.parameter",
        )
    if wrong := shape_codec.issues_of(resource, "Appointment"):
        raise Refusal(400, *wrong)
    based = resource.get("basedOn", [])
    if len(based) != 1:
        raise refuse(422, "required", "An appointment is for one ServiceRequest.", "Appointment.basedOn")
    exam = exam_meant(caller, based[0].get("reference", ""), "Appointment.basedOn[0]")
    actors = [p.get("actor", {}).get("reference", "") for p in resource["participant"]]
    people = [actor for actor in actors if "Patient/" in actor]
    if any(caller.key_in(actor, "Patient") != exam.patient_id for actor in people):
        raise refuse(422, "business-rule", "The order is of another patient.", "Appointment.participant")
    return Chosen(exam, _place(caller, resource, actors))


def _place(caller: Caller, resource: Mapping[str, Any], actors: list[str]) -> Place:
    listed = resource.get("slot", [])
    if listed:
        name = slots.read_name(read_reference(listed[0].get("reference", ""), "Slot", caller.base) or "")
        if name is None or not Room.objects.filter(site=caller.member.site, pk=name.room).exists():
            raise refuse(422, "not-found", "There is no such Slot here.", "Appointment.slot[0]")
        return Place(name.room, name.start, name.start)
    rooms = [caller.key_in(actor, "Location") for actor in actors]
    room = next((key for key in rooms if key is not None), None)
    start = read_moment(resource.get("start", ""))
    if not may_be_planned(start):
        raise refuse(422, "value", "Nobody plans for that year.", "Appointment.start")
    if room is None or start is None or not Room.objects.filter(site=caller.member.site, pk=room).exists():
        raise refuse(422, "required", "Name a Slot, or a start and a Location.", "Appointment.slot")
    return Place(room, clock.in_zone(start, "UTC"), clock.in_zone(start, "UTC"))


def _appointment(caller: Caller, named: str) -> Booking:
    key = caller.key_in(named, "Appointment") or key_of(named)
    found = Booking.objects.filter(site=caller.member.site, pk=key or 0, exam__isnull=False)
    if caller.patient is not None:
        found = found.filter(patient=caller.patient)
    booking = found.first()
    if booking is None:
        raise refuse(
            422,
            "not-found",
            "There is no such Appointment here, or it is held no more.",
            "Parameters.parameter",
        )
    return booking
