"""Writing to rooms what people say of them. Call inside a transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from xraydesk.lib.text import shortened
from xraydesk.rooms.models import PlannedClosure, Room, RoomNote

NOTE_LENGTH_MAX = 500
REASON_LENGTH_MAX = 200


def write_note(room: Room, *, text: str, at: datetime, by: str) -> RoomNote:
    """Leave a word about a room; what is longer than NOTE_LENGTH_MAX is cut."""
    return RoomNote.objects.create(
        site_id=room.site_id, room=room, at=at, by=by, text=shortened(text.strip(), NOTE_LENGTH_MAX)
    )


def set_down(room: Room, *, until: datetime | None, reason: str) -> None:
    """The room cannot be used until a time, or until somebody says that it is ready again."""
    room.state = Room.State.DOWN
    room.down_until = until
    room.down_reason = shortened(reason.strip(), REASON_LENGTH_MAX)
    room.save(update_fields=["state", "down_until", "down_reason"])


def set_ready(room: Room) -> None:
    """The room can be used again."""
    room.state = Room.State.READY
    room.down_until = None
    room.down_reason = ""
    room.save(update_fields=["state", "down_until", "down_reason"])


def plan_closure(room: Room, *, during: Any, reason: str, at: datetime, by: str) -> PlannedClosure:
    """The room will not be used for a while. `during` is a range of moments."""
    return PlannedClosure.objects.create(
        site_id=room.site_id,
        room=room,
        during=during,
        reason=shortened(reason.strip(), REASON_LENGTH_MAX),
        at=at,
        by=by,
    )


def end_closure(closure: PlannedClosure, *, at: datetime, by: str) -> None:
    """The room will be used after all."""
    closure.ended_at, closure.ended_by = at, by
    closure.save(update_fields=["ended_at", "ended_by"])
