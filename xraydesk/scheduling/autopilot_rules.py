"""Whether the desk may let others give way by itself: the site's limits, and in words which one forbids it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from xraydesk.orders.states import Priority
from xraydesk.scheduling.engine.hours import hours_between
from xraydesk.siteplan.policies import AutopilotPlan

_MINUTE = timedelta(minutes=1)


class Limit(StrEnum):
    """What forbids it."""

    PRIORITY = "exams of that priority make nobody give way"
    IN_TIME = "it is in time without anybody moving"
    NO_SOONER = "it would not be sooner"
    TAKEN_BACK = "somebody took it back"
    HOURS = "not at this hour"
    MOVES = "too many would move"
    LOST = "somebody would lose their place"
    MOVED = "an outpatient would be moved by too much"
    NEAR = "somebody is moved too shortly before their time"
    AGAIN = "somebody would be moved a second time"


@dataclass(frozen=True)
class Wanted:
    """The exam that is to be let in. `otherwise` is when it could begin without anybody moving (None: not at all)."""

    priority: Priority
    due_at: datetime | None
    start: datetime | None
    otherwise: datetime | None
    taken_back: bool = False
    """True where the desk let it in before, and a person took that back."""


@dataclass(frozen=True)
class GivesWay:
    """One exam that would move, or lose its place (`start` None). `again`: the desk moved it today already."""

    accession: str
    outpatient: bool
    was_start: datetime
    start: datetime | None
    again: bool = False


@dataclass(frozen=True)
class Forbids:
    """One limit that is broken, and by which exam; `minutes` are those that it would be, `allowed` those that may be."""

    limit: Limit
    accession: str = ""
    minutes: int = 0
    allowed: int = 0


def is_late(due_at: datetime | None, start: datetime | None) -> bool:
    """True for an exam with a time until which it is due, and no place before it."""
    return due_at is not None and (start is None or start > due_at)


def forbidding(
    limits: AutopilotPlan, wanted: Wanted, moved: Sequence[GivesWay], *, at: datetime, zone: str
) -> tuple[Forbids, ...]:
    """Every limit that forbids to do this without a person; empty where the desk may. `limits` that are not on are judged too."""
    found = [*_of_wanted(wanted, limits)]
    if limits.hours and not hours_between(limits.hours, zone=zone, since=at, until=at + _MINUTE):
        found.append(Forbids(Limit.HOURS))
    if len(moved) > limits.moves_max:
        found.append(Forbids(Limit.MOVES, minutes=len(moved), allowed=limits.moves_max))
    for exam in moved:
        found += _of_moved(exam, limits, at)
    return tuple(found)


def _of_wanted(wanted: Wanted, limits: AutopilotPlan) -> Iterable[Forbids]:
    if wanted.priority.value not in {p.value for p in limits.priorities}:
        yield Forbids(Limit.PRIORITY)
    if not is_late(wanted.due_at, wanted.otherwise):
        yield Forbids(Limit.IN_TIME)
    elif wanted.start is None or (wanted.otherwise is not None and wanted.start >= wanted.otherwise):
        yield Forbids(Limit.NO_SOONER)
    if wanted.taken_back:
        yield Forbids(Limit.TAKEN_BACK)


def _of_moved(exam: GivesWay, limits: AutopilotPlan, at: datetime) -> Iterable[Forbids]:
    until = (exam.was_start - at) // _MINUTE
    if until < limits.near_minutes:
        yield Forbids(Limit.NEAR, exam.accession, max(0, until), limits.near_minutes)
    if exam.start is None:
        yield Forbids(Limit.LOST, exam.accession)
    else:
        by = abs(exam.start - exam.was_start) // _MINUTE
        if exam.outpatient and by > limits.moved_minutes_max:
            yield Forbids(Limit.MOVED, exam.accession, by, limits.moved_minutes_max)
    if exam.again:
        yield Forbids(Limit.AGAIN, exam.accession)


def in_words(forbids: Forbids, *, name: str = "") -> str:
    """Why the desk leaves this to a person. `name` is what the exam's patient is called; its accession number without one."""
    who = name or f"exam {forbids.accession}"
    minutes, allowed = forbids.minutes, forbids.allowed
    match forbids.limit:
        case Limit.PRIORITY:
            return "Exams of this priority make nobody give way by themselves."
        case Limit.IN_TIME:
            return "It is in time without anybody moving."
        case Limit.NO_SOONER:
            return "It would not begin sooner than without anybody moving."
        case Limit.TAKEN_BACK:
            return "Somebody took back what the desk had done for it."
        case Limit.HOURS:
            return "At this hour the desk moves nobody by itself."
        case Limit.MOVES:
            return f"{minutes} exams would move; {allowed} may."
        case Limit.LOST:
            return f"{who[0].upper()}{who[1:]} would lose their place."
        case Limit.MOVED:
            return f"{who[0].upper()}{who[1:]} would be moved by {minutes} minutes; {allowed} are allowed."
        case Limit.NEAR:
            return (
                f"{who[0].upper()}{who[1:]} is due in {minutes} minutes; "
                f"nobody is moved less than {allowed} before their time."
            )
        case _:
            return f"{who[0].upper()}{who[1:]} was moved by the desk today already."
