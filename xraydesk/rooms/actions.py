"""Writing to rooms what people say of them. Call inside a transaction."""

from __future__ import annotations

from datetime import datetime

from xraydesk.lib.text import shortened
from xraydesk.rooms.models import Room, RoomNote

NOTE_LENGTH_MAX = 500


def write_note(room: Room, *, text: str, at: datetime, by: str) -> RoomNote:
    """Leave a word about a room; what is longer than NOTE_LENGTH_MAX is cut."""
    return RoomNote.objects.create(
        site_id=room.site_id, room=room, at=at, by=by, text=shortened(text.strip(), NOTE_LENGTH_MAX)
    )
