"""The checker: each rule of a plan, kept and broken."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from xraydesk.scheduling.engine.checker import Broken, broken_rule, broken_rules, check, cost_of
from xraydesk.scheduling.engine.problem import (
    Booked,
    Exam,
    Fixed,
    Job,
    Placed,
    Plan,
    Porter,
    Problem,
    Room,
    Technologist,
)
from xraydesk.scheduling.tests.problems import START

PROBLEM = Problem(
    start=START,
    now=10,
    rooms=(Room("XR1", ((0, 100), (100, 200))), Room("XR2", ((0, 200),))),
    technologists=(
        Technologist("T1", ((0, 120),), frozenset({"general", "peds"})),
        Technologist("T2", ((0, 200),), frozenset({"general"})),
    ),
    porters=(Porter("P1", ((0, 200),)), Porter("P2", ((0, 90), (90, 200)))),
    travel={"W1": 5},
    exams=(
        Exam(
            "E1", "Ada", {"XR1": 10, "XR2": 12}, ready=20, due=25, weight=2, cleaning=5,
            skills=frozenset({"peds"}), origin="W1", booked=Booked("XR2", 40, None, 0.5, 3),
        ),
        Exam("E2", "Ada", {"XR2": 10}, after=("E1",)),
        Exam("E3", "Bob", {"XR1": 20}, origin="W1", skills=frozenset({"fluoro"}), fixed=Fixed("XR1", 0, "T2")),
        Exam("E4", "Cid", {"XR1": 10}, weight=0.5),
    ),
)  # fmt: skip
E1 = Placed("E1", "XR1", 30, "T1", Job(20, "P1"), Job(40, "P1"))
E2 = Placed("E2", "XR2", 40, "T2")
E3 = Placed("E3", "XR1", 0, "T2", None, Job(20, "P2"))
PLAN = Plan((E1, E2, E3), ("E4",), cost=2 * 5 + 0.5 * 10 + 3 + 1000 * 0.5)


def changed(exam: str, **fields: Any) -> Plan:
    return replace(PLAN, placed=tuple(replace(p, **fields) if p.exam == exam else p for p in PLAN.placed))


def without(exam: str) -> Plan:
    return replace(
        PLAN,
        placed=tuple(p for p in PLAN.placed if p.exam != exam),
        unplanned=(*PLAN.unplanned, exam),
    )


def test_a_plan_that_keeps_every_rule_costs_what_the_rules_say() -> None:
    assert check(PROBLEM, PLAN) == 518
    assert check(PROBLEM, replace(PLAN, lower_bound=518)) == 518


BROKEN: dict[str, tuple[Plan, str]] = {
    "nobody knows it": (replace(PLAN, unplanned=("E4", "E9")), "Exam E9 is not in the problem."),
    "twice": (replace(PLAN, unplanned=("E4", "E2")), "Exam E2 stands twice in the plan."),
    "forgotten": (replace(PLAN, unplanned=()), "Exam E4 is neither planned nor left out."),
    "fixed left out": (without("E3"), "Exam E3 is fixed and was left out."),
    "no such room": (changed("E2", room="XR9"), "Exam E2 is in room XR9, which is not in the problem."),
    "not there": (changed("E2", room="XR1"), "Exam E2 cannot be done in room XR1."),
    "closed": (
        changed("E1", start=180, technologist="T2", fetch=Job(170, "P1"), back=Job(190, "P1")),
        "Exam E1 needs the skill peds",
    ),
    "not open": (changed("E2", start=195), "Exam E2 is in room XR2 when it is not open for all of it."),
    "touching hours are not joined": (
        changed("E1", start=87, fetch=Job(77, "P1"), back=Job(97, "P1")),
        "Exam E1 is in room XR1 when it is not open for all of it.",
    ),
    "nobody": (changed("E2", technologist=None), "Exam E2 has no technologist."),
    "somebody unknown": (changed("E2", technologist="T9"), "technologist T9, who is not in the problem"),
    "not on": (
        changed("E2", start=125, technologist="T1"),
        "Exam E2 has technologist T1, who is not on for all of it.",
    ),
    "not ready": (
        changed("E1", start=15, fetch=Job(10, "P1"), back=Job(25, "P1")),
        "Exam E1 starts at 15, before it is ready at 20.",
    ),
    "before now": (
        changed("E2", start=5),
        "Exam E2 starts at 5, before now.",
    ),
    "fixed elsewhere": (changed("E3", start=5, back=Job(25, "P2")), "is fixed in room XR1 at 0"),
    "fixed with another": (changed("E3", technologist="T1"), "is fixed with technologist T2"),
    "after nothing": (without("E1"), "Exam E2 comes after exam E1, which was left out."),
    "after too soon": (changed("E2", start=39), "Exam E2 starts before exam E1 has ended"),
    "no fetch": (changed("E1", fetch=None), "Exam E1 has no fetch."),
    "no return": (changed("E1", back=None), "Exam E1 has no return."),
    "fetched for nothing": (changed("E2", fetch=Job(20, "P1")), "Exam E2 has a fetch that it does not need."),
    "a fixed one fetched": (changed("E3", fetch=Job(20, "P1")), "Exam E3 has a fetch that it does not need."),
    "fetched too late": (changed("E1", fetch=Job(21, "P1")), "Exam E1 is fetched by 31, after it starts."),
    "fetched too early": (
        changed("E1", start=51, fetch=Job(10, "P1"), back=Job(61, "P1")),
        "Exam E1 is fetched more than 30 minutes before it starts.",
    ),
    "taken back too soon": (changed("E1", back=Job(39, "P1")), "taken back at 39, before it has ended"),
    "taken back too late": (changed("E1", back=Job(56, "P1")), "more than 15 minutes after it has ended"),
    "a job before now": (
        changed("E3", back=Job(9, "P2")),
        "Exam E3 is taken back at 9, before it has ended.",
    ),
    "no porter": (changed("E1", fetch=Job(20)), "The fetch of exam E1 has no porter."),
    "a porter unknown": (changed("E1", fetch=Job(20, "P9")), "has porter P9, who is not in the problem"),
    "a porter between shifts": (
        changed("E1", start=80, fetch=Job(70, "P1"), back=Job(90 - 5 + 0, "P2")),
        "Exam E1 is taken back at 85, before it has ended.",
    ),
    "porters' shifts are not joined": (
        changed("E1", start=75, fetch=Job(65, "P1"), back=Job(85, "P2")),
        "The return of exam E1 has porter P2, who is not on for all of it.",
    ),
    "one room twice": (changed("E1", start=20, fetch=Job(10, "P1"), back=Job(30, "P1")), ""),
    "one technologist twice": (
        replace(changed("E2", start=41), placed=(E1, replace(E2, technologist="T1", start=35), E3)),
        "Exam E2 starts before exam E1 has ended",
    ),
    "one porter twice": (changed("E3", back=Job(25, "P1")), "Exams E1 and E3 both have porter P1 at 25."),
}


@pytest.mark.parametrize("name", BROKEN)
def test_each_broken_rule_is_named_with_its_exam(name: str) -> None:
    plan, words = BROKEN[name]
    found = broken_rule(PROBLEM, plan)
    assert words in found
    assert bool(words) == bool(found), found


def two(**fields: Any) -> tuple[Problem, Plan]:
    """Two exams of two patients in one room; fields change the second one's place."""
    exams = (Exam("A", "a", {"XR1": 10, "XR2": 10}, cleaning=5), Exam("B", "b", {"XR1": 10, "XR2": 10}))
    problem = replace(PROBLEM, exams=exams, now=0)
    second = replace(Placed("B", "XR2", 0, "T2"), **fields)
    return problem, Plan((Placed("A", "XR1", 0, "T1"), second))


def test_nothing_and_nobody_is_in_two_places_at_once() -> None:
    assert broken_rule(*two()) == ""
    assert broken_rule(*two(room="XR1", start=14)) == "Exams A and B both have room XR1 at 14."
    assert broken_rule(*two(room="XR1", start=15)) == ""
    assert broken_rule(*two(technologist="T1", start=9)) == "Exams A and B both have technologist T1 at 9."
    problem, plan = two(start=9)
    one_patient = replace(problem, exams=(problem.exams[0], replace(problem.exams[1], patient="a")))
    assert broken_rule(one_patient, plan) == "Exams A and B both have patient a at 9."


def test_a_long_stay_is_seen_beyond_a_short_one_within_it() -> None:
    exams = tuple(Exam(n, n, {"XR2": m}) for n, m in (("A", 50), ("B", 5), ("C", 5)))
    problem = replace(PROBLEM, exams=exams, now=0, technologists=None)
    plan = Plan((Placed("A", "XR2", 0), Placed("B", "XR2", 100), Placed("C", "XR2", 40)))
    assert list(broken_rules(problem, plan)) == [
        "Exams A and C both have room XR2 at 40.",
    ]


def test_where_they_are_not_limited_nobody_is_named_and_jobs_are_still_needed() -> None:
    problem = replace(PROBLEM, technologists=None, porters=None, exams=PROBLEM.exams[:1])
    plan = Plan((Placed("E1", "XR1", 30, None, Job(20), Job(40)),))
    assert broken_rule(problem, plan) == ""
    named = Plan((Placed("E1", "XR1", 30, "T1", Job(20), Job(40)),))
    assert "technologists are not limited" in broken_rule(problem, named)
    sent = Plan((Placed("E1", "XR1", 30, None, Job(20, "P1"), Job(40)),))
    assert "names a porter, and porters are not limited" in broken_rule(problem, sent)
    early = replace(problem, exams=(replace(problem.exams[0], ready=0),))
    assert "starts before now" in broken_rule(early, Plan((Placed("E1", "XR1", 19, None, Job(9), Job(29)),)))


def test_a_claim_that_is_not_so_is_no_plan() -> None:
    with pytest.raises(Broken, match="claims to cost 517, and costs 518"):
        check(PROBLEM, replace(PLAN, cost=517))
    with pytest.raises(Broken, match="lower bound 519 is above"):
        check(PROBLEM, replace(PLAN, lower_bound=519))
    with pytest.raises(Broken, match="E4 is neither"):
        check(PROBLEM, replace(PLAN, unplanned=()))


def test_exams_without_due_or_booking_cost_nothing_whenever_they_are() -> None:
    assert cost_of(PROBLEM, Plan((replace(E2, start=150), E3))) == 0
    fixed_late = replace(PROBLEM, exams=(replace(PROBLEM.exams[2], due=-10, weight=3),))
    assert cost_of(fixed_late, Plan((E3,))) == 30


def test_a_booking_that_is_kept_costs_nothing() -> None:
    kept = Placed("E1", "XR2", 40, "T1", Job(30, "P1"), Job(52, "P1"))
    assert cost_of(PROBLEM, Plan((kept,))) == 2 * 15


def test_all_that_is_wrong_can_be_asked_for() -> None:
    plan = Plan((replace(E1, room="XR9"), replace(E2, start=195), E3), ("E4",))
    told = list(broken_rules(PROBLEM, plan))
    assert [t.split(" ")[1] for t in told][:2] == ["E1", "E2"]
    assert len(told) >= 2


def test_a_way_of_no_length_holds_nobody_up() -> None:
    exams = tuple(Exam(n, n, {r: 10}, origin="HERE") for n, r in (("A", "XR1"), ("B", "XR2")))
    problem = replace(
        PROBLEM,
        exams=exams,
        now=0,
        technologists=None,
        travel={"HERE": 0},
        porters=(Porter("P1", ((0, 90),)),),
    )
    plan = Plan(
        tuple(Placed(e.id, next(iter(e.minutes)), 0, None, Job(0, "P1"), Job(10, "P1")) for e in exams)
    )
    assert broken_rule(problem, plan) == ""
