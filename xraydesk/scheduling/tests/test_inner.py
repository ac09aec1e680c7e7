"""The compiled inner loop: what `together` promises, and the same to the last bit as the lines that it was made from."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.properties import tried
from xraydesk.scheduling.engine import compiling, improve, inner
from xraydesk.scheduling.engine.board import Quick
from xraydesk.scheduling.engine.checker import check
from xraydesk.scheduling.engine.compiling import Uncompiled, is_compiled
from xraydesk.scheduling.engine.dispatch import dispatch
from xraydesk.scheduling.engine.grid import Grid
from xraydesk.scheduling.engine.placing import put_all
from xraydesk.scheduling.engine.problem import Exam, Problem, Room
from xraydesk.scheduling.engine.state import Day, NoPlan
from xraydesk.scheduling.engine.stop import Stop, after_steps
from xraydesk.scheduling.engine.together import COLD, HOT, Together
from xraydesk.scheduling.tests.problems import START, problems

few = settings(max_examples=tried(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    """As `make` does, where that was not done since the lines were changed."""
    if not is_compiled():
        subprocess.run([sys.executable, "-m", compiling.__name__], check=True)


def started(problem: Problem) -> Day | None:
    """A day to better; None where no plan can exist, or nothing in it can be moved by this search."""
    try:
        found = dispatch(problem)
    except NoPlan:
        return None
    return None if found.hours_overlap or not Grid(found).movable else found


def rows(search: Quick) -> list[object]:
    """All that a board knows of who stands where, and of what is free."""
    board = search.board
    line = [list(r[1 : 1 + r[0]]) for r in board.line.tolist()]
    return [
        board.free.tolist(), board.away.tolist(), board.owner.tolist(), line,
        [tuple(s) if s.option >= 0 else s.option for s in board.seats],
    ]  # fmt: skip


@few
@given(problems(), st.sampled_from([HOT, COLD, 30.0]), st.integers(0, 3))
def test_what_is_put_back_keeps_every_rule_and_costs_what_it_says(
    problem: Problem, heat: float, seed: int
) -> None:
    found = started(problem)
    if found is None:
        return
    before = found.cost_now
    search = Quick(Grid(found), Random(seed))
    search.run(2000, heat)
    assert search.tries == 2000
    assert search.best <= before + 1e-9
    assert put_all(found, search.grid.write(search.kept, search.kept_cost)), "all of it stands on the day"
    assert abs(found.cost_now - search.best) < 1e-6
    if not any(m > 1e8 for m in found.missing_cost):
        assert abs(check(problem, found.plan()) - search.best) < 1e-6


@few
@given(problems(), st.integers(0, 3))
def test_what_is_free_is_known_after_as_many_tries_as_one_likes(problem: Problem, seed: int) -> None:
    """The board as it stands is the board that is made from where everybody stands."""
    found = started(problem)
    if found is None:
        return
    search = Quick(Grid(found), Random(seed))
    search.run(300, HOT)
    grid = Grid(found)
    grid.load([search._seat(s) for s in search.board.seats], [float(s.cost) for s in search.board.seats])
    assert rows(Quick(grid, Random(0))) == rows(search)


@few
@given(problems(), st.integers(0, 3))
def test_compiled_it_finds_to_the_last_bit_what_the_lines_say(problem: Problem, seed: int) -> None:
    found = started(problem)
    if found is None:
        return
    search, plain = Quick(Grid(found), Random(seed)), Quick(Grid(found), Random(seed))
    plain.inner = Uncompiled(plain.board)
    assert not isinstance(search.inner, Uncompiled)
    for heat in (30.0, HOT):
        search.run(15, heat)
        plain.run(15, heat)
    assert rows(search) == rows(plain)
    assert (search.best, search.kept, search.kept_cost) == (plain.best, plain.kept, plain.kept_cost)
    assert search.board.dice.tolist() == plain.board.dice.tolist()


@few
@given(problems())
def test_what_another_search_found_is_taken_over_whole_or_not_at_all(problem: Problem) -> None:
    one, other = started(problem), started(problem)
    if one is None or other is None:
        return
    search, second = Quick(Grid(one), Random(1)), Quick(Grid(other), Random(2))
    search.run(30, HOT)
    second.run(200, COLD)
    assert put_all(other, second.grid.write(second.kept, second.kept_cost))
    best = min(search.best, other.cost_now)
    search.hear(other, [i for i in search.grid.movable if i % 2])
    assert search.best <= best + 1e-9
    search.run(30, COLD)
    assert put_all(one, search.grid.write(search.kept, search.kept_cost))
    assert abs(one.cost_now - search.best) < 1e-6


def test_two_on_two_cores_know_nothing_of_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a second there is no time for exact searches: both cores go the quick way, and the better day is taken."""
    made: list[Quick] = []

    def noted(grid: Grid, random: Random) -> Quick:
        made.append(Quick(grid, random))
        return made[-1]

    clock = iter(k * 0.008 for k in range(1_000))
    found = busy()
    monkeypatch.setattr(improve, "SOLVER", "nowhere")
    monkeypatch.setattr("xraydesk.scheduling.engine.board.Quick", noted)
    told = improve.improve(found, Stop(lambda: next(clock), 0.5), seed=1)
    assert len(made) == 2
    assert told.searches == 0
    assert all(search.tries for search in made)
    assert abs(found.cost_now - min(search.best for search in made)) < 1e-6


def test_without_compiled_code_nobody_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "is_compiled", lambda: False)
    grid = Grid(busy())
    assert isinstance(improve._quick(grid, Random(0), Stop(lambda: 0.0, 1.0)), Together)
    assert isinstance(improve._quick(grid, Random(0), after_steps(1)), Quick), "steps: the same everywhere"


def busy() -> Day:
    """Twelve exams in two rooms, who all wait from the same minute on."""
    exams = (Exam(f"E{k}", f"P{k}", {"XR1": 10 + k, "XR2": 12}, due=10, weight=1 + k % 3) for k in range(12))
    return dispatch(Problem(START, tuple(exams), (Room("XR1", ((0, 240),)), Room("XR2", ((0, 240),)))))


@pytest.mark.parametrize(
    "damage", [lambda told: told[:-1], lambda told: b"", lambda told: told[:40] + b"x" + told[41:]]
)
def test_code_that_is_not_whole_is_not_run(
    damage: Callable[[bytes], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "inner.o"
    file.write_bytes(damage(compiling._file().read_bytes()))
    monkeypatch.setattr(compiling, "_file", lambda: file)
    assert compiling._function.__wrapped__() is None


def test_without_a_compiler_at_all_the_lines_are_run_as_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "BACK_END", "nowhere")
    assert compiling._function.__wrapped__() is None
    monkeypatch.setattr(compiling, "_function", lambda: None)
    assert not compiling.is_compiled()
    search = Quick(Grid(busy()), Random(0))
    assert isinstance(search.inner, Uncompiled)
    before = search.best
    search.run(20, HOT)
    assert search.best < before


def test_whoever_is_left_out_presses_more_and_more_and_in_the_end_no_longer() -> None:
    """Two who need all of the room: one is left out. What that costs is told without the pressing."""
    exams = (Exam("E1", "P1", {"XR1": 40}), Exam("E2", "P2", {"XR1": 40}, weight=0.5))
    search = Quick(Grid(dispatch(Problem(START, exams, (Room("XR1", ((0, 60),)),)))), Random(0))
    assert search.best == 500
    search.run(640, inner.PUSH_HEAT)
    assert max(search.board.push) > 0
    assert search.board.total[inner.NOW] > 500
    assert (search.best, search.kept_cost) == (500, [0, 500])
    search.run(inner.REFRESH_TRIES, COLD)
    assert list(search.board.push) == [0, 0]
    assert (search.board.total[inner.PRESSING], search.board.total[inner.NOW]) == (0, 500)
