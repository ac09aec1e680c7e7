"""Hand-made days in fast time: who is seen when, under each desk."""

from __future__ import annotations

from dataclasses import replace
from datetime import time

import pytest

from xraydesk.scheduling.engine.checker import broken_rule
from xraydesk.scheduling.engine.problem import Plan, Problem
from xraydesk.simulation import run_day as running
from xraydesk.simulation.department import department_day
from xraydesk.simulation.outcome import End, Ending
from xraydesk.simulation.policy import Autopilot, Way
from xraydesk.simulation.run_day import NeverEnds
from xraydesk.simulation.scenario import Kind
from xraydesk.simulation.telling import AHEAD_MINUTES
from xraydesk.simulation.tests.small import (
    AUTOPILOT,
    EIGHT,
    MONDAY,
    appointment,
    lived,
    outcome,
    policy,
    site,
    small_scenario,
    somebody,
)
from xraydesk.simulation.world import Breakdown, Patient

WAYS = tuple(Way)
NOON = 720
XRAYDESK = policy(Way.XRAYDESK)


@pytest.mark.parametrize("way", WAYS)
def test_whoever_comes_to_free_rooms_is_seen_at_once(way: Way) -> None:
    day = lived(somebody("A"), somebody("B"), by=policy(way))
    assert {e.begun for e in day.values()} == {EIGHT}
    assert {e.room for e in day.values()} == {"XR1", "XR2"}
    assert {e.end for e in day.values()} == {End.SEEN}


@pytest.mark.parametrize("way", WAYS)
def test_whoever_comes_before_rooms_open_waits_until_they_do(way: Way) -> None:
    assert lived(somebody("A", ordered=EIGHT - 30), by=policy(way))["A"].begun == EIGHT


def test_lists_are_kept_where_one_line_goes_to_whichever_room_is_free() -> None:
    people = [
        somebody("A", takes=30),
        somebody("B", takes=12),
        somebody("C", ordered=EIGHT + 1),
        somebody("D", ordered=EIGHT + 2),
    ]
    lists = lived(*people, by=policy(Way.FIRST_COME))
    line = lived(*people, by=policy(Way.ONE_LINE))
    assert [lists["C"].room, lists["C"].begun] == ["XR1", EIGHT + 30], "given XR1 at 8:10, and waits for it"
    assert [line["C"].room, line["C"].begun] == ["XR2", EIGHT + 12]
    assert line["D"].begun == EIGHT + 22


def test_the_priority_desk_lets_a_stat_go_ahead_of_those_who_came_first() -> None:
    waiting = [somebody(f"R{n}", ordered=EIGHT) for n in range(4)]
    stat = somebody("S", Kind.EMERGENCY, EIGHT + 5)
    assert lived(*waiting, stat, by=policy(Way.ONE_LINE))["S"].begun == EIGHT + 20
    assert lived(*waiting, stat, by=policy(Way.PRIORITY))["S"].begun == EIGHT + 10
    assert lived(*waiting, stat, by=XRAYDESK)["S"].begun == EIGHT + 10


@pytest.mark.parametrize("way", WAYS)
def test_an_appointment_is_kept_at_its_time_and_whoever_is_early_goes_in_where_the_room_is_free(
    way: Way,
) -> None:
    day = lived(appointment("A", EIGHT + 60), appointment("B", EIGHT + 120, after=-15), by=policy(way))
    assert day["A"].begun == EIGHT + 60
    assert day["B"].here == EIGHT + 105
    assert day["B"].begun == EIGHT + 105


def test_nobody_early_takes_a_place_from_somebody_who_is_about_to_come() -> None:
    day = lived(appointment("A", EIGHT + 60), appointment("B", EIGHT + 70, after=-18))
    assert day["B"].here == EIGHT + 52
    assert (day["A"].begun, day["B"].begun) == (EIGHT + 60, EIGHT + 70)


def test_nobody_is_taken_much_too_early() -> None:
    day = lived(appointment("A", EIGHT + 60, after=-40))
    assert day["A"].begun == EIGHT + 60 - running.EARLY_MINUTES


@pytest.mark.parametrize("way", WAYS)
def test_whoever_is_late_gives_up_the_place_and_has_the_next(way: Way) -> None:
    day = lived(
        appointment("A", EIGHT + 10, after=12),
        appointment("B", EIGHT + 20),
        somebody("C", ordered=EIGHT + 20),
        by=policy(way),
    )
    assert day["A"].here == EIGHT + 22
    assert day["A"].begun == EIGHT + 30
    assert day["B"].begun == day["C"].begun == EIGHT + 20


@pytest.mark.parametrize("way", WAYS)
def test_an_appointment_whose_patient_does_not_come_is_given_up_and_holds_nobody_up(way: Way) -> None:
    day = lived(appointment("A", EIGHT + 10, absent=True), appointment("B", EIGHT + 20), by=policy(way))
    assert day["A"].end is End.ABSENT
    assert day["B"].begun == EIGHT + 20


def test_whoever_has_waited_too_long_leaves_and_is_counted_once() -> None:
    people = [somebody(f"R{n}", takes=60, patience=45) for n in range(4)]
    day = lived(*people)
    assert [e.end for e in day.values()].count(End.LEFT) == 2
    assert [e.end for e in day.values()].count(End.SEEN) == 2


def test_patience_is_counted_from_the_time_told_not_from_coming_early() -> None:
    day = lived(
        somebody("A", takes=80),
        somebody("B", takes=80),
        appointment("C", EIGHT + 60, after=-30, patience=30),
    )
    assert (day["C"].end, day["C"].begun) == (End.SEEN, EIGHT + 80)


@pytest.mark.parametrize("way", WAYS)
def test_an_inpatient_is_fetched_by_a_porter_and_taken_back(way: Way) -> None:
    day = outcome(somebody("I", Kind.INPATIENT, fetched=True), by=policy(way))
    [ending] = day.endings
    assert ending.here == EIGHT + 10
    assert ending.begun == EIGHT + 10
    assert day.porters["P1"].used == 20
    assert day.porters["P1"].there == 300


def test_one_porter_fetches_one_after_the_other_and_takes_back_in_between() -> None:
    day = lived(*(somebody(f"I{n}", Kind.INPATIENT, fetched=True) for n in range(3)), by=XRAYDESK)
    assert sorted(e.here or 0 for e in day.values())[0] == EIGHT + 10
    begun = sorted(e.begun or 0 for e in day.values())
    assert begun[1] >= begun[0] + 10
    assert begun[2] >= begun[1] + 20, "somebody is taken back before the third is fetched"


def test_a_porter_s_way_takes_as_long_as_it_takes() -> None:
    slow = lived(somebody("I", Kind.INPATIENT, fetched=True, way_percent=(150.0, 100.0)))
    assert slow["I"].here == EIGHT + 15


@pytest.mark.parametrize("way", WAYS)
def test_a_porter_who_is_slow_keeps_the_next_one_waiting(way: Way) -> None:
    slow = somebody("I1", Kind.INPATIENT, fetched=True, way_percent=(300.0, 100.0))
    day = lived(slow, somebody("I2", Kind.INPATIENT, EIGHT + 12, fetched=True), by=policy(way))
    assert day["I1"].here == EIGHT + 30
    assert (day["I2"].here or 0) >= EIGHT + 40


@pytest.mark.parametrize("way", WAYS)
def test_one_technologist_makes_one_exam_at_a_time_however_many_rooms_are_free(way: Way) -> None:
    plan = replace(site(), technologists=site().technologists[:1])
    plan = replace(plan, policies=replace(plan.policies, cleaning_minutes=4))
    people = (somebody("A", takes=30), somebody("B"))
    day = lived(*people, by=policy(way), department=department_day(plan, MONDAY))
    assert [day[name].begun for name in "AB"] == [EIGHT, EIGHT + 30]


def test_where_porters_are_not_limited_everybody_is_fetched_at_once() -> None:
    plan = replace(site(), porters=())
    day = lived(
        *(somebody(f"I{n}", Kind.INPATIENT, fetched=True) for n in range(2)),
        department=department_day(plan, MONDAY),
    )
    assert {e.begun for e in day.values()} == {EIGHT + 10}


def test_where_technologists_are_not_limited_rooms_alone_count() -> None:
    plan = replace(site(), technologists=())
    day = lived(somebody("A", after=0), somebody("B"), department=department_day(plan, MONDAY))
    assert {e.begun for e in day.values()} == {EIGHT}


def test_somebody_ordered_after_the_porters_have_gone_waits_until_the_next_day() -> None:
    day = lived(somebody("I", Kind.INPATIENT, NOON - 10, fetched=True))
    assert day["I"].end is End.WAITING
    assert day["I"].begun is None


def test_the_machine_goes_to_the_bedside_with_whoever_has_the_skill() -> None:
    bedside = somebody(
        "P",
        Kind.INPATIENT,
        60,
        procedure="CHESTP",
        minutes=15,
        takes=20,
        skills=frozenset({"portable"}),
        bedside=True,
    )
    day = outcome(bedside, by=XRAYDESK)
    assert (day.endings[0].begun, day.endings[0].room) == (60, "M1")
    assert day.technologists["N1"].used == 20
    assert day.rooms["M1"].used == 20


@pytest.mark.parametrize("way", WAYS)
def test_a_room_that_breaks_down_is_left_and_used_again_when_it_is_mended(way: Way) -> None:
    broken = Breakdown("XR1", EIGHT + 5, 40, told=20)
    day = lived(
        somebody("A", takes=10),
        appointment("B", EIGHT + 20),
        appointment("C", EIGHT + 20, room="XR2"),
        by=policy(way),
        breakdowns=(broken,),
    )
    assert day["A"].ended == EIGHT + 10, "who is in the room is seen to the end"
    assert day["B"].begun == EIGHT + 30 or day["C"].begun == EIGHT + 30
    alone = lived(
        *(appointment(f"B{n}", EIGHT + 20, room) for n, room in enumerate(("XR1", "XR2"))),
        breakdowns=(broken, Breakdown("XR2", EIGHT + 5, 30, told=60)),
        by=policy(way),
    )
    assert {e.begun for e in alone.values()} == {EIGHT + 35, EIGHT + 45}


def test_a_breakdown_that_is_over_by_then_leaves_an_appointment_where_it_is() -> None:
    people = [appointment(f"B{room}", EIGHT + 120, room) for room in ("XR1", "XR2")]
    day = lived(*people, somebody("A"), breakdowns=(Breakdown("XR2", EIGHT + 5, 20, told=30),))
    assert [day[f"B{room}"].room for room in ("XR1", "XR2")] == ["XR1", "XR2"]
    assert {day[f"B{room}"].begun for room in ("XR1", "XR2")} == {EIGHT + 120}


@pytest.mark.parametrize("way", WAYS)
def test_whoever_is_here_at_closing_is_seen_after_hours_and_that_is_overtime(way: Way) -> None:
    late = [somebody(f"L{n}", ordered=NOON - 15, takes=12) for n in range(6)]
    day = lived(*late, by=policy(way))
    assert {e.end for e in day.values()} == {End.SEEN}
    assert sum(e.overtime for e in day.values()) > 0
    none = lived(*late, by=policy(way), scenario=small_scenario(overtime_minutes_max=0))
    assert [e.end for e in none.values()].count(End.WAITING) > 0


def test_an_exam_that_takes_longer_than_the_shift_is_overtime_by_that_much() -> None:
    day = lived(somebody("A", ordered=NOON - 10, takes=25))
    assert day["A"].overtime == 15
    night = lived(
        somebody(
            "P",
            Kind.INPATIENT,
            1430,
            procedure="CHESTP",
            takes=60,
            minutes=10,
            skills=frozenset({"portable"}),
            bedside=True,
        )
    )
    assert night["P"].end is End.SEEN
    assert night["P"].ended == 1490
    assert night["P"].overtime == 0, "the shift goes on after midnight"


def full(start: int, **fields: object) -> list[Patient]:
    """Appointments of twenty minutes that fill both rooms until eleven."""
    return [
        appointment(f"B{at}{room}", at, room, minutes=20, takes=20, **fields)
        for at in range(start, EIGHT + 180, 20)
        for room in ("XR1", "XR2")
    ]


def stat(at: int) -> Patient:
    return somebody("S", Kind.EMERGENCY, at, minutes=20, takes=20)


def moved_minutes(day: dict[str, Ending]) -> list[int]:
    return [(e.told_last or 0) - (e.told_first or 0) for e in day.values() if e.told_first != e.told_last]


def test_a_stat_on_a_full_board_waits_for_a_coordinator_s_word_and_moves_somebody() -> None:
    scenario = small_scenario(answer_minutes=3, notice_minutes=5)
    people = [*full(EIGHT), stat(EIGHT + 25)]
    day = lived(*people, by=XRAYDESK, scenario=scenario)
    assert day["S"].begun == EIGHT + 40, "when the next exams end"
    assert moved_minutes(day)
    assert min(moved_minutes(day)) > 0, "nobody is called to come sooner"
    assert all(e.end is End.SEEN for e in day.values())
    assert lived(*people, by=policy(Way.FIRST_COME), scenario=scenario)["S"].begun == EIGHT + 180
    never = lived(*people, by=XRAYDESK, scenario=small_scenario(answer_minutes=600, notice_minutes=5))
    assert moved_minutes(never) == [], "nobody has said yes"


def test_who_is_told_a_later_time_before_setting_out_comes_later_and_who_is_not_waits() -> None:
    people = [*full(EIGHT + 20), stat(EIGHT + 25)]
    told = lived(*people, by=XRAYDESK, scenario=small_scenario(answer_minutes=0, notice_minutes=0))
    on_their_way = lived(*people, by=XRAYDESK, scenario=small_scenario(answer_minutes=0, notice_minutes=600))
    moved = [name for name, e in told.items() if e.told_first != e.told_last]
    assert moved
    assert all(told[name].here == told[name].told_last for name in moved)
    assert all(e.here == e.told_first for e in on_their_way.values() if e.kind is Kind.BOOKED)


@pytest.mark.parametrize(
    ("limits", "most"), [(Autopilot(200, 0), 200), (Autopilot(200, 600), 0), (Autopilot(5, 0), 5)]
)
def test_the_autopilot_keeps_its_limits_and_leaves_the_rest_to_a_person(limits: Autopilot, most: int) -> None:
    people = [*full(EIGHT), stat(EIGHT + 25)]
    alone = small_scenario(answer_minutes=600, notice_minutes=5)
    by = replace(AUTOPILOT, autopilot=limits)
    day = lived(*people, by=by, scenario=alone)
    assert all(0 < minutes <= most for minutes in moved_minutes(day))
    assert bool(moved_minutes(day)) is (most == 200)
    asked = lived(*people, by=by, scenario=small_scenario(answer_minutes=3, notice_minutes=5))
    assert asked["S"].begun == EIGHT + 40
    assert all(e.end is End.SEEN for e in asked.values())


@pytest.mark.parametrize("by", [*map(policy, WAYS), AUTOPILOT], ids=lambda p: p.name)
def test_each_decision_of_a_crowded_morning_is_a_plan_that_the_checker_accepts(by: object) -> None:
    seen: list[str] = []

    def watch(problem: Problem, plan: Plan) -> None:
        seen.append(broken_rule(problem, plan))

    people = [
        *full(EIGHT + 40),
        *(somebody(f"S{n}", Kind.EMERGENCY, EIGHT + 20 + 7 * n) for n in range(4)),
        *(somebody(f"I{n}", Kind.INPATIENT, EIGHT + 10 * n, fetched=True, takes=14) for n in range(4)),
        *(somebody(f"W{n}", ordered=EIGHT + 5 * n, takes=8) for n in range(6)),
    ]
    day = lived(*people, by=by, breakdowns=(Breakdown("XR2", EIGHT + 50, 30, 20),), watch=watch)  # type: ignore[arg-type]
    assert len(seen) > 20
    assert set(seen) == {""}
    assert len(day) == len(people)


def test_a_room_is_cleaned_before_the_next_one_goes_in() -> None:
    plan = site()
    plan = replace(plan, policies=replace(plan.policies, cleaning_minutes=4))
    for way in WAYS:
        day = lived(
            *(somebody(f"A{n}", takes=12) for n in range(4)),
            by=policy(way),
            department=department_day(plan, MONDAY),
        )
        assert sorted(e.begun or 0 for e in day.values()) == [EIGHT, EIGHT, EIGHT + 16, EIGHT + 16]


def test_what_lies_over_the_edge_of_the_time_looked_at_is_not_given_away() -> None:
    night = [appointment("B", EIGHT + AHEAD_MINUTES - 5, technologist=None)]
    longer = replace(
        policy(Way.XRAYDESK), room_hours={r: {"mon": ((time(4), time(20)),)} for r in ("XR1", "XR2")}
    )
    people = [somebody(f"W{n}", minutes=110, takes=110) for n in range(5)]
    plan = replace(site(), technologists=())
    day = lived(*night, *people, by=longer, department=department_day(plan, MONDAY, longer))
    assert day["B"].begun == EIGHT + AHEAD_MINUTES - 5


def test_a_day_that_does_not_end_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "EVENTS_MAX", 3)
    with pytest.raises(NeverEnds, match="Day 0"):
        lived(*full(EIGHT))
