"""A place in the plan, as the engine proposes it and a person asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Place:
    """A room, a seat in it, a technologist (None where none is needed) and a half-open time, aware and UTC."""

    room_id: int
    start: datetime
    end: datetime
    technologist_id: int | None = None
    seat: int = 0


@dataclass(frozen=True)
class Proposal:
    """A place with the reasons for it, in words a coordinator would use."""

    place: Place
    why: tuple[str, ...] = ()
