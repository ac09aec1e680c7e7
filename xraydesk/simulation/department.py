"""A department on one weekday, in minutes from midnight: rooms, people and ways, as a policy has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import time

from xraydesk.scheduling.engine.department import EMERGENCY_WORDS, PORTABLE
from xraydesk.scheduling.engine.problem import Interval, Porter, Room, Technologist
from xraydesk.scheduling.engine.under_way import seat_name
from xraydesk.simulation.policy import Policy
from xraydesk.siteplan.hours import WEEKDAYS, Hours
from xraydesk.siteplan.plan import ProcedurePlan, SitePlan

MIDNIGHT = 1440
"""The minute at which a day ends."""


@dataclass(frozen=True)
class DepartmentDay:
    """Who and what is there on one weekday. `technologists` and `porters` are None where the site names none: not limited.

    `suited` is each procedure's rooms for patients of the emergency department (True) and for others (False), those first that
    are meant for them. `location` is each room's building.
    """

    rooms: tuple[Room, ...]
    technologists: tuple[Technologist, ...] | None
    porters: tuple[Porter, ...] | None
    travel: Mapping[str, int]
    cleaning: int
    suited: Mapping[tuple[str, bool], tuple[str, ...]]
    location: Mapping[str, str]
    portable: frozenset[str] = frozenset()
    """Rooms that go to the patient."""

    def longer(self, minutes: int) -> DepartmentDay:
        """The same with everybody staying so long after their hours: overtime."""
        people, porters = self.technologists, self.porters
        return DepartmentDay(
            rooms=tuple(Room(r.id, _longer(r.open, minutes)) for r in self.rooms),
            technologists=people
            and tuple(Technologist(t.id, _longer(t.on, minutes), t.skills) for t in people),
            porters=porters and tuple(Porter(p.id, _longer(p.on, minutes)) for p in porters),
            travel=self.travel,
            cleaning=self.cleaning,
            suited=self.suited,
            location=self.location,
            portable=self.portable,
        )


def department_day(site: SitePlan, weekday: int, policy: Policy | None = None) -> DepartmentDay:
    """A site's department on a weekday (0 is Monday) as a policy has it; as the site file has it without one."""
    added = policy or None
    rooms, location, kinds = [], {}, {}
    for plan in site.rooms:
        hours = added.room_hours.get(plan.code, plan.hours) if added else plan.hours
        for seat in range(plan.seats):
            name = seat_name(plan.code, seat)
            rooms.append(Room(name, minutes_of(hours, weekday)))
            location[name], kinds[name] = plan.location, (plan.kind, plan.abilities)
    people = (*site.technologists, *(added.technologists if added else ()))
    porters = (*site.porters, *(added.porters if added else ()))
    return DepartmentDay(
        rooms=tuple(rooms),
        technologists=tuple(
            Technologist(t.code, on, frozenset(t.skills))
            for t in people
            if (on := minutes_of(t.shifts, weekday))
        )
        if people
        else None,
        porters=tuple(Porter(p.code, on) for p in porters if (on := minutes_of(p.shifts, weekday)))
        if porters
        else None,
        travel={w.code: w.travel_minutes for w in site.wards},
        cleaning=site.policies.cleaning_minutes,
        suited={
            (procedure.code, emergency): _suited(procedure, kinds, emergency)
            for procedure in site.procedures
            for emergency in (False, True)
        },
        location=location,
        portable=frozenset(name for name, (kind, _) in kinds.items() if kind == PORTABLE),
    )


def _suited(
    procedure: ProcedurePlan, kinds: Mapping[str, tuple[str, tuple[str, ...]]], emergency: bool
) -> tuple[str, ...]:
    able = [
        name
        for name, (kind, _) in kinds.items()
        if (kind in procedure.room_kinds if procedure.room_kinds else kind != PORTABLE)
    ]

    def awkward(name: str) -> bool:
        kind, abilities = kinds[name]
        return emergency != bool(EMERGENCY_WORDS & {kind, *abilities})

    return tuple(sorted(able, key=awkward))


def minutes_of(hours: Hours, weekday: int) -> tuple[Interval, ...]:
    """Hours of one weekday in minutes from midnight; an end of 00:00 is midnight at its end."""
    day = hours.get(WEEKDAYS[weekday], ())
    return tuple(joined((_minute(first), _minute(last) or MIDNIGHT) for first, last in day))


def joined(spans: Iterable[Interval]) -> list[Interval]:
    """The same time in order, stretches that touch or overlap made one."""
    found: list[Interval] = []
    for a, b in sorted(spans):
        if found and a <= found[-1][1]:
            found[-1] = (found[-1][0], max(b, found[-1][1]))
        else:
            found.append((a, b))
    return found


def less(spans: Iterable[Interval], taken: Iterable[Interval]) -> tuple[Interval, ...]:
    """What is left of stretches without what is taken of them."""
    left = list(spans)
    for first, last in taken:
        left = [
            piece for a, b in left for piece in ((a, min(b, first)), (max(a, last), b)) if piece[0] < piece[1]
        ]
    return tuple(left)


def within(spans: Iterable[Interval], first: int, last: int) -> bool:
    """True where one stretch holds all from `first` to `last`."""
    return any(a <= first and last <= b for a, b in spans)


def minutes_in(spans: Iterable[Interval]) -> int:
    """How many minutes there are in stretches that do not overlap."""
    return sum(b - a for a, b in spans)


def _minute(wall: time) -> int:
    return wall.hour * 60 + wall.minute


def _longer(spans: tuple[Interval, ...], minutes: int) -> tuple[Interval, ...]:
    return tuple(joined((a, b if b >= MIDNIGHT else min(b + minutes, MIDNIGHT)) for a, b in spans))
