"""What the engine is told of a department and of an exam: frozen, no database, moments in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from xraydesk.scheduling.engine.spans import Span

PORTABLE = "portable"
"""The kind of room that goes to the ward."""

EMERGENCY_WORDS = frozenset({"ed", "emergency", "trauma"})
"""A room whose kind or abilities say one of these is kept first for the emergency department."""


@dataclass(frozen=True)
class Kept:
    """A stretch of a room that is kept for some; a place in it is anybody's once its hour is so near (`release`)."""

    span: Span
    whom: frozenset[str]
    release: timedelta = timedelta()

    def until(self, start: datetime) -> datetime:
        """When a place that begins then is released; the end of the stretch where it never is."""
        return max(start, self.span.start) - self.release if self.release else self.span.end

    def left(self, at: datetime) -> Span:
        """What of it is still kept then; empty once all of it is released or over."""
        return Span(min(max(self.span.start, at + self.release), self.span.end), self.span.end)


@dataclass(frozen=True)
class RoomTimes:
    """A room in the time looked at. `busy` has one tuple a seat.

    `open` is hours less closures; `down`, the time it is out of order, is still in it.
    """

    room_id: int
    code: str
    kind: str
    open: tuple[Span, ...]
    busy: tuple[tuple[Span, ...], ...] = ((),)
    down: Span | None = None
    emergency: bool = False
    sort: int = 0
    location: int = 0
    """The building: whoever is booked in one is not sent to another."""
    kept: tuple[Kept, ...] = ()
    published: tuple[Span, ...] | None = None
    """When outpatients are booked ahead; None for whenever it is open."""
    slots: tuple[datetime, ...] = ()
    """When published places begin."""

    @property
    def portable(self) -> bool:
        """True where it goes to the patient."""
        return self.kind == PORTABLE


@dataclass(frozen=True)
class Work:
    """A stretch in which a technologist is taken, and where."""

    span: Span
    room_id: int


@dataclass(frozen=True)
class TechnologistTimes:
    """A technologist in the time looked at: when on, and what is taken of it."""

    technologist_id: int
    code: str
    name: str
    skills: frozenset[str]
    on: tuple[Span, ...]
    work: tuple[Work, ...] = ()
    away: Span | None = None
    """Gone, though on: somebody who went home. Still in `on`, as `down` is in a room's hours."""


@dataclass(frozen=True)
class Department:
    """Rooms and technologists of one site. `technologists` is None where the site names none: not limited."""

    zone: str
    rooms: tuple[RoomTimes, ...]
    technologists: tuple[TechnologistTimes, ...] | None = None
    cleaning: timedelta = timedelta()


@dataclass(frozen=True)
class Need:
    """What one exam needs.

    `room_kinds` empty means any room but a portable one. `wished` is the time to keep to:
    that time or the next free one after it, never before. `prompt` takes the earliest place
    there is, whatever the room. `travel` is how long it takes to bring the patient, and
    does not count for a portable unit.
    """

    now: datetime
    until: datetime
    minutes: int
    room_kinds: frozenset[str] = frozenset()
    skills: frozenset[str] = frozenset()
    wished: datetime | None = None
    prompt: bool = False
    emergency: bool = False
    travel: timedelta = timedelta()
    patient_busy: tuple[Span, ...] = ()
    claims: frozenset[str] = frozenset()
    """Whose kept time it may use, in the words of the site file."""
    ahead: bool = False
    """An outpatient who is booked ahead, into published places where a room has some."""
    preparation: timedelta = timedelta()
    """So long before the exam the patient is here already."""

    @property
    def length(self) -> timedelta:
        """How long the exam takes."""
        return timedelta(minutes=self.minutes)

    def suits(self, room: RoomTimes) -> bool:
        """True where the exam can be done in that kind of room."""
        return room.kind in self.room_kinds if self.room_kinds else not room.portable
