"""The first answer is on the screen; a longer search looks for a better one, and what it found is kept for a few minutes.

It is kept in the memory of one process, for it is worth no more than the search: another process asks again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.core.cache import cache

from xraydesk.access.models import Site
from xraydesk.journey.planned_day import Event, PlannedDay, day_of, later
from xraydesk.journey.propose import OPTIONS_MAX, Proposed, as_proposed, options_of
from xraydesk.journey.rearrange import MOVES_MAX
from xraydesk.scheduling.engine.checker import broken_rule, cost_of
from xraydesk.scheduling.engine.insertion import Move, Option, applied, with_moves
from xraydesk.scheduling.engine.problem import Placed, Plan
from xraydesk.scheduling.refining import NoTurn, better_plan

KEPT_SECONDS = 600


@dataclass(frozen=True)
class Sought:
    """What a longer search came to: for which first answer, and the moves that are better, none where none was found.

    A move is an exam, the booking that it had, and where it goes in minutes from `start`.
    """

    first: str
    start: datetime
    moves: tuple[tuple[str, int | None, Placed | None], ...] = ()


@dataclass(frozen=True)
class Question:
    """What is proposed for: an exam that wants a place, or all who lost theirs by what happened."""

    site: Site
    wanted: tuple[str, ...] = ()
    event: Event | None = None
    locations: tuple[int, ...] = ()

    @property
    def key(self) -> str:
        """The same for the same question."""
        asked = repr((self.wanted, self.event, sorted(self.locations)))
        return f"better:{self.site.pk}:{hashlib.sha256(asked.encode()).hexdigest()}"

    def day(self, at: datetime) -> PlannedDay:
        """The day that it is asked about."""
        return day_of(site=self.site, at=at, wanted=self.wanted, event=self.event, locations=self.locations)


def propose_with_better(
    *, site: Site, accession: str, at: datetime, locations: Collection[int] = ()
) -> Proposed:
    """What `propose_for` answers, and before it what a longer search has found, while that still holds. Writes nothing."""
    return _with_better(Question(site, (accession,), locations=tuple(locations)), at=at)


def propose_after_with_better(
    *, site: Site, event: Event, at: datetime, locations: Collection[int] = ()
) -> Proposed:
    """What `propose_after` answers, and before it what a longer search has found, while that still holds. Writes nothing."""
    return _with_better(Question(site, event=event, locations=tuple(locations)), at=at)


def _with_better(asked: Question, *, at: datetime) -> Proposed:
    day = asked.day(at)
    options = options_of(day, wanted=asked.wanted)
    if not options:
        return as_proposed(day, options, wanted=asked.wanted, event=asked.event)
    sought = cache.get(asked.key)
    better = _still_better(day, sought, options[0]) if isinstance(sought, Sought) else None
    if better is not None:
        options = (better, *options[: OPTIONS_MAX - 1])
    proposed = as_proposed(day, options, wanted=asked.wanted, event=asked.event, better=better)
    known = isinstance(sought, Sought) and not sought.moves and sought.first == _digest(day, options[0])
    return replace(proposed, look_further=better is None and not known)


def look_further(
    *,
    site: Site,
    at: datetime,
    accession: str = "",
    event: Event | None = None,
    locations: Collection[int] = (),
) -> bool:
    """Search for about two seconds; True where something clearly better was found, which is proposed from now on.

    For an exam that wants a place, or for what happened. Writes nothing but into this process's memory. False too where
    another search is under way.
    """
    asked = Question(site, (accession,) if accession else (), event, tuple(locations))
    day = asked.day(at)
    problem, plan = day.told.problem, day.told.plan
    options = options_of(day, wanted=asked.wanted)
    wanted = tuple(dict.fromkeys((*asked.wanted, *plan.unplanned)))
    if not options or not wanted:
        return False
    try:
        found = better_plan(problem, plan, wanted=wanted, than=applied(problem, plan, options[0]))
    except NoTurn:
        return False
    moves = _differing(plan, found) if found else ()
    if len(moves) > MOVES_MAX:
        moves = ()
    sought = Sought(
        _digest(day, options[0]),
        day.start,
        tuple((m.exam, day.bookings.get(m.exam), m.after) for m in moves),
    )
    cache.set(asked.key, sought, KEPT_SECONDS)
    return bool(moves)


def _digest(day: PlannedDay, option: Option) -> str:
    """The same for the same answer, at whatever minute it is asked for."""
    said = sorted(
        (m.exam, m.after.room, (day.start + timedelta(minutes=m.after.start)).isoformat())
        for m in option.moves
        if m.after
    )
    return hashlib.sha256(repr(said).encode()).hexdigest()


def _differing(plan: Plan, found: Plan) -> tuple[Move, ...]:
    """Who is placed otherwise in one plan than in another."""
    before = {p.exam: p for p in plan.placed}
    after = {p.exam: p for p in found.placed}
    return tuple(
        Move(name, before.get(name), after.get(name))
        for name in {**before, **after}
        if before.get(name) != after.get(name)
    )


def _still_better(day: PlannedDay, sought: Sought, first: Option) -> Option | None:
    """What was found before as an option of the day as it is now; None where it breaks a rule by now, or is no better."""
    problem, plan = day.told.problem, day.told.plan
    inside = {e.id for e in problem.exams}
    if not sought.moves or any(
        name not in inside or day.bookings.get(name) != booking for name, booking, _ in sought.moves
    ):
        return None
    by = int((sought.start - day.start) / timedelta(minutes=1))
    after = with_moves(problem, plan, {n: later(p, by) if p else None for n, _, p in sought.moves})
    if broken_rule(problem, after):
        return None
    cost = cost_of(problem, after) - cost_of(problem, plan)
    return Option(_differing(plan, after), cost) if cost < first.cost else None
