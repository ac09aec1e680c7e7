"""What the desk may do by itself: within the limits anything, and each limit forbids it by itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from xraydesk.orders.states import Priority
from xraydesk.scheduling.autopilot_rules import (
    Forbids,
    GivesWay,
    Limit,
    Wanted,
    forbidding,
    in_words,
    is_late,
)
from xraydesk.siteplan.policies import AutopilotPlan, GivesWayTo

AT = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
"""A Monday, ten in the morning in New York."""
ZONE = "America/New_York"
MIN = timedelta(minutes=1)
LIMITS = AutopilotPlan(on=True, moved_minutes_max=30, near_minutes=60, moves_max=2)
STAT = Wanted(Priority.STAT, due_at=AT + 60 * MIN, start=AT + 10 * MIN, otherwise=AT + 90 * MIN)
OUTPATIENT = GivesWay("A1", outpatient=True, was_start=AT + 60 * MIN, start=AT + 90 * MIN)


def of(
    *moved: GivesWay, limits: AutopilotPlan = LIMITS, at: datetime = AT, **changes: Any
) -> tuple[Forbids, ...]:
    return forbidding(limits, replace(STAT, **changes), moved, at=at, zone=ZONE)


def test_within_every_limit_nothing_forbids_it() -> None:
    """An outpatient an hour away and half an hour later stands on each limit, and not beyond one."""
    assert of(OUTPATIENT, replace(OUTPATIENT, accession="A2")) == ()
    assert of(replace(OUTPATIENT, outpatient=False, start=AT + 400 * MIN)) == ()
    assert of(OUTPATIENT, otherwise=None) == ()


@pytest.mark.parametrize(
    ("wanted", "limit"),
    [
        ({"priority": Priority.URGENT}, Limit.PRIORITY),
        ({"otherwise": AT + 60 * MIN}, Limit.IN_TIME),
        ({"due_at": None}, Limit.IN_TIME),
        ({"start": AT + 90 * MIN}, Limit.NO_SOONER),
        ({"start": None}, Limit.NO_SOONER),
        ({"taken_back": True}, Limit.TAKEN_BACK),
    ],
)
def test_each_limit_of_the_exam_itself_forbids_it(wanted: dict[str, Any], limit: Limit) -> None:
    assert [f.limit for f in of(OUTPATIENT, **wanted)] == [limit]


@pytest.mark.parametrize(
    ("moved", "forbids"),
    [
        ({"start": AT + 91 * MIN}, Forbids(Limit.MOVED, "A1", 31, 30)),
        ({"start": AT + 29 * MIN}, Forbids(Limit.MOVED, "A1", 31, 30)),
        ({"was_start": AT + 59 * MIN, "start": AT + 70 * MIN}, Forbids(Limit.NEAR, "A1", 59, 60)),
        ({"was_start": AT - 5 * MIN, "start": AT + 5 * MIN}, Forbids(Limit.NEAR, "A1", 0, 60)),
        ({"start": None}, Forbids(Limit.LOST, "A1")),
        ({"again": True}, Forbids(Limit.AGAIN, "A1")),
    ],
)
def test_each_limit_of_who_gives_way_forbids_it(moved: dict[str, Any], forbids: Forbids) -> None:
    assert of(replace(OUTPATIENT, **moved)) == (forbids,)


def test_more_than_may_give_way_forbid_it() -> None:
    three = [replace(OUTPATIENT, accession=f"A{n}") for n in range(3)]
    assert of(*three) == (Forbids(Limit.MOVES, minutes=3, allowed=2),)


def test_outside_its_hours_the_desk_moves_nobody_by_itself() -> None:
    by_day = replace(LIMITS, hours={"mon": ((time(7), time(10, 1)),)})
    assert of(OUTPATIENT, limits=by_day) == ()
    later = AT + MIN
    moved = replace(OUTPATIENT, was_start=later + 60 * MIN)
    assert [f.limit for f in of(moved, limits=by_day, at=later)] == [Limit.HOURS]
    tuesday = replace(LIMITS, hours={"tue": ((time(7), time(19)),)})
    assert [f.limit for f in of(OUTPATIENT, limits=tuesday)] == [Limit.HOURS]


def test_an_urgent_exam_counts_where_the_site_says_so() -> None:
    both = replace(LIMITS, priorities=(GivesWayTo.STAT, GivesWayTo.URGENT))
    assert of(OUTPATIENT, limits=both, priority=Priority.URGENT) == ()


def test_all_that_forbids_it_is_told_at_once() -> None:
    found = of(replace(OUTPATIENT, was_start=AT + 5 * MIN), priority=Priority.ROUTINE)
    assert [f.limit for f in found] == [Limit.PRIORITY, Limit.NEAR, Limit.MOVED]


@pytest.mark.parametrize(
    ("due_at", "start", "late"),
    [(AT, AT, False), (AT, AT + MIN, True), (AT, None, True), (None, AT, False), (None, None, False)],
)
def test_late_is_after_it_is_due_or_nowhere(
    due_at: datetime | None, start: datetime | None, late: bool
) -> None:
    assert is_late(due_at, start) is late


@pytest.mark.parametrize(
    ("forbids", "words"),
    [
        (Forbids(Limit.PRIORITY), "Exams of this priority make nobody give way by themselves."),
        (Forbids(Limit.IN_TIME), "It is in time without anybody moving."),
        (Forbids(Limit.NO_SOONER), "It would not begin sooner than without anybody moving."),
        (Forbids(Limit.TAKEN_BACK), "Somebody took back what the desk had done for it."),
        (Forbids(Limit.HOURS), "At this hour the desk moves nobody by itself."),
        (Forbids(Limit.MOVES, minutes=4, allowed=3), "4 exams would move; 3 may."),
        (Forbids(Limit.LOST, "A1"), "Prüfer would lose their place."),
        (Forbids(Limit.MOVED, "A1", 40, 30), "Prüfer would be moved by 40 minutes; 30 are allowed."),
        (
            Forbids(Limit.NEAR, "A1", 20, 60),
            "Prüfer is due in 20 minutes; nobody is moved less than 60 before their time.",
        ),
        (Forbids(Limit.AGAIN, "A1"), "Prüfer was moved by the desk today already."),
    ],
)
def test_each_is_said_in_words(forbids: Forbids, words: str) -> None:
    assert in_words(forbids, name="Prüfer") == words


def test_without_a_name_the_exam_is_said() -> None:
    assert in_words(Forbids(Limit.LOST, "A1")) == "Exam A1 would lose their place."
