"""A STAT let into a booked day, while somebody waits: how long until the options are there.

Method. Two days are made from a seed: 60 exams in 4 rooms and 1,000 exams in 30 rooms, each booked
at 85 % of its rooms' hours, with technologists (a third of whom may take children), porters for a
quarter of the patients, and bookings that cost something to move. Then one STAT at a time asks for
options, each at its own random minute, in half of the rooms, the day standing as booked before
and after each question; the day lies in memory, as it does while a coordinator looks at it. Every
option is judged by the checker, outside the measured time. Printed are the median and the 99th
percentile in milliseconds of wall time and of this process's CPU time, and beside them, in turn
with it in the same run: the cheapest place that needs nobody to move (what a calendar with rules
would say), and the whole day read into memory (what the first question costs more). Then by how
much the patients wait less than if nobody had moved (who has no place at all counts as so many
minutes as it costs to leave them out). With files of `xraydesk.plan/1` as arguments, their exams
without a booking are let in one at a time, the others standing as booked.

    python benchmarks/insertion.py [questions] [FILE...]
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from xraydesk.scheduling.engine.checker import broken_rule, cost_of
from xraydesk.scheduling.engine.dispatch import keep_bookings
from xraydesk.scheduling.engine.firstcome import first_come
from xraydesk.scheduling.engine.insertion import Planner, applied
from xraydesk.scheduling.engine.problem import Booked, Exam, Plan, Porter, Problem, Room, Technologist
from xraydesk.scheduling.engine.reading import read_problem
from xraydesk.scheduling.engine.state import Day

DAYS = ((60, 4), (1000, 30))
FULL = 0.85
EXAM_MINUTES = (8, 10, 12, 15, 20)
CLEANING_MINUTES = 3
WARM_UP = 3
FILE_ROUNDS = 10


def booked_day(exams: int, rooms: int, stats: int, seed: int = 1) -> Problem:
    """A day booked first come, first served, and urgent exams that have no place yet."""
    random = Random(seed)
    mean = statistics.mean(EXAM_MINUTES) + CLEANING_MINUTES
    end = int(exams * mean / rooms / FULL)
    names = [f"XR{n}" for n in range(1, rooms + 1)]
    people = tuple(
        Technologist(f"T{n}", ((0, end),), frozenset(("general", "peds") if n % 3 == 0 else ("general",)))
        for n in range(int(rooms * 1.3) + 1)
    )
    # A quarter are fetched and taken back, some 24 minutes of a porter each: so many, and a few more.
    porters = tuple(Porter(f"P{n}", ((0, end),)) for n in range(int(exams / 4 * 24 / end * 1.4) + 1))
    empty = Problem(
        start=datetime(2026, 3, 2, 12, 0, tzinfo=UTC),
        exams=tuple(_exam(random, n, names, end) for n in range(exams)),
        rooms=tuple(Room(name, ((0, end),)) for name in names),
        technologists=people,
        porters=porters,
        travel={"W1": 4, "W2": 6, "W3": 8},
    )
    places = {p.exam: p for p in first_come(empty).placed}
    booked = [
        replace(
            e,
            ready=max(0, places[e.id].start - 30),
            booked=Booked(
                places[e.id].room,
                places[e.id].start,
                places[e.id].technologist,
                per_minute=random.choice((0.1, 0.2, 0.5, 1.0)),
                per_room=random.choice((0, 2, 5)),
            ),
        )
        for e in empty.exams
        if e.id in places
    ]
    return replace(empty, exams=(*booked, *(_stat(random, n, names, end) for n in range(stats))))


def _exam(random: Random, n: int, rooms: Sequence[str], end: int) -> Exam:
    able = random.sample(rooms, max(2, len(rooms) // 3))
    return Exam(
        id=f"E{n}",
        patient=f"A{n}",
        minutes=dict.fromkeys(sorted(able), random.choice(EXAM_MINUTES)),
        ready=random.randrange(0, int(end * 0.9)),
        cleaning=CLEANING_MINUTES,
        skills=frozenset({"peds" if random.random() < 0.15 else "general"}),
        origin=random.choice(("W1", "W2", "W3")) if random.random() < 0.25 else None,
    )


def _stat(random: Random, n: int, rooms: Sequence[str], end: int) -> Exam:
    ready = random.randrange(20, int(end * 0.8))
    return Exam(
        id=f"N{n}",
        patient=f"B{n}",
        minutes=dict.fromkeys(sorted(random.sample(rooms, max(2, len(rooms) // 2))), 10),
        priority="stat",
        ready=ready,
        due=ready + 5,
        weight=20.0,
        cleaning=CLEANING_MINUTES,
        skills=frozenset({"peds" if random.random() < 0.15 else "general"}),
        origin=random.choice(("W1", "W2", "W3")) if random.random() < 0.3 else None,
    )


def as_booked(problem: Problem) -> Plan:
    """The plan in force: whoever is booked, in its place."""
    day = Day(problem)
    keep_bookings(day)
    return day.plan()


def measured(what: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU milliseconds of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    what()
    return (time.perf_counter() - wall) * 1000, (time.process_time() - cpu) * 1000


def judged(planner: Planner, exam: str) -> tuple[float, float]:
    """What the best option and the best place without a move cost; every option kept to the rules."""
    problem, plan = planner.problem, planner.plan
    before = cost_of(problem, plan)
    options = planner.options((exam,))
    for option in options:
        after = applied(problem, plan, option)
        broken = broken_rule(problem, after)
        assert not broken, broken
        assert abs(cost_of(problem, after) - before - option.cost) < 1e-6
    i = planner.day.number[exam]
    alone = planner.day.cheapest(i)
    missing = planner.day.missing_cost[i]
    return (options[0].cost + missing if options else missing), (alone.cost if alone else missing)


def ask(title: str, problem: Problem, questions: Sequence[str]) -> None:
    """Ask for each exam in turn, print."""
    plan = as_booked(problem)
    planner = Planner(problem, plan)
    planner.lost = ()  # Each question is about one exam: whoever else has no place is not asked for.
    times: dict[str, list[tuple[float, float]]] = {"options": [], "no move": [], "day read": []}
    gains: list[float] = []
    moved: list[int] = []
    for turn, exam in enumerate([*questions[:WARM_UP], *questions]):
        i = planner.day.number[exam]
        found = measured(lambda exam=exam: planner.options((exam,)))
        alone = measured(lambda i=i: planner.day.cheapest(i))
        if turn < WARM_UP:
            continue
        times["options"].append(found)
        times["no move"].append(alone)
        if turn < WARM_UP + 10:
            times["day read"].append(measured(lambda: Planner(problem, plan)))
        best, free = judged(planner, exam)
        gains.append((free - best) / minute_cost(problem, exam))
        options = planner.options((exam,))
        moved.append(len(options[0].moves) - 1 if options else 0)
    booked = sum(e.booked is not None for e in problem.exams)
    asked = len(times["options"])
    print(f"{title}: {booked} booked exams, {len(problem.rooms)} rooms, {asked} questions")
    for name, took in times.items():
        walls, cpus = sorted(w for w, _ in took), sorted(c for _, c in took)
        print(
            f"  {name:10} median {statistics.median(walls):7.2f} ms  p99 {_p99(walls):7.2f} ms  "
            f"CPU median {statistics.median(cpus):7.2f} ms  p99 {_p99(cpus):7.2f} ms"
        )
    print(
        f"  the best option is worth {statistics.mean(gains):.1f} minutes of the patient's waiting on average, "
        f"{max(gains):.0f} at most, beside the best place without a move; {statistics.mean(moved):.1f} others move"
    )


def minute_cost(problem: Problem, exam: str) -> float:
    """What a minute of an exam's waiting costs."""
    return next(e.weight for e in problem.exams if e.id == exam) or 1.0


def _p99(ordered: Sequence[float]) -> float:
    return ordered[min(len(ordered) - 1, round(0.99 * (len(ordered) - 1)))]


def main(questions: int, files: Sequence[str]) -> None:
    """Make the days, ask, print."""
    for exams, rooms in () if files else DAYS:
        problem = booked_day(exams, rooms, questions)
        ask("made", problem, [e.id for e in problem.exams if e.booked is None])
    for name in files:
        problem = read_problem(Path(name).read_bytes())
        new = [e.id for e in problem.exams if e.booked is None and e.fixed is None]
        ask(Path(name).name, problem, new * FILE_ROUNDS)


if __name__ == "__main__":
    count = [a for a in sys.argv[1:] if a.isdigit()]
    main(int(count[0]) if count else 200, [a for a in sys.argv[1:] if not a.isdigit()])
