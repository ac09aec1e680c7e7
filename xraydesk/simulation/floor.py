"""The department at one minute of a simulated day: who is where, what is taken, and what of it the desk knows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from xraydesk.scheduling.engine.problem import Interval, Placed
from xraydesk.simulation.department import MIDNIGHT, DepartmentDay, less
from xraydesk.simulation.world import Patient

OVERRUN_MINUTES = 5
"""An exam that is over its time is expected to need so much more."""


class State(StrEnum):
    """Where somebody is in their day."""

    COMING = "coming"
    """Known, and not here; of a ward: still on it."""
    ON_THE_WAY = "on the way"
    """With a porter."""
    HERE = "here"
    IN_ROOM = "in room"
    DONE = "done"
    LEFT = "left"
    """Gone without being seen."""
    ABSENT = "absent"


WAITING = frozenset({State.COMING, State.ON_THE_WAY, State.HERE})


@dataclass
class Case:
    """One patient's day so far. Minutes from midnight; None where it has not come to that.

    `told` is the time an outpatient was last told, `told_first` the time first told.
    """

    patient: Patient
    state: State = State.COMING
    told: int | None = None
    told_first: int | None = None
    place: Placed | None = None
    """The place in the plan in force."""
    expected: int = 0
    """When the desk expects them, at the earliest."""
    here_at: int | None = None
    begun: int | None = None
    ended: int | None = None
    room: str = ""
    overtime: int = 0
    """So many minutes of the exam lay after its technologist's shift."""

    @property
    def id(self) -> str:
        """The patient's number."""
        return self.patient.id

    @property
    def comes_by_appointment(self) -> bool:
        """True for somebody who was told a time and is not here yet."""
        return self.told is not None and self.state is State.COMING

    @property
    def since(self) -> int:
        """The minute from which they are there, as a desk counts it: nobody is there sooner than told."""
        if self.told_first is not None:
            return max(self.told_first, self.here_at or 0)
        if self.state is State.HERE and self.here_at is not None and not self.patient.ward:
            return self.here_at
        return self.patient.ordered or 0


@dataclass
class Running:
    """One room now: whose exam is under way and until when that is expected; until when it is down."""

    case: Case | None = None
    technologist: str | None = None
    until: int = 0
    down_until: int | None = None
    """None where it is not down."""


@dataclass
class Errand:
    """A porter's way under way."""

    case: Case
    back: bool
    until: int
    """When the desk expects the porter to be free."""


@dataclass
class Floor:
    """All of it at `now`. `department` is as people are on, `overtime` as they stay on."""

    department: DepartmentDay
    overtime: DepartmentDay
    now: int = 0
    cases: dict[str, Case] = field(default_factory=dict)
    rooms: dict[str, Running] = field(default_factory=dict)
    porters: dict[str, Errand | None] = field(default_factory=dict)
    returns: list[Case] = field(default_factory=list)
    """Who waits to be taken back, in order."""

    def __post_init__(self) -> None:
        self.rooms = {room.id: Running() for room in self.department.rooms}
        self.porters = {porter.id: None for porter in self.department.porters or ()}

    # -- what is taken, as the desk knows it ------------------------------------------------------

    def room_taken(self, room: str) -> Iterator[Interval]:
        """When a room cannot be used, as far as anybody knows now."""
        running = self.rooms[room]
        if running.case is not None:
            yield 0, self.expected_end(running) + self.department.cleaning
        elif running.until > self.now:
            yield 0, running.until
        if running.down_until is not None:
            yield 0, max(running.down_until, self.now + OVERRUN_MINUTES)

    def expected_end(self, running: Running) -> int:
        """When the exam under way in a room is expected to be over."""
        return running.until if running.until > self.now else self.now + OVERRUN_MINUTES

    def busy_until(self) -> dict[str, int]:
        """Technologists with an exam under way, and until when."""
        return {
            r.technologist: self.expected_end(r)
            for r in self.rooms.values()
            if r.case is not None and r.technologist is not None
        }

    def porter_free(self, department: DepartmentDay) -> dict[str, tuple[Interval, ...]]:
        """When each porter can take a job: on, without one under way, the ways back of those who wait for it aside."""
        free = {}
        for porter in department.porters or ():
            errand = self.porters[porter.id]
            until = max(self.now, errand.until if errand and errand.until > self.now else 0)
            if errand and errand.until <= self.now:
                until = self.now + OVERRUN_MINUTES
            free[porter.id] = less(porter.on, ((0, until),))
        for ready, minutes in sorted(self._ways_back()):
            _take_first(free, ready, minutes)
        return free

    def _ways_back(self) -> Iterator[tuple[int, int]]:
        """From when, and how long, porters will be wanted for those who are here or in a room."""
        for case in self.returns:
            yield self.now, self.way(case)
        for running in self.rooms.values():
            if running.case is not None and running.case.patient.fetched:
                yield self.expected_end(running), self.way(running.case)

    def way(self, case: Case) -> int:
        """Minutes that a porter is away with a patient, either way."""
        return 2 * self.department.travel[case.patient.ward]

    def waiting(self) -> Iterable[Case]:
        """Everybody known who has not been seen and may still be."""
        return (c for c in self.cases.values() if c.state in WAITING)


def _take_first(free: dict[str, tuple[Interval, ...]], ready: int, minutes: int) -> None:
    """Give a way to whichever porter can go first; to nobody where none can."""
    places = [
        (max(a, ready), name)
        for name, spans in free.items()
        for a, b in spans
        if max(a, ready) + minutes <= b
    ]
    for at, name in sorted(places)[:1]:
        free[name] = less(free[name], ((at, at + minutes),))


def last_closing(department: DepartmentDay) -> int:
    """The minute at which the last room that closes at all does so."""
    return max((b for room in department.rooms for _, b in room.open if b < MIDNIGHT), default=MIDNIGHT)
