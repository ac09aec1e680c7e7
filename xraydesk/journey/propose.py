"""What could be done for an exam that needs a place, or after something happened: options, shown before anybody agrees.

With `locations` (keys) only exams and rooms there are touched.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from xraydesk.access.models import Site
from xraydesk.journey.planned_day import Event, PlannedDay, day_of
from xraydesk.scheduling.engine.explain import Explanation, explain
from xraydesk.scheduling.engine.insertion import Move, Option, Planner
from xraydesk.scheduling.engine.problem import Placed

OPTIONS_MAX = 4


@dataclass(frozen=True)
class Step:
    """One exam of an option, in the department's terms. `minutes` is how much later it is; less than none is sooner."""

    accession: str
    booking_id: int | None
    move: Move
    room: str
    start: datetime | None
    end: datetime | None
    was_room: str
    was_start: datetime | None
    technologist: str

    @property
    def minutes(self) -> int:
        """By how much later the exam is than it was; nothing where it had no place, or has none."""
        if self.start is None or self.was_start is None:
            return 0
        return int((self.start - self.was_start) / timedelta(minutes=1))

    @property
    def stays(self) -> bool:
        """True where room and time are the same: only who does it, or who fetches, changes."""
        return self.start is not None and (self.room, self.start) == (self.was_room, self.was_start)

    @property
    def unseen(self) -> bool:
        """True where nobody sees a difference: room, time and technologist are the same, and only who fetches changes."""
        before, after = self.move.before, self.move.after
        return self.stays and bool(before and after and before.technologist == after.technologist)


@dataclass(frozen=True)
class Proposal:
    """One option with all that is said about it: `told` on the screen, and `kept` without patients' names."""

    steps: tuple[Step, ...]
    told: Explanation
    kept: Explanation
    cost: float
    better: bool = False
    """True for one that a longer search found."""


@dataclass(frozen=True)
class Proposed:
    """The options there are, the best first; and, where there are none, why."""

    day: PlannedDay
    proposals: tuple[Proposal, ...]
    wanted: tuple[str, ...]
    event: Event | None = None
    look_further: bool = False
    """True where a longer search could find a better one, and none has been made yet."""


def propose_for(
    *,
    site: Site,
    accession: str,
    at: datetime,
    locations: Collection[int] = (),
    keep: Collection[str] = (),
    options_max: int = OPTIONS_MAX,
) -> Proposed:
    """How an exam could have a place, or a sooner one, others giving way where that is better for all. Writes nothing.

    Nobody of `keep` (accession numbers) gives way.
    """
    day = day_of(site=site, at=at, wanted=(accession,), locations=locations, keep=keep)
    options = options_of(day, wanted=(accession,), options_max=options_max)
    return as_proposed(day, options, wanted=(accession,))


def propose_after(
    *,
    site: Site,
    event: Event,
    at: datetime,
    wanted: Iterable[str] = (),
    locations: Collection[int] = (),
) -> Proposed:
    """How the day could go on after something happened. Writes nothing."""
    told = tuple(wanted)
    day = day_of(site=site, at=at, wanted=told, event=event, locations=locations)
    return as_proposed(day, options_of(day, wanted=told), wanted=told, event=event)


def propose_place(
    *,
    site: Site,
    accession: str,
    room: str,
    start: datetime,
    at: datetime,
    locations: Collection[int] = (),
) -> Proposed:
    """What would follow if an exam went exactly there: who gives way, or why it cannot be. Writes nothing."""
    day = day_of(site=site, at=at, wanted=(accession,), locations=locations, by_hand=True)
    minute = int((start - day.start) / timedelta(minutes=1))
    planner = Planner(day.told.problem, day.told.plan)
    known = accession in planner.day.number and room in planner.day.room_number
    option = planner.at_place(accession, day.told.room_at(room, minute), minute) if known else None
    return as_proposed(day, (option,) if option else (), wanted=(accession,))


def options_of(
    day: PlannedDay, *, wanted: tuple[str, ...], options_max: int = OPTIONS_MAX
) -> tuple[Option, ...]:
    """What the planner would do for these exams, and for those that lost their place; the cheapest first."""
    inside = {e.id for e in day.told.problem.exams}
    names = [name for name in (*wanted, *day.told.plan.unplanned) if name in inside]
    return Planner(day.told.problem, day.told.plan).options(
        tuple(dict.fromkeys(names)), options_max=options_max
    )


def as_proposed(
    day: PlannedDay,
    options: tuple[Option, ...],
    *,
    wanted: tuple[str, ...],
    event: Event | None = None,
    better: Option | None = None,
) -> Proposed:
    """Options in the department's terms, with what is said of each. `better` is the one that a longer search found."""
    zone = ZoneInfo(day.zone)

    def wall(minute: int) -> str:
        return f"{(day.start + timedelta(minutes=minute)).astimezone(zone):%H:%M}"

    stood = {
        accession: [
            (name, int((start - day.start) / timedelta(minutes=1)))
            for name, (code, _) in day.told.seats.items()
            if code == room
        ]
        for accession, (room, start) in day.stood.items()
    }
    said, kept = (
        explain(
            day.told.problem,
            day.told.plan,
            options,
            wanted=wanted,
            names=names,
            wall=wall,
            reserved=day.told.reserved,
            stood=stood,
        )
        for names in ({**day.names, **day.patients}, day.names)
    )
    proposals = tuple(
        Proposal(
            steps=tuple(_step(day, move) for move in _in_order(option.moves, wanted)),
            told=told,
            kept=recorded,
            cost=option.cost,
            better=option is better,
        )
        for option, told, recorded in zip(options, said, kept, strict=True)
    )
    return Proposed(day, proposals, wanted, event)


def _in_order(moves: tuple[Move, ...], wanted: tuple[str, ...]) -> list[Move]:
    """Who it is all for first, then in order of time."""
    return sorted(moves, key=lambda m: (m.exam not in wanted, m.after.start if m.after else 0, m.exam))


def _step(day: PlannedDay, move: Move) -> Step:
    def when(placed: Placed | None) -> tuple[str, datetime | None, datetime | None]:
        if placed is None:
            return "", None, None
        place = day.place(placed)
        return day.told.seats[placed.room][0], place.start, place.end

    room, start, end = when(move.after)
    was_room, was_start, _ = when(move.before)
    if move.exam in day.bookings and move.before is None:
        # It has a place and is looked for a better one: the planner was told of the wish alone.
        was_room, was_start = day.stood.get(move.exam, ("", None))
    who = move.after.technologist if move.after else None
    return Step(
        accession=move.exam,
        booking_id=day.bookings.get(move.exam),
        move=move,
        room=room,
        start=start,
        end=end,
        was_room=was_room,
        was_start=was_start,
        technologist=day.names.get(who, who) if who else "",
    )
