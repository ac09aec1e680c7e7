"""Free places as Slots. None is stored: a Slot is a room, a moment and a procedure, and whether it is free is found anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from xraydesk.access.models import Site
from xraydesk.journey.ahead import Wish, find_slots
from xraydesk.lib import clock
from xraydesk.links.fhir import plan_codec
from xraydesk.links.fhir.conditions import BadValue, compared, key_of, token_of
from xraydesk.links.fhir.elements_codec import Resource, read_reference, with_meta
from xraydesk.links.fhir.plan_rows import MINUTE, slot_id, slot_start
from xraydesk.links.fhir.rows import Shown
from xraydesk.orders.models import Procedure
from xraydesk.rooms.models import Room
from xraydesk.scheduling.engine.place import Place

MINUTE_DIGITS_MAX = 8
"""A minute after this many digits lies centuries ahead."""


@dataclass(frozen=True)
class SlotName:
    """What the id of a Slot says: room and procedure by key, and when it begins."""

    room: int
    start: datetime
    procedure: int

    def __str__(self) -> str:
        return slot_id(self.room, self.start, self.procedure)


def read_name(text: str) -> SlotName | None:
    """The slot that an id names; None where it names none."""
    room, _, rest = text.partition("-")
    minute, _, procedure = rest.partition("-")
    keys = [key_of(part) for part in (room, minute, procedure)]
    if None in keys or len(minute) > MINUTE_DIGITS_MAX:
        return None
    return SlotName(int(room), slot_start(int(minute)), int(procedure))


def slot_of(place: Place, procedure: Procedure, zone: str, *, status: str = "free") -> Resource:
    """A place as a Slot."""
    return with_meta(
        plan_codec.slot(
            plan_codec.SlotFacts(
                id=str(SlotName(place.room_id, place.start, procedure.pk)),
                schedule_id=str(place.room_id),
                status=status,
                code=procedure.code,
                code_system=procedure.system,
                text=procedure.text,
                start=clock.in_zone(place.start, zone),
                end=clock.in_zone(place.start + timedelta(minutes=procedure.minutes), zone),
            )
        ),
        None,
    )


def found_slots(site: Site, asked: Mapping[str, Sequence[Sequence[str]]], count: int) -> list[Shown]:
    """The slots that a search asks for, in order of time. Raises BadValue where it does not say which procedure."""
    if "_id" in asked:
        names = [read_name(one) for values in asked["_id"] for one in values]
        return [shown for name in names if name for shown in _read(site, name)]
    statuses = {token_of(one)[1] for values in asked.get("status", ()) for one in values}
    procedures = _procedures(site, asked)
    if statuses and "free" not in statuses:
        return []
    since, until = _between(asked, site.timezone)
    rooms = _rooms(asked)
    if rooms is not None and not rooms:
        return []
    found: list[tuple[Place, Procedure]] = []
    for procedure in procedures:
        found += _free(site, procedure, since=since, until=until, rooms=rooms or frozenset(), count=count)
    found.sort(key=lambda one: (one[0].start, one[0].room_id, one[1].pk))
    return [Shown(slot_of(place, procedure, site.timezone)) for place, procedure in found[:count]]


def _procedures(site: Site, asked: Mapping[str, Sequence[Sequence[str]]]) -> list[Procedure]:
    codes = [token_of(one)[1] for values in asked.get("service-type", ()) for one in values]
    if not codes:
        raise BadValue(
            "needs service-type, the code of a procedure: how long a place must be follows from it"
        )
    return list(Procedure.objects.filter(site=site, code__in=codes, retired=False).order_by("id"))


def _between(
    asked: Mapping[str, Sequence[Sequence[str]]], zone: str
) -> tuple[datetime | None, datetime | None]:
    since: datetime | None = None
    until: datetime | None = None
    for values in asked.get("start", ()):
        for comparison, at in compared(values[0], zone) if values else ():
            if comparison == "gte":
                since = max(since or at, at)
            else:
                until = min(until or at, at)
    return since, until


def _rooms(asked: Mapping[str, Sequence[Sequence[str]]]) -> frozenset[int] | None:
    values = [one for listed in asked.get("schedule", ()) for one in listed]
    if not values:
        return None
    keys = [key_of(read_reference(one, "Schedule") or one) for one in values]
    return frozenset(key for key in keys if key is not None)


def _free(
    site: Site,
    procedure: Procedure,
    *,
    since: datetime | None,
    until: datetime | None,
    rooms: frozenset[int],
    count: int,
) -> list[tuple[Place, Procedure]]:
    at = clock.now()
    if until is not None and until <= max(since or at, at):
        return []  # Nothing is free in the past.
    offers = find_slots(
        site=site,
        wish=Wish(procedure_ids=(procedure.pk,), rooms=rooms),
        at=at,
        since=since,
        until=until,
        count=count,
        sooner=False,
    )
    return [(offer.parts[0].place, procedure) for offer in offers if not offer.lacks]


def _read(site: Site, name: SlotName) -> list[Shown]:
    """One slot by its name: free where the search finds just that place, else busy."""
    procedure = Procedure.objects.filter(site=site, pk=name.procedure).first()
    if procedure is None or not Room.objects.filter(site=site, pk=name.room).exists():
        return []
    end = name.start + timedelta(minutes=procedure.minutes)
    place = Place(name.room, name.start, end)
    free = _free(
        site, procedure, since=name.start, until=name.start + MINUTE, rooms=frozenset({name.room}), count=1
    )
    there = any(one.start == name.start for one, _ in free)
    return [Shown(slot_of(place, procedure, site.timezone, status="free" if there else "busy"))]
