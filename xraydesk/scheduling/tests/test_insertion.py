"""A place asked for by hand: what would have to move, or that it cannot be."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xraydesk.scheduling.engine.checker import broken_rule, cost_of
from xraydesk.scheduling.engine.explain import why_not
from xraydesk.scheduling.engine.firstcome import first_come
from xraydesk.scheduling.engine.insertion import APART_MINUTES, Option, Planner, applied
from xraydesk.scheduling.engine.moving import NotPlaced
from xraydesk.scheduling.engine.problem import Placed, Problem
from xraydesk.scheduling.tests.problems import day, problems


@given(problems(overlapping=True), st.data())
def test_a_place_asked_for_keeps_every_rule_or_has_a_reason_why_not(
    problem: Problem, data: st.DataObject
) -> None:
    plan = first_come(problem)
    planner = Planner(problem, plan)
    stands = planner.day.plan()
    for exam in problem.exams:
        if exam.fixed:
            continue
        room = data.draw(st.sampled_from(sorted(exam.minutes)))
        start = data.draw(st.integers(0, 120))
        option = planner.at_place(exam.id, room, start)
        why = why_not(problem, plan, exam=exam.id, room=room, start=start)
        assert planner.day.plan() == stands, "the day stands as it did"
        if option is None:
            assert why
            continue
        after = applied(problem, plan, option)
        assert broken_rule(problem, after) == ""
        assert cost_of(problem, after) - cost_of(problem, plan) == pytest.approx(option.cost)
        if not why:
            assert {m.exam for m in option.moves} <= {exam.id}, "nobody else moves where the place is free"


def test_each_option_for_a_stat_is_a_choice_of_its_own() -> None:
    problem = day(exams=60, rooms=4, seed=8, stats=6)
    booked = replace(problem, exams=tuple(e for e in problem.exams if e.booked))
    news = tuple(e.id for e in problem.exams if not e.booked)
    planner = Planner(problem, replace(first_come(booked), unplanned=news))
    for name in news:
        options = planner.options((name,))
        assert len(options) >= 2
        for k, one in enumerate(options):
            for other in options[:k]:
                assert _differ(name, one, other)


def _differ(name: str, one: Option, other: Option) -> bool:
    a, b = _place(name, one), _place(name, other)
    apart = a.room != b.room or abs(a.start - b.start) >= APART_MINUTES
    return apart or {m.exam for m in one.moves} != {m.exam for m in other.moves}


def _place(name: str, option: Option) -> Placed:
    return next(m.after for m in option.moves if m.exam == name and m.after)


def test_an_exam_that_was_left_out_cannot_be_made_better_and_it_is_said_so() -> None:
    problem = day(exams=12, rooms=2, seed=1)
    planner = Planner(problem, first_come(problem))
    number = planner.day.number[problem.exams[0].id]
    if planner.day.room[number] >= 0:
        planner.day.take(number)
    before = planner.day.plan()
    with pytest.raises(NotPlaced, match=f"Exam {problem.exams[0].id} has no place"):
        planner.mover.better(number, [])
    assert planner.day.plan() == before
