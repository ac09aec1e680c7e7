"""A department's day to be planned, and a plan of it: what `xraydesk.plan/1` says, frozen.

Times are whole minutes from the problem's `start`; intervals are half-open pairs `(from, to)`.
Nothing here checks anything: `reading` makes these from untrusted JSON and refuses what breaks
the format, `checker` judges an answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

FETCH_EARLY_MINUTES = 30
"""A fetch ends no more than so long before the exam begins."""

RETURN_LATE_MINUTES = 15
"""A return begins no more than so long after the exam's minutes have ended."""

Interval = tuple[int, int]


@dataclass(frozen=True)
class Room:
    """A room and when it is open. Intervals that touch are not joined."""

    id: str
    open: tuple[Interval, ...]


@dataclass(frozen=True)
class Technologist:
    """Somebody who takes images: shifts and skills."""

    id: str
    on: tuple[Interval, ...]
    skills: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Porter:
    """Somebody who brings patients, and their shifts."""

    id: str
    on: tuple[Interval, ...]


@dataclass(frozen=True)
class Booked:
    """Where an exam stands in the plan now in force, and what it costs to move it from there."""

    room: str
    start: int
    technologist: str | None = None
    per_minute: float = 0.0
    per_room: float = 0.0


@dataclass(frozen=True)
class Fixed:
    """An exam that has begun or is not to be moved; it is planned just so."""

    room: str
    start: int
    technologist: str | None = None


@dataclass(frozen=True)
class Exam:
    """One exam to be planned.

    `minutes` is how long it takes in each room that can do it; the room is held for `cleaning`
    minutes more. `due` None is never late. `origin` is the ward the patient is brought from
    (`from` in the format), None for one who comes alone.
    """

    id: str
    patient: str
    minutes: Mapping[str, int]
    priority: str = ""
    ready: int = 0
    due: int | None = None
    weight: float = 1.0
    cleaning: int = 0
    skills: frozenset[str] = frozenset()
    origin: str | None = None
    after: tuple[str, ...] = ()
    booked: Booked | None = None
    fixed: Fixed | None = None


@dataclass(frozen=True)
class Problem:
    """Everything a plan is made from.

    `technologists` and `porters` are None where they are not limited; an empty tuple means none.
    `travel` is the way from each ward, in minutes, one way.
    """

    start: datetime
    exams: tuple[Exam, ...]
    rooms: tuple[Room, ...]
    technologists: tuple[Technologist, ...] | None = None
    porters: tuple[Porter, ...] | None = None
    travel: Mapping[str, int] = field(default_factory=dict)
    now: int = 0
    unplanned_cost: float = 1000.0


@dataclass(frozen=True)
class Job:
    """A porter's way with a patient: `2 x travel` minutes from `start`. `porter` None where not limited."""

    start: int
    porter: str | None = None


@dataclass(frozen=True)
class Placed:
    """One exam in a plan."""

    exam: str
    room: str
    start: int
    technologist: str | None = None
    fetch: Job | None = None
    back: Job | None = None
    """The return (`return` in the format)."""


@dataclass(frozen=True)
class Plan:
    """An answer: the exams that have a place, and those left out."""

    placed: tuple[Placed, ...]
    unplanned: tuple[str, ...] = ()
    cost: float = 0.0
    lower_bound: float | None = None
