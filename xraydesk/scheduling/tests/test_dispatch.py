"""A day planned at once: which order it is made in depends on the day."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from tests.shared_data import shared_data
from xraydesk.scheduling.engine.checker import check
from xraydesk.scheduling.engine.dispatch import by_urgency, dispatch, keep_bookings, place, sweep
from xraydesk.scheduling.engine.problem import Booked, Exam, Problem, Room
from xraydesk.scheduling.engine.reading import read_problem
from xraydesk.scheduling.engine.state import Day
from xraydesk.scheduling.engine.stop import Stop, after_steps
from xraydesk.scheduling.tests.problems import START, day, problems


def booked(n: int, start: int, per_minute: float) -> Exam:
    return Exam(f"E{n}", f"P{n}", {"XR1": 20}, booked=Booked("XR1", start, per_minute=per_minute))


def full_room(*, per_minute: float) -> Problem:
    """One room, booked without a gap for an hour and free after it."""
    exams = tuple(booked(n, n * 20, per_minute) for n in range(3))
    return Problem(START, exams, (Room("XR1", ((0, 200),)),))


def with_stat(problem: Problem, weight: float) -> Problem:
    stat = Exam("N1", "S", {"XR1": 10}, priority="stat", due=0, weight=weight)
    return replace(problem, exams=(*problem.exams, stat))


def test_on_a_full_day_bookings_give_way_to_a_stat() -> None:
    starts = {p.exam: p.start for p in dispatch(with_stat(full_room(per_minute=0.1), 20)).plan().placed}
    assert starts["N1"] == 0
    assert len(starts) == 4


def test_bookings_that_are_dear_to_move_stay() -> None:
    starts = {p.exam: p.start for p in dispatch(with_stat(full_room(per_minute=50), 2)).plan().placed}
    assert starts == {"E0": 0, "E1": 20, "E2": 40, "N1": 60}


@given(problems(overlapping=True))
def test_it_keeps_every_rule_and_costs_no_more_than_bookings_first(problem: Problem) -> None:
    plain = Day(problem)
    keep_bookings(plain)
    place(plain, by_urgency(plain))
    plan = dispatch(problem).plan()
    assert check(problem, plan) <= plain.cost_now + 1e-6
    assert {e.id for e in problem.exams if e.fixed} <= {p.exam for p in plan.placed}


def chain(length: int) -> Problem:
    """Exams of ten minutes, each after the one before it, and two rooms."""
    hours = ((0, 10 * length),)
    exams = tuple(
        Exam(
            f"E{n}", f"P{n}", {"XR1": 10, "XR2": 10}, due=0, weight=length - n, after=(f"E{n - 1}",) * (n > 0)
        )
        for n in range(length)
    )
    return Problem(START, exams, (Room("XR1", hours), Room("XR2", hours)))


def test_minute_by_minute_whoever_comes_after_another_waits_until_that_one_has_a_place() -> None:
    made = sweep(chain(30), patience=1.0)
    assert made is not None
    assert made.start == [10 * n for n in range(30)]


def test_minute_by_minute_whoever_comes_after_two_others_waits_for_both() -> None:
    room = (Room("XR1", ((0, 60),)),)
    exams = (
        Exam("E1", "P1", {"XR1": 10}),
        Exam("E2", "P2", {"XR1": 10}, ready=20),
        Exam("E3", "P3", {"XR1": 10}, after=("E1", "E2")),
    )
    made = sweep(Problem(START, exams, room), patience=1.0)
    assert made is not None
    assert made.start == [0, 20, 30]


def test_a_day_made_minute_by_minute_is_left_where_its_time_is_over() -> None:
    looks = iter(range(10_000))
    stop = Stop(clock=lambda: next(looks), deadline=20)
    assert sweep(chain(30), patience=1.0, stop=stop) is None
    assert next(looks) <= 22, "it looked at the clock each minute"


def test_without_time_the_first_of_several_days_has_to_do() -> None:
    problem = with_stat(full_room(per_minute=0.1), 20)
    starts = {p.exam: p.start for p in dispatch(problem, after_steps(0)).plan().placed}
    assert starts == {"E0": 0, "E1": 20, "E2": 40, "N1": 60}
    assert dispatch(problem, after_steps(1)).cost_now < dispatch(problem, after_steps(0)).cost_now


def test_the_same_day_is_planned_the_same_way_twice() -> None:
    problem = day(exams=80, rooms=5, seed=4, stats=5)
    assert dispatch(problem).plan() == dispatch(problem).plan()


@pytest.mark.data
@pytest.mark.parametrize("name", ["stat-0050", "stat-0200", "stat-1000", "morning-1000", "overload-0100"])
def test_real_days_keep_every_rule(name: str) -> None:
    problem = read_problem((shared_data("plan") / f"{name}.json").read_bytes())
    check(problem, dispatch(problem).plan())
