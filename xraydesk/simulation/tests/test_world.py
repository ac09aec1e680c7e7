"""What comes to a department: drawn once, the same for every policy, each source of chance by itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random
from statistics import mean, median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xraydesk.simulation.chance import Distribution, Shape, Streams, always, even
from xraydesk.simulation.department import (
    MIDNIGHT,
    department_day,
    joined,
    less,
    minutes_in,
    minutes_of,
    within,
)
from xraydesk.simulation.policy import Way
from xraydesk.simulation.scenario import Kind, Scenario, Surge
from xraydesk.simulation.tests.small import MONDAY, policy, site, small_scenario
from xraydesk.simulation.world import Patient, World, world_of
from xraydesk.siteplan.hours import WEEKDAYS
from xraydesk.siteplan.plan import PorterPlan, TechnologistPlan

BUSY = small_scenario(
    orders=dict.fromkeys(WEEKDAYS, (6,) * 24),
    shares={Kind.EMERGENCY: 1, Kind.INPATIENT: 1, Kind.WALK_IN: 1},
    appointments=dict.fromkeys(WEEKDAYS, (0,) * 8 + (4,) * 3 + (0,) * 13),
    exam_percent=Distribution(Shape.LONG_TAIL, (90, 150)),
    surge=Surge(50, even(3, 9), 30, (9, 10)),
    breakdown_percent=50,
)


def days(scenario: Scenario, count: int = 40, seed: int = 3) -> list[World]:
    return [world_of(site(), scenario, seed=seed, day=day) for day in range(count)]


def everybody(scenario: Scenario, count: int = 40) -> list[Patient]:
    return [patient for world in days(scenario, count) for patient in world.patients]


def test_the_same_seed_gives_the_same_days_and_another_seed_others() -> None:
    assert days(BUSY, 3) == days(BUSY, 3)
    assert days(BUSY, 3) != days(BUSY, 3, seed=4)


def test_the_first_day_is_a_monday_and_weeks_go_on() -> None:
    assert [world.weekday for world in days(small_scenario(), 9)] == [0, 1, 2, 3, 4, 5, 6, 0, 1]


def test_orders_come_at_their_rate_and_none_where_there_is_none() -> None:
    orders = [p for p in everybody(replace(BUSY, surge=Surge())) if p.ordered is not None]
    assert len(orders) / 40 == pytest.approx(6 * 24, rel=0.05)
    kinds = Counter(p.kind for p in orders)
    assert kinds[Kind.EMERGENCY] / len(orders) == pytest.approx(1 / 3, abs=0.03)
    assert all(0 <= p.ordered < MIDNIGHT for p in orders if p.ordered is not None)
    assert everybody(small_scenario(), 2) == []


def test_half_the_load_is_half_the_orders_and_appointments() -> None:
    whole, half = everybody(BUSY), everybody(replace(BUSY, load_percent=50))
    assert len(half) == pytest.approx(len(whole) / 2, rel=0.1)
    booked = [sum(1 for p in those if p.kind is Kind.BOOKED) for those in (whole, half)]
    assert booked[0] == 2 * booked[1]


def test_appointments_have_a_place_in_an_open_room_and_none_overlap() -> None:
    for world in days(BUSY, 7):
        booked = [p for p in world.patients if p.kind is Kind.BOOKED]
        assert len(booked) == (12 if world.weekday < 5 else 0)
        rooms = {room.id: room.open for room in department_day(site(), world.weekday).rooms}
        for patient in booked:
            assert patient.told is not None
            assert within(rooms[patient.room], patient.told, patient.told + patient.minutes)
            assert patient.technologist is not None
        places = [(p.room, p.told + m) for p in booked for m in range(p.minutes) if p.told is not None]
        assert len(places) == len(set(places))


def test_one_source_of_chance_does_not_disturb_another() -> None:
    usual = days(BUSY, 5)
    slower = days(replace(BUSY, exam_percent=always(100), breakdown_percent=0, absent_percent=100), 5)
    for one, other in zip(usual, slower, strict=True):
        assert [(p.id, p.ordered, p.procedure, p.priority, p.after, p.ward) for p in one.patients] == [
            (p.id, p.ordered, p.procedure, p.priority, p.after, p.ward) for p in other.patients
        ]
        assert other.breakdowns == ()


def test_each_is_of_a_kind_that_can_be() -> None:
    for patient in everybody(BUSY):
        assert (patient.told is None) is (patient.kind is not Kind.BOOKED)
        assert not (patient.fetched and patient.bedside)
        assert (patient.patience is not None) is (patient.kind in (Kind.BOOKED, Kind.WALK_IN))
        assert patient.bedside is (patient.procedure == "CHESTP")
        if patient.kind is Kind.EMERGENCY:
            assert (patient.ward, patient.after) == ("ED", 2)
        if patient.kind in (Kind.BOOKED, Kind.WALK_IN):
            assert (patient.priority, patient.ward) == ("routine", "")


def test_where_nothing_goes_to_the_bedside_and_no_ward_is_named_inpatients_are_brought() -> None:
    plain = site()
    plain = replace(plain, wards=(), procedures=tuple(p for p in plain.procedures if p.code == "CHEST"))
    world = world_of(plain, replace(BUSY, bedside_percent=100, fetched_percent=100), seed=1, day=0)
    inpatients = [p for p in world.patients if p.kind is Kind.INPATIENT]
    assert inpatients
    assert not any(p.bedside or p.fetched or p.ward for p in inpatients)


def test_a_procedure_has_its_own_exam_times_and_weight() -> None:
    own = replace(BUSY, exam_percent_of={"CHESTP": always(200)}, procedures={"CHEST": 0}, bedside_percent=0)
    assert {p.procedure for p in everybody(own, 3)} == {"CHESTP"}
    assert {p.takes for p in everybody(own, 3)} == {30}


def test_a_surge_brings_many_from_the_emergency_department_at_once() -> None:
    only = small_scenario(surge=Surge(100, always(8), 30, (23, 23)), shares={Kind.WALK_IN: 1})
    for world in days(only, 10):
        minutes = [p.ordered for p in world.patients if p.ordered is not None]
        assert len(minutes) <= 8
        assert all(23 * 60 <= minute < MIDNIGHT for minute in minutes)
        assert {p.kind for p in world.patients} <= {Kind.EMERGENCY}


def test_rooms_break_down_within_their_hours_and_closed_ones_do_not() -> None:
    broken = [(w.weekday, b) for w in days(replace(BUSY, breakdown_percent=100), 14) for b in w.breakdowns]
    assert {b.room for weekday, b in broken if weekday >= 5} == {"M1"}
    assert {b.room for _, b in broken} == {"XR1", "XR2", "M1"}
    for weekday, breakdown in broken:
        opened = {room.id: room.open for room in department_day(site(), weekday).rooms}
        assert within(opened[breakdown.room], breakdown.at, breakdown.at + 1)
        assert breakdown.minutes == 60


# -- a department's day ----------------------------------------------------------------------------


def test_a_policy_adds_people_and_changes_hours_for_its_own_days_alone() -> None:
    plan = site()
    early = next(room for room in plan.rooms if room.code == "XR2").hours
    changed = policy(
        Way.XRAYDESK,
        technologists=(TechnologistPlan("X1", "", ("general",), early),),
        porters=(PorterPlan("X2", "", early),),
        room_hours={"XR1": {"sat": early["mon"]}},
    )
    usual, saturday = department_day(plan, 5), department_day(plan, 5, changed)
    assert {r.id: bool(r.open) for r in usual.rooms} == {"XR1": False, "XR2": False, "M1": True}
    assert {r.id: bool(r.open) for r in saturday.rooms} == {"XR1": True, "XR2": False, "M1": True}
    monday = department_day(plan, MONDAY, changed)
    assert [t.id for t in monday.technologists or ()] == ["T1", "T2", "N1", "X1"]
    assert [p.id for p in monday.porters or ()] == ["P1", "X2"]


def test_a_room_with_two_places_is_two_and_emergencies_have_theirs_first() -> None:
    plan = site()
    plan = replace(plan, rooms=tuple(replace(r, seats=2) if r.code == "XR1" else r for r in plan.rooms))
    day = department_day(plan, MONDAY)
    assert [r.id for r in day.rooms] == ["XR1", "XR1#2", "XR2", "M1"]
    assert day.suited["CHEST", False] == ("XR1", "XR1#2", "XR2")
    assert day.suited["CHEST", True] == ("XR2", "XR1", "XR1#2")
    anywhere = replace(plan, procedures=(replace(plan.procedures[0], room_kinds=()),))
    assert department_day(anywhere, MONDAY).suited["CHEST", False] == ("XR1", "XR1#2", "XR2")


def test_overtime_lengthens_what_ends_and_not_what_goes_on() -> None:
    day = department_day(site(), MONDAY).longer(60)
    assert {r.id: r.open for r in day.rooms} == {
        "XR1": ((480, 780),),
        "XR2": ((480, 780),),
        "M1": ((0, MIDNIGHT),),
    }
    assert {t.id: t.on for t in day.technologists or ()}["N1"] == ((0, 420), (1320, MIDNIGHT))
    none = department_day(replace(site(), technologists=(), porters=()), MONDAY).longer(60)
    assert (none.technologists, none.porters) == (None, None)


def test_minutes_of_hours() -> None:
    assert minutes_of(site().technologists[2].shifts, MONDAY) == ((0, 360), (1320, MIDNIGHT))
    assert joined([(5, 9), (0, 5), (20, 30), (22, 25)]) == [(0, 9), (20, 30)]
    assert less([(0, 10), (20, 30)], [(2, 4), (9, 21)]) == ((0, 2), (4, 9), (21, 30))
    assert minutes_in([(0, 10), (20, 30)]) == 20


# -- chance ----------------------------------------------------------------------------------------


@given(st.integers(0, 2**31), st.sampled_from(list(Shape)))
def test_a_distribution_keeps_to_its_range_and_takes_one_number_from_the_stream(
    seed: int, shape: Shape
) -> None:
    numbers = {
        Shape.ALWAYS: (7,),
        Shape.EVEN: (5, 9),
        Shape.PEAKED: (5, 6, 9),
        Shape.LONG_TAIL: (5, 9),
        Shape.OBSERVED: (5, 7, 9),
    }[shape]
    stream, beside = Random(seed), Random(seed)
    drawn = Distribution(shape, numbers).draw(stream)
    beside.random()
    assert stream.random() == beside.random()
    assert drawn > 0 if shape is Shape.LONG_TAIL else 5 <= drawn <= 9


def test_distributions_are_what_their_numbers_say() -> None:
    random = Random(1)

    def many(shape: Shape, *numbers: int) -> list[float]:
        return sorted(Distribution(shape, numbers).draw(random) for _ in range(4000))

    tail = many(Shape.LONG_TAIL, 20, 45)
    assert median(tail) == pytest.approx(20, rel=0.05)
    assert tail[3600] == pytest.approx(45, rel=0.1)
    assert mean(many(Shape.PEAKED, 0, 3, 9)) == pytest.approx(4, rel=0.05)
    assert mean(many(Shape.EVEN, -10, 20)) == pytest.approx(5, abs=0.5)
    assert set(many(Shape.OBSERVED, 1, 2, 2)) == {1, 2}
    assert set(many(Shape.PEAKED, 4, 4, 4)) == {4}


def test_streams_are_told_apart_by_seed_day_and_name() -> None:
    first = {name: Streams(1, 2).of(name).random() for name in ("a", "b")}
    assert len({*first.values(), Streams(1, 3).of("a").random(), Streams(2, 2).of("a").random()}) == 4
    streams = Streams(1, 2)
    assert streams.of("a") is streams.of("a")
