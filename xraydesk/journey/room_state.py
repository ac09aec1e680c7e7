"""A room is out of order, or ready again."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction

from xraydesk.facts.actions import record
from xraydesk.facts.kinds import FactKind
from xraydesk.journey.errors import UnknownRoom, WrongState
from xraydesk.orders.models import Exam
from xraydesk.rooms import actions
from xraydesk.rooms.models import Room
from xraydesk.scheduling.queries import booked_between

TOUCHED_MAX = 500
"""No more exams than these are listed for a room that is down."""

FAR_DAYS = 366
"""A room that is down without an end is looked at so far ahead."""


def locked_room(room_id: int) -> Room:
    """A room in use, locked. Raises UnknownRoom."""
    room = (
        Room.objects.select_for_update(no_key=True, of=("self",))
        .select_related("site")
        .filter(pk=room_id, retired=False)
        .first()
    )
    if room is None:
        raise UnknownRoom("There is no such room here.")
    return room


@transaction.atomic
def set_room_down(
    *, room_id: int, at: datetime, by: str, until: datetime | None = None, reason: str = ""
) -> list[Exam]:
    """The room cannot be used; the exams booked there meanwhile, in order of time, for somebody to move.

    Their places stay until somebody moves them; nothing new is proposed there before `until`,
    or before the room is ready again where no time is given.

    Raises UnknownRoom, and WrongState where `until` has passed.
    """
    room = locked_room(room_id)
    if until is not None and until <= at:
        raise WrongState(
            f"{room.code} cannot be down until a time that has passed. Give a later one, or none."
        )
    actions.set_down(room, until=until, reason=reason)
    touched = exams_touched(room, at=at)
    record(
        site_id=room.site_id,
        kind=FactKind.ROOM_DOWN,
        at=at,
        by=by,
        room=room.code,
        data={
            "until": until.isoformat() if until else None,
            "reason": room.down_reason,
            "exams": [exam.accession for exam in touched],
        },
    )
    return touched


@transaction.atomic
def set_room_ready(*, room_id: int, at: datetime, by: str) -> None:
    """The room can be used again. Ready already: nothing changes. Raises UnknownRoom."""
    room = locked_room(room_id)
    if room.state == Room.State.READY:
        return
    actions.set_ready(room)
    record(site_id=room.site_id, kind=FactKind.ROOM_READY, at=at, by=by, room=room.code)


def exams_touched(room: Room, *, at: datetime) -> list[Exam]:
    """The exams booked in a room while it is down, in order of time; none while it is ready. At most TOUCHED_MAX."""
    if room.state != Room.State.DOWN:
        return []
    until = room.down_until or at + timedelta(days=FAR_DAYS)
    if until <= at:
        return []
    found = booked_between(site=room.site, since=at, until=until, room=room)
    return [b.exam for b in found.select_related("exam__patient", "exam__order")[:TOUCHED_MAX] if b.exam]
