"""Exams taken out and put back together: every rule kept, every cost told rightly, everything undone that is not better."""

from __future__ import annotations

from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.properties import tried
from xraydesk.scheduling.engine.checker import check
from xraydesk.scheduling.engine.dispatch import dispatch
from xraydesk.scheduling.engine.firstcome import first_come
from xraydesk.scheduling.engine.grid import Grid
from xraydesk.scheduling.engine.placing import put_all
from xraydesk.scheduling.engine.problem import (
    Booked,
    Exam,
    Fixed,
    Placed,
    Plan,
    Porter,
    Problem,
    Room,
    Technologist,
)
from xraydesk.scheduling.engine.problem import Job as Way
from xraydesk.scheduling.engine.solve import lower_bound, solve
from xraydesk.scheduling.engine.state import Day, NoPlan, day_of_plan
from xraydesk.scheduling.engine.stop import after_steps
from xraydesk.scheduling.engine.together import COLD, HOT, Together
from xraydesk.scheduling.tests.problems import START, day, problems

few = settings(max_examples=tried(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])


def started(problem: Problem) -> Day | None:
    """A day to better; None where no plan can exist, or where its hours keep it from this search."""
    try:
        found = dispatch(problem)
    except NoPlan:
        return None
    return None if found.hours_overlap else found


@few
@given(problems(), st.sampled_from([HOT, COLD]), st.integers(0, 3))
def test_what_is_put_back_keeps_every_rule_and_costs_what_it_says(
    problem: Problem, heat: float, seed: int
) -> None:
    found = started(problem)
    if found is None or not Grid(found).movable:
        return
    before = found.cost_now
    search = Together(Grid(found), Random(seed))
    search.run(150, heat)
    assert search.best <= before + 1e-9
    assert put_all(found, search.grid.write(search.kept, search.kept_cost)), "all of it stands on the day"
    assert abs(found.cost_now - search.best) < 1e-6
    if not any(m > 1e8 for m in found.missing_cost):
        assert abs(check(problem, found.plan()) - search.best) < 1e-6


@few
@given(problems(), st.integers(0, 3))
def test_a_try_that_is_not_kept_leaves_nothing_behind(problem: Problem, seed: int) -> None:
    found = started(problem)
    if found is None or not Grid(found).movable:
        return
    grid, random = Grid(found), Random(seed)
    for _ in range(20):
        state = picture(grid)
        grid.begin()
        out = random.sample(grid.movable, random.randint(1, len(grid.movable)))
        out = [i for i in out if not found.after[i] and not found.followers[i]]
        for i in out:
            if grid.seat[i] is not None:
                grid.take(i)
        for i in out:
            place = grid.cheapest(i, 1e12, random)
            if place:
                grid.put(i, place[1], place[0])
        grid.undo()
        assert picture(grid) == state


def picture(grid: Grid) -> object:
    """All that a grid knows of who stands where, and of what is free."""
    return (
        list(grid.seat), list(grid.cost), grid.total, list(grid.room_free), list(grid.person_free),
        list(grid.patient_free), [list(c) for c in grid.counts], [list(r) for r in grid.in_room],
        [list(p) for p in grid.in_hand],
    )  # fmt: skip


@few
@given(problems())
def test_what_another_search_found_is_taken_over_whole_or_not_at_all(problem: Problem) -> None:
    one, other = started(problem), started(problem)
    if one is None or other is None or not Grid(one).movable:
        return
    search, second = Together(Grid(one), Random(1)), Together(Grid(other), Random(2))
    search.run(30, HOT)
    second.run(60, COLD)
    assert put_all(other, second.grid.write(second.kept, second.kept_cost))
    best = min(search.best, other.cost_now)
    search.hear(other, [i for i in search.grid.movable if i % 2])
    assert search.best <= best + 1e-9
    assert put_all(one, search.grid.write(search.kept, search.kept_cost))
    assert abs(one.cost_now - search.best) < 1e-6


def test_a_place_is_found_by_giving_another_exam_to_another_technologist() -> None:
    """The only one who can do it is at work on what somebody else could do as well."""
    people = (
        Technologist("T1", ((0, 60),), frozenset({"general", "fluoro"})),
        Technologist("T2", ((0, 60),), frozenset({"general"})),
    )
    general, fluoro = frozenset({"general"}), frozenset({"fluoro"})
    exams = (
        Exam("G", "g", {"XR1": 20}, skills=general, booked=Booked("XR1", 0, "T1", per_minute=5)),
        Exam("F", "f", {"XR2": 20}, skills=fluoro, due=0, weight=9),
    )
    problem = Problem(START, exams, (Room("XR1", ((0, 60),)), Room("XR2", ((0, 60),))), technologists=people)
    found, _ = day_of_plan(problem, Plan((Placed("G", "XR1", 0, "T1"),), ("F",)))
    grid = Grid(found)
    place = grid.cheapest(1, 1e9, Random(2))
    assert place is not None
    assert (place[0], place[1][:3]) == (0.0, (1, 0, 0))
    assert grid.seat[0] is not None
    assert grid.seat[0][:3] == (0, 0, 1), "what stood in its way goes on with somebody else"


def test_room_is_made_by_small_moves_of_many() -> None:
    """Six gaps of five minutes make the half hour that one more exam takes."""
    booked = tuple(
        Exam(f"B{n}", f"b{n}", {"XR1": 25}, booked=Booked("XR1", 30 * n, None, 0.1)) for n in range(6)
    )
    problem = Problem(
        START, (*booked, Exam("N", "n", {"XR1": 30}, due=0, weight=1)), (Room("XR1", ((0, 180),)),)
    )
    plan = solve(problem, after_steps(2)).plan
    assert check(problem, plan) < 400
    assert plan.unplanned == ()


def test_a_long_day_is_planned_all_the_same() -> None:
    exams = tuple(Exam(f"E{n}", f"p{n}", {"XR1": 20}, ready=9_000 * n, due=0) for n in range(3))
    problem = Problem(START, exams, (Room("XR1", ((0, 20_000),)),))
    plan = solve(problem, after_steps(2)).plan
    assert check(problem, plan) <= first_come(problem).cost


def test_a_bound_holds_where_fixed_returns_could_be_other_porters() -> None:
    """Whoever brings the fixed exam's patient back may first fetch another: no bound rules that out."""
    fixed = Exam("F", "f", {"XR1": 10}, origin="W", fixed=Fixed("XR1", 0))
    other = Exam("E", "e", {"XR2": 10}, origin="W", due=20, weight=3)
    problem = Problem(
        START, (fixed, other), (Room("XR1", ((0, 60),)), Room("XR2", ((0, 60),))),
        porters=(Porter("P", ((10, 100),)),), travel={"W": 5},
    )  # fmt: skip
    better = Plan(
        (
            Placed("F", "XR1", 0, back=Way(20, "P")),
            Placed("E", "XR2", 20, fetch=Way(10, "P"), back=Way(30, "P")),
        )
    )
    cost = check(problem, better)
    assert cost == 0
    assert lower_bound(dispatch(problem)) <= cost
    told = solve(problem, after_steps(3)).plan.lower_bound
    assert told is not None
    assert told <= cost


@few
@given(problems(exams_max=5), st.integers(0, 9))
def test_no_plan_of_a_long_search_costs_less_than_the_bound(problem: Problem, seed: int) -> None:
    try:
        told = solve(problem, after_steps(2)).plan
    except NoPlan:
        return
    found = started(problem)
    if found is None or told.lower_bound is None or not Grid(found).movable:
        return
    search = Together(Grid(found), Random(seed))
    search.run(300, HOT)
    assert told.lower_bound <= search.best + 1e-6


def test_a_booked_day_with_stats_is_bettered_by_it_alone() -> None:
    problem = day(exams=60, rooms=4, seed=9, stats=6)
    found = dispatch(problem)
    before = found.cost_now
    search = Together(Grid(found), Random(0))
    search.run(400, COLD)
    assert search.best < before / 2
