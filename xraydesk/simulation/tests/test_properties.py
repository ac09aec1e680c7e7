"""What holds for any day under any policy, and for the report of many."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.factories import SITE_FILES
from tests.properties import tried
from xraydesk.scheduling.engine.checker import broken_rule
from xraydesk.scheduling.engine.problem import Plan, Problem
from xraydesk.simulation.department import department_day
from xraydesk.simulation.files import read_policy, read_scenario
from xraydesk.simulation.outcome import DayOutcome, End, Ending
from xraydesk.simulation.policy import Policy, Way
from xraydesk.simulation.report import as_json, as_markdown, more_text, number_text, simulate
from xraydesk.simulation.run_day import run_day
from xraydesk.simulation.scenario import Kind
from xraydesk.simulation.tests.small import (
    AUTOPILOT,
    EIGHT,
    appointment,
    lived,
    outcome,
    policy,
    small_scenario,
    somebody,
)
from xraydesk.simulation.world import Breakdown, Patient, world_of
from xraydesk.siteplan.reading import read_toml

EVERY = (*map(policy, Way), AUTOPILOT)
FOLDER = SITE_FILES / "simulation"


@st.composite
def patients(draw: st.DrawFn) -> tuple[Patient, ...]:
    """A morning of people of all kinds; appointments ten minutes apart."""
    found = []
    for n in range(draw(st.integers(0, 5))):
        room = draw(st.sampled_from(("XR1", "XR2")))
        late = draw(st.integers(-20, 40))
        found.append(
            appointment(
                f"B{n}{room}",
                EIGHT + 30 + 20 * n,
                room,
                after=late,
                absent=draw(st.booleans()) and late > 30,
                takes=draw(st.integers(1, 40)),
                patience=draw(st.sampled_from((None, 5, 60))),
            )
        )
    for n in range(draw(st.integers(0, 10))):
        kind = draw(st.sampled_from((Kind.EMERGENCY, Kind.INPATIENT, Kind.WALK_IN)))
        bedside = kind is Kind.INPATIENT and draw(st.booleans())
        found.append(
            somebody(
                f"P{n}",
                kind,
                draw(st.integers(300, 760)),
                after=draw(st.integers(0, 15)),
                takes=draw(st.integers(1, 40)),
                fetched=kind is Kind.INPATIENT and not bedside and draw(st.booleans()),
                bedside=bedside,
                procedure="CHESTP" if bedside else "CHEST",
                minutes=15 if bedside else 10,
                skills=frozenset({"portable" if bedside else "general"}),
                patience=draw(st.sampled_from((5, 60))) if kind is Kind.WALK_IN else None,
                way_percent=(draw(st.floats(50, 200)), draw(st.floats(50, 200))),
            )
        )
    return tuple(found)


breakdowns = st.lists(
    st.builds(
        Breakdown,
        st.sampled_from(("XR1", "XR2")),
        st.integers(EIGHT, EIGHT + 200),
        st.integers(1, 90),
        st.integers(1, 90),
    ),
    max_size=2,
    unique_by=lambda b: b.room,
).map(tuple)


@settings(max_examples=tried(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(patients(), breakdowns, st.sampled_from(EVERY))
def test_everybody_who_comes_is_seen_or_left_or_absent_or_waiting_and_counted_once(
    people: tuple[Patient, ...], broken: tuple[Breakdown, ...], by: Policy
) -> None:
    wrong: list[str] = []

    def watch(problem: Problem, plan: Plan) -> None:
        wrong.append(broken_rule(problem, plan))

    day = outcome(*people, by=by, breakdowns=broken, watch=watch)
    assert sorted(e.id for e in day.endings) == sorted(p.id for p in people)
    assert set(wrong) <= {""}, "each decision is a plan that keeps every rule"
    told = {p.id: p for p in people}
    for ending in day.endings:
        one_of_four(ending, told[ending.id])
    nobody_is_in_two_places(day)
    assert sum(use.used for use in day.rooms.values()) == sum(
        told[e.id].takes for e in day.endings if e.end is End.SEEN
    )
    assert sum(use.used for use in day.technologists.values()) == sum(u.used for u in day.rooms.values())


def one_of_four(ending: Ending, patient: Patient) -> None:
    assert (ending.end is End.SEEN) is (ending.begun is not None)
    if ending.begun is not None and ending.here is not None and ending.ended is not None:
        assert ending.begun >= ending.here >= (patient.ordered or 0)
        assert ending.ended - ending.begun == patient.takes
    if ending.end is End.LEFT:
        assert patient.patience is not None
    if ending.end is End.ABSENT:
        assert patient.absent


def nobody_is_in_two_places(day: DayOutcome) -> None:
    in_room: dict[str, list[tuple[int, int]]] = {}
    for ending in day.endings:
        if ending.begun is not None and ending.ended is not None:
            in_room.setdefault(ending.room, []).append((ending.begun, ending.ended))
    for spans in in_room.values():
        spans.sort()
        assert all(a[1] <= b[0] for a, b in pairwise(spans))


@settings(max_examples=tried(60), deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 90), st.integers(1, 30)), min_size=1, max_size=12),
    st.sampled_from((Way.FIRST_COME, Way.ONE_LINE)),
)
def test_where_first_come_is_first_served_whoever_comes_last_keeps_nobody_waiting(
    coming: list[tuple[int, int]], way: Way
) -> None:
    people = [somebody(f"W{n:02}", ordered=EIGHT + at, takes=takes) for n, (at, takes) in enumerate(coming)]
    last = somebody("Z", ordered=EIGHT + 91)
    without, with_last = lived(*people, by=policy(way)), lived(*people, last, by=policy(way))
    assert {name: e.begun for name, e in without.items()} == {
        name: e.begun for name, e in with_last.items() if name != "Z"
    }


# -- the six-room hospital -------------------------------------------------------------------------

HOSPITAL = read_toml(SITE_FILES / "hospital.toml")
SCENARIO = read_scenario((FOLDER / "day.toml").read_text(encoding="utf-8"), HOSPITAL)
POLICIES = {
    file.stem: read_policy(file.read_text(encoding="utf-8"), HOSPITAL)
    for file in sorted(FOLDER.glob("*.toml"))
    if file.stem != "day"
}
QUIET = replace(SCENARIO, load_percent=20)


def test_the_example_policies_are_those_that_the_guide_names() -> None:
    guide = (SITE_FILES.parent / "docs" / "howto" / "simulate.md").read_text(encoding="utf-8")
    assert all(f"`{name}.toml`" in guide for name in (*POLICIES, "day"))


@pytest.mark.parametrize("name", POLICIES)
def test_a_day_of_the_hospital_keeps_every_rule_and_loses_nobody(name: str) -> None:
    chosen = POLICIES[name]
    world = world_of(HOSPITAL, replace(SCENARIO, load_percent=60), seed=5, day=1)
    decisions = 0

    def watch(problem: Problem, plan: Plan) -> None:
        nonlocal decisions
        decisions += 1
        if decisions % 7 == 0:
            assert broken_rule(problem, plan) == ""

    day = run_day(world, department_day(HOSPITAL, 1, chosen), SCENARIO, chosen, watch=watch)
    assert decisions > 100
    assert sorted(e.id for e in day.endings) == sorted(p.id for p in world.patients)


def test_the_same_seed_gives_the_same_report_and_policies_meet_the_same_patients() -> None:
    chosen = [POLICIES["first-come"], POLICIES["xraydesk"]]
    told: list[tuple[int, int]] = []
    first = simulate(HOSPITAL, QUIET, chosen, days=2, seed=9, progress=lambda *at: told.append(at))
    again = simulate(HOSPITAL, QUIET, chosen, days=2, seed=9)
    assert as_json(first) == as_json(again)
    assert as_json(first) != as_json(simulate(HOSPITAL, QUIET, chosen, days=2, seed=10))
    assert told == [(1, 2), (2, 2)]
    patients = first.row("patients")
    assert first.daily[0]["patients"] == first.daily[1]["patients"]
    assert patients.cells[1].more is not None
    assert (patients.cells[1].more.mean, patients.cells[1].more_percent) == (0.0, 0.0)


def test_a_policy_compared_with_itself_differs_by_nothing() -> None:
    twin = replace(POLICIES["xraydesk"], name="again")
    report = simulate(HOSPITAL, QUIET, [POLICIES["xraydesk"], twin], days=2, seed=1)
    for row in report.rows:
        assert row.cells[0].a_day == row.cells[1].a_day
        assert row.cells[0].more is None
        assert row.cells[0].more_percent is None
        more = row.cells[1].more
        assert more is None or (more.mean, more.half) == (0.0, 0.0)


def test_a_report_as_text_names_policies_measures_and_what_differs() -> None:
    report = simulate(HOSPITAL, QUIET, [POLICIES["first-come"], POLICIES["one-line"]], days=1, seed=1)
    load, space, *lines = as_markdown(report).splitlines()
    assert (load, space) == ("20 % of the scenario’s orders and appointments come.", "")
    assert lines[0] == "| | first-come desk | one line |"
    assert len(lines) == 2 + len(report.rows)
    assert "(+0.0)" in lines[2]
    assert more_text(report.row("wait").cells[0]) == ""
    assert [number_text(n) for n in (0.0, 0.034, 5.44, 288.4, -2.71)] == ["0.0", "0.03", "5.4", "288", "-2.7"]
    told = as_json(report)
    assert told["format"] == "xraydesk.simulation/1"
    assert [p["desk"] for p in told["policies"]] == ["first-come", "one-line"]
    moved = next(m for m in told["measures"] if m["key"] == "moved-minutes")
    assert moved["policies"][0] == {"a_day": None, "overall": None, "more": None, "more_percent": None}


def test_days_without_a_difference_to_tell_have_none() -> None:
    nothing = small_scenario()
    report = simulate(HOSPITAL, nothing, [POLICIES["first-come"], POLICIES["one-line"]], days=2, seed=1)
    assert report.row("wait").cells[1].a_day is None
    assert report.row("patients").cells[1].more_percent is None
