"""A longer search for one exam: clearly better than the first answer or nothing, by every rule, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.properties import tried
from xraydesk.scheduling import refining
from xraydesk.scheduling.engine import refine
from xraydesk.scheduling.engine.checker import broken_rule, cost_of
from xraydesk.scheduling.engine.firstcome import first_come
from xraydesk.scheduling.engine.insertion import Planner, applied
from xraydesk.scheduling.engine.problem import Booked, Exam, Placed, Plan, Problem, Room, Technologist
from xraydesk.scheduling.engine.refine import WORTH_A_MOVE, WORTH_SHOWING, refined
from xraydesk.scheduling.engine.stop import after_steps
from xraydesk.scheduling.refining import NoTurn, better_plan
from xraydesk.scheduling.tests.problems import START, problems

STEPS = 3


@pytest.fixture(autouse=True)
def time_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine finds what an idle one does."""
    monkeypatch.setattr(refining, "SECONDS", 2.0)
    monkeypatch.setattr(refining, "PROCESS_SECONDS_MAX", 90.0)


CHAIN = 6


def chain() -> tuple[Problem, Plan]:
    """Six exams one after the other, none of which likes to be much later, then ten minutes free: all six could be a little."""
    booked = [
        Exam(
            f"E{n}",
            f"P{n}",
            {"XR1": 10},
            due=10 * n + 12,
            weight=5,
            ready=10 * n,
            booked=Booked("XR1", 10 * n, "T1", per_minute=0.1),
        )
        for n in range(CHAIN)
    ]
    last = Exam("E9", "P9", {"XR1": 200}, ready=70, due=70, weight=50, booked=Booked("XR1", 70, "T1"))
    wanted = Exam("N1", "S1", {"XR1": 10}, priority="stat", due=0, weight=20)
    problem = Problem(
        START, (*booked, last, wanted), (Room("XR1", ((0, 700),)),), (Technologist("T1", ((0, 700),)),)
    )
    placed = [Placed(e.id, "XR1", e.booked.start, "T1") for e in (*booked, last) if e.booked]
    return problem, Plan(tuple(placed), ("N1",))


def first(problem: Problem, plan: Plan, wanted: str) -> Plan:
    """What is on the screen first."""
    return applied(problem, plan, Planner(problem, plan).options((wanted,))[0])


def moved(problem: Problem, plan: Plan) -> int:
    booked = {e.id: (e.booked.room, e.booked.start) for e in problem.exams if e.booked}
    return sum(p.exam in booked and (p.room, p.start) != booked[p.exam] for p in plan.placed)


def test_a_chain_that_the_first_search_is_too_short_for_is_found() -> None:
    problem, plan = chain()
    than = first(problem, plan, "N1")
    found = refined(problem, plan, wanted=["N1"], than=than, stop=after_steps(STEPS))
    assert found is not None
    assert broken_rule(problem, found) == ""
    more = max(0, moved(problem, found) - moved(problem, than))
    assert cost_of(problem, found) <= cost_of(problem, than) - WORTH_SHOWING - WORTH_A_MOVE * more
    assert next(p for p in found.placed if p.exam == "N1").start == 0
    assert cost_of(problem, found) == pytest.approx(CHAIN * 10 * 0.1)
    again = refined(problem, plan, wanted=["N1"], than=than, stop=after_steps(STEPS))
    assert again == found, "the same answer however often it is asked"


def test_what_is_best_already_is_left_as_it_is() -> None:
    problem, plan = chain()
    best = refined(problem, plan, wanted=["N1"], than=first(problem, plan, "N1"), stop=after_steps(STEPS))
    assert best is not None
    assert refined(problem, plan, wanted=["N1"], than=best, stop=after_steps(STEPS)) is None


def test_a_little_better_for_many_moves_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same chain where being late costs little: six moves are not worth what they save."""
    problem, plan = chain()
    mild = replace(
        problem,
        exams=tuple(replace(e, weight=0.01) if e.booked else replace(e, weight=0.5) for e in problem.exams),
    )
    than = first(mild, plan, "N1")
    assert refined(mild, plan, wanted=["N1"], than=than, stop=after_steps(STEPS)) is None
    monkeypatch.setattr(refine, "WORTH_SHOWING", 0.01)
    monkeypatch.setattr(refine, "WORTH_A_MOVE", 0.0)
    found = refined(mild, plan, wanted=["N1"], than=than, stop=after_steps(STEPS))
    assert found is not None
    assert moved(mild, found) > moved(mild, than)


def test_a_plan_that_does_not_stand_and_an_exam_that_is_left_out_are_not_looked_at() -> None:
    problem, plan = chain()
    than = first(problem, plan, "N1")
    twice = replace(than, placed=(*than.placed[:-1], replace(than.placed[-1], start=than.placed[0].start)))
    for wrong in (plan, twice):
        assert refined(problem, plan, wanted=["N1"], than=wrong, stop=after_steps(STEPS)) is None


@settings(max_examples=tried(40), deadline=None, suppress_health_check=list(HealthCheck))
@given(problems(exams_max=6), st.data())
def test_whatever_is_found_keeps_every_rule_and_is_clearly_better(
    problem: Problem, data: st.DataObject
) -> None:
    whole = first_come(problem)
    free = [e.id for e in problem.exams if not e.fixed and not any(e.id in o.after for o in problem.exams)]
    if not free or broken_rule(problem, whole):
        return
    wanted = data.draw(st.sampled_from(free))
    plan = Plan(tuple(p for p in whole.placed if p.exam != wanted), tuple({*whole.unplanned, wanted}))
    options = Planner(problem, plan).options((wanted,), options_max=4)
    if not options or any(m.exam == wanted and m.after is None for m in options[-1].moves):
        return
    than = applied(problem, plan, options[-1])
    found = refined(problem, plan, wanted=[wanted], than=than, stop=after_steps(STEPS))
    if found is not None:
        assert broken_rule(problem, found) == ""
        assert wanted in {p.exam for p in found.placed}
        assert cost_of(problem, found) <= cost_of(problem, than) - WORTH_SHOWING


@pytest.mark.link
def test_it_is_found_in_a_process_of_its_own_and_leaves_nothing_in_this_one() -> None:
    problem, plan = chain()
    than = first(problem, plan, "N1")
    found = better_plan(problem, plan, wanted=["N1"], than=than)
    assert found is not None
    assert broken_rule(problem, found) == ""
    assert cost_of(problem, found) < cost_of(problem, than)
    assert better_plan(problem, plan, wanted=["N1"], than=found) is None


@pytest.mark.link
def test_a_desk_at_rest_has_not_loaded_the_optimiser() -> None:
    """What answers pages imports the question, not the search."""
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, xraydesk.scheduling.refining as r; print('ortools' in sys.modules, r.AT_ONCE_MAX)",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.split() == ["False", "1"]


@pytest.mark.link
def test_one_at_a_time_is_looked_for_and_whoever_asks_meanwhile_is_told() -> None:
    problem, plan = chain()
    than = first(problem, plan, "N1")
    with refining._turn, pytest.raises(NoTurn):
        better_plan(problem, plan, wanted=["N1"], than=than)
    assert better_plan(problem, plan, wanted=["N1"], than=than) is not None


@pytest.mark.parametrize("answer", [b"", b"{", b'{"format": "xraydesk.plan/1"}'])
def test_an_answer_that_is_none_leaves_the_first_one(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    problem, plan = chain()
    than = first(problem, plan, "N1")

    def said(*_: Any, **__: Any) -> Any:
        return subprocess.CompletedProcess([], 0, stdout=answer)

    monkeypatch.setattr(subprocess, "run", said)
    assert better_plan(problem, plan, wanted=["N1"], than=than) is None


def test_an_answer_that_breaks_a_rule_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, plan = chain()
    than = first(problem, plan, "N1")
    twice = replace(than, placed=tuple(replace(p, start=0) for p in than.placed))

    def said(*_: Any, **__: Any) -> Any:
        return subprocess.CompletedProcess([], 0, stdout=json.dumps(refining.plan_as_json(twice)).encode())

    monkeypatch.setattr(subprocess, "run", said)
    assert better_plan(problem, plan, wanted=["N1"], than=than) is None


@pytest.mark.link
def test_a_search_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, plan = chain()
    monkeypatch.setattr(refining, "PROCESS_SECONDS_MAX", 0.01)
    assert better_plan(problem, plan, wanted=["N1"], than=first(problem, plan, "N1")) is None


def test_several_who_lost_their_places_are_bettered_together_and_none_of_them_is_left_out_for_it() -> None:
    problem, plan = chain()
    other = Exam("N2", "S2", {"XR2": 10}, due=0, weight=5)
    both = replace(
        problem,
        exams=(*problem.exams, other),
        rooms=(*problem.rooms, Room("XR2", ((0, 700),))),
        technologists=(*(problem.technologists or ()), Technologist("T2", ((0, 700),))),
    )
    before = Plan(plan.placed, ("N1", "N2"))
    than = applied(both, before, Planner(both, before).options(("N1", "N2"))[0])
    found = refined(both, before, wanted=["N1", "N2"], than=than, stop=after_steps(2 * STEPS))
    assert found is not None
    assert broken_rule(both, found) == ""
    assert found.unplanned == ()
    assert cost_of(both, found) < cost_of(both, than)
    without = replace(than, placed=tuple(p for p in than.placed if p.exam not in ("N1", "N2")))
    nobody = replace(without, unplanned=("N1", "N2"))
    assert refined(both, before, wanted=["N1", "N2"], than=nobody, stop=after_steps(STEPS)) is None
    partly = Plan(tuple(p for p in than.placed if p.exam != "N1"), ("N1",))
    mended = refined(both, before, wanted=["N1", "N2"], than=partly, stop=after_steps(2 * STEPS))
    assert mended is not None
    assert {p.exam for p in mended.placed} >= {"N2"}
