"""A day under way as the planner is told of it: what may move, what keeps its place, who brings whom."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from xraydesk.scheduling.engine.checker import broken_rule
from xraydesk.scheduling.engine.department import Department, Need, RoomTimes, TechnologistTimes
from xraydesk.scheduling.engine.problem import Exam, Job
from xraydesk.scheduling.engine.spans import Span
from xraydesk.scheduling.engine.under_way import Costs, PorterTimes, Standing, Told, tell_planner

START = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
MIN = timedelta(minutes=1)
END = START + 600 * MIN
OPEN = (Span(START - 60 * MIN, START + 540 * MIN),)
ROOMS = (
    RoomTimes(1, "XR1", "general", OPEN),
    RoomTimes(2, "XR2", "general", OPEN, busy=((), ())),
    RoomTimes(3, "PORT", "portable", OPEN),
)
PEOPLE = (
    TechnologistTimes(1, "T1", "Ann", frozenset({"general"}), OPEN),
    TechnologistTimes(2, "T2", "Bob", frozenset({"general", "peds"}), OPEN),
)
DEPARTMENT = Department("UTC", ROOMS, PEOPLE, cleaning=5 * MIN)
NEED = Need(now=START, until=END, minutes=10, room_kinds=frozenset({"general"}))


def at(first: float, length: float = 10) -> Span:
    return Span(START + first * MIN, START + (first + length) * MIN)


def one(name: str, first: float | None = None, **fields: Any) -> Standing:
    length = fields.pop("length", 10)
    given: dict[str, Any] = {"patient": name, "need": NEED, "room": "XR1", "technologist": "T1"} | fields
    return Standing(name, span=None if first is None else at(first, length), **given)


def told(*exams: Standing, department: Department = DEPARTMENT, **fields: Any) -> Told:
    found = tell_planner(department, exams, start=START, until=END, **fields)
    assert broken_rule(found.problem, found.plan) == "", "the plan in force stands"
    return found


def exam(found: Told, name: str) -> Exam:
    return next(e for e in found.problem.exams if e.id == name)


def test_what_is_booked_and_has_not_begun_may_move_at_a_cost() -> None:
    found = told(one("A", 30, told_time=True), one("B", 60, here=True), one("C", 90))
    assert [p.start for p in found.plan.placed] == [30, 60, 90]
    costs = Costs()
    assert [e.booked and e.booked.per_minute for e in found.problem.exams] == [
        costs.outpatient_moved_minute,
        costs.here_moved_minute,
        costs.inpatient_moved_minute,
    ]
    assert exam(found, "A").ready == 30, "nobody is called to come sooner than they were told"
    assert exam(found, "C").ready == 0
    assert exam(found, "A").minutes.keys() == {"XR1", "XR2", "XR2#2"}
    assert found.seats["XR2#2"] == ("XR2", 1)


def test_who_is_booked_in_one_building_is_not_sent_to_another() -> None:
    rooms = (ROOMS[0], replace(ROOMS[1], location=7))
    found = told(one("A", 30), one("N"), department=replace(DEPARTMENT, rooms=rooms), wanted=("N",))
    assert exam(found, "A").minutes.keys() == {"XR1"}
    assert exam(found, "N").minutes.keys() == {"XR1", "XR2", "XR2#2"}


def test_what_has_begun_or_passed_or_is_held_keeps_its_room_and_people() -> None:
    found = told(
        one("begun", -5, until=START + 20 * MIN),
        one("passed", -30),
        one("late", -2, room="XR2", technologist="T2"),
        one("held", 100, pinned=True),
        one("odd", 200.5),
        one("beyond", 595, room="XR2"),
    )
    assert found.problem.exams == ()
    rooms = {r.id: r.open for r in found.problem.rooms}
    assert rooms["XR1"] == ((25, 100), (115, 200), (216, 545))
    assert rooms["XR2"][0][0] == 13
    assert {t.id: t.on[0][0] for t in found.problem.technologists or ()} == {"T1": 20, "T2": 8}


def test_a_patient_on_the_table_is_ready_for_another_exam_afterwards() -> None:
    found = told(one("begun", -5, until=START + 20 * MIN), one("next", patient="begun"), wanted=("next",))
    assert exam(found, "next").ready == 20


def test_a_wanted_exam_counts_from_when_it_could_be() -> None:
    wish = replace(NEED, wished=START + 50 * MIN)
    found = told(
        one("stat", priority="stat"), one("urgent", priority="urgent"), one("wish", need=wish), one("not asked"),
        wanted=("stat", "urgent", "wish"),
    )  # fmt: skip
    assert [(e.ready, e.due, e.weight) for e in found.problem.exams] == [
        (0, 0, 4.0),
        (0, 0, 1.0),
        (50, 50, 0.25),
    ]
    assert set(found.plan.unplanned) == {"stat", "urgent", "wish"}


def test_one_that_is_booked_may_be_wanted_elsewhere() -> None:
    found = told(one("A", 300, priority="stat", due_at=START + 60 * MIN), wanted=("A",))
    assert found.plan.unplanned == ("A",)
    assert exam(found, "A").booked is None
    booked = told(one("A", 300, priority="stat", due_at=START + 60 * MIN))
    assert exam(booked, "A").due == 60


def test_what_breaks_a_rule_already_is_left_alone() -> None:
    found = told(
        one("no such room", 10, room="XR9"),
        one("wrong room", 30, room="PORT"),
        one("no skill", 60, need=replace(NEED, skills=frozenset({"peds"}))),
        one("nobody", 90, technologist=None),
        one("closed", 535),
    )
    assert set(found.left_alone) == {"no such room", "wrong room", "no skill", "nobody", "closed"}
    assert found.problem.exams == ()


def test_where_something_happened_who_lost_a_place_by_it_is_wanted() -> None:
    down = replace(ROOMS[0], down=Span(START, START + 45 * MIN))
    away = replace(PEOPLE[1], away=Span(START, END))
    department = replace(DEPARTMENT, rooms=(down, *ROOMS[1:]), technologists=(PEOPLE[0], away))
    exams = (
        one("A", 30),
        one("B", 50),
        one("C", 30, room="XR2", technologist="T2"),
        one("odd", 90, room="PORT"),
        one("clash", 120),
        one("begun", 100, room="XR1", until=START + 130 * MIN),
    )
    found = told(*exams, department=department, repairing=True)
    assert {p.exam for p in found.plan.placed} == {"B"}
    assert set(found.plan.unplanned) == {"A", "C", "clash"}
    assert found.left_alone == ("odd",)
    assert set(told(*exams, department=department).left_alone) == {"A", "C", "odd", "clash"}


def test_exams_that_were_put_close_together_stay_so() -> None:
    found = told(one("A", 30), one("B", 42), one("C", 52))
    assert [e.cleaning for e in found.problem.exams] == [2, 0, 5]
    held = told(one("A", 30), one("held", 42, pinned=True), one("last", 530))
    assert [e.cleaning for e in held.problem.exams] == [2, 5]


def test_technologists_who_are_not_limited_are_not_named() -> None:
    found = told(one("A", 30, technologist="T1"), department=replace(DEPARTMENT, technologists=None))
    assert found.problem.technologists is None
    assert found.plan.placed[0].technologist is None


# -- porters ------------------------------------------------------------------------------------------

PAT = PorterTimes("P1", (Span(START, END),))


def ways(found: Told, name: str) -> tuple[Job | None, Job | None]:
    placed = next(p for p in found.plan.placed if p.exam == name)
    return placed.fetch, placed.back


def test_the_plan_in_force_is_given_porters_first_come_first_served() -> None:
    found = told(one("A", 60, ward="W"), one("B", 120, ward="W"), porters=(PAT,), travel={"W": 10})
    assert ways(found, "A") == (Job(40, "P1"), Job(70, "P1"))
    assert ways(found, "B") == (Job(100, "P1"), Job(130, "P1"))


def test_who_finds_no_porter_stands_as_agreed() -> None:
    exams = [one("A", 60, ward="W"), one("B", 60, room="XR2", technologist="T2", ward="W")]
    found = told(*exams, porters=(PAT,), travel={"W": 20})
    assert ways(found, "A") == (Job(20, "P1"), Job(70, "P1"))
    assert ways(found, "B") == (None, None)
    assert exam(found, "B").origin is None
    soon = told(one("A", 10, ward="W"), porters=(PAT,), travel={"W": 10})
    assert exam(soon, "A").origin is None, "on the way already, or late"


def test_a_fetch_without_a_way_back_is_given_back() -> None:
    """The porter goes home before the return: their time is there for somebody else's fetch again."""
    early = PorterTimes("P1", (Span(START, START + 75 * MIN),))
    far, near = (
        one("far", 60, ward="FAR"),
        one("near", 62, room="XR2", technologist="T2", ward="NEAR", length=3),
    )
    found = told(far, near, porters=(early,), travel={"FAR": 10, "NEAR": 2})
    assert ways(found, "far") == (None, None)
    assert ways(found, "near") == (Job(58, "P1"), Job(65, "P1"))
    alone = told(far, porters=(replace(early, busy=(at(0, 40), at(60, 15))),), travel={"FAR": 10})
    assert ways(alone, "far") == (None, None)


def test_of_two_porters_the_first_who_suits_best_goes() -> None:
    late = PorterTimes("P0", (Span(START, START + 45 * MIN), Span(START + 80 * MIN, END)))
    found = told(one("A", 60, ward="W"), porters=(late, PAT, replace(PAT, code="P2")), travel={"W": 10})
    assert ways(found, "A") == (Job(40, "P1"), Job(70, "P1"))


def test_porters_who_are_not_limited_are_not_named() -> None:
    found = told(
        one("A", 60, ward="W"), one("B", 5, ward="W", room="XR2", technologist="T2"), travel={"W": 10}
    )
    assert ways(found, "A") == (Job(40), Job(70))
    assert exam(found, "B").origin is None


def test_porters_of_those_who_keep_their_places_are_counted() -> None:
    """One porter; somebody who keeps their place at 60 is fetched at 50 and taken back at 70 with five minutes' way."""
    porter = (PorterTimes("P", (Span(START, END),)),)
    fields: dict[str, Any] = {"porters": porter, "travel": {"W": 5}}
    free = told(one("N", ward="W"), wanted=("N",), **fields)
    assert free.problem.porters is not None
    assert free.problem.porters[0].on == ((0, 600),)
    found = told(one("K", 60, ward="W", pinned=True), one("N", ward="W"), wanted=("N",), **fields)
    assert found.problem.porters is not None
    assert found.problem.porters[0].on == ((0, 50), (60, 70), (80, 600))
    coming = told(one("K", 60, ward="W", pinned=True, coming=True), one("N"), wanted=("N",), **fields)
    assert coming.problem.porters is not None
    assert coming.problem.porters[0].on == ((0, 70), (80, 600)), (
        "whoever fetches them is busy with it already"
    )
    begun = told(one("K", -5, ward="W", until=START + 20 * MIN), one("N"), wanted=("N",), **fields)
    assert begun.problem.porters is not None
    assert begun.problem.porters[0].on == ((0, 20), (30, 600))


def test_porters_are_shared_out_in_order_of_time_between_who_stays_and_who_may_move() -> None:
    porter = (PorterTimes("P", (Span(START, START + 200 * MIN),)),)
    found = told(
        one("early", 30, ward="W", room="XR2", technologist="T2"),
        one("stays", 70, ward="W", pinned=True),
        one("late", 110, ward="W", room="XR2", technologist="T2"),
        one("later still", 190, ward="W", pinned=True),
        porters=porter,
        travel={"W": 5},
    )
    assert [(p.exam, p.fetch and p.fetch.start, p.back and p.back.start) for p in found.plan.placed] == [
        ("early", 20, 40),
        ("late", 100, 120),
    ]
    assert found.problem.porters is not None
    assert found.problem.porters[0].on == ((0, 60), (70, 80), (90, 180), (190, 200)), (
        "nobody is there to take the last one back"
    )
    nobody = told(one("K", 60, ward="W", pinned=True), porters=(), travel={"W": 5})
    assert nobody.problem.porters == ()
