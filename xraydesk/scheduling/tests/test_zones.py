"""Time that is kept for some, or published for outpatients, as a planner is told of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from xraydesk.scheduling.engine.checker import broken_rule
from xraydesk.scheduling.engine.department import Department, Kept
from xraydesk.scheduling.engine.explain import explain
from xraydesk.scheduling.engine.insertion import Planner, applied
from xraydesk.scheduling.engine.spans import Span
from xraydesk.scheduling.engine.under_way import Told
from xraydesk.scheduling.engine.zones import ANYBODY, KeptMinutes, Stands, Template, Zone, zones_of
from xraydesk.scheduling.tests.test_under_way import (
    DEPARTMENT,
    MIN,
    NEED,
    ROOMS,
    START,
    exam,
    one,
    told,
)

STAT = frozenset({"stat"})


def kept(first: float, last: float, whom: frozenset[str] = STAT, release: float = 0) -> Kept:
    return Kept(Span(START + first * MIN, START + last * MIN), whom, timedelta(minutes=release))


def keeping(*stretches: Kept, **fields: object) -> Department:
    return replace(DEPARTMENT, rooms=(replace(ROOMS[0], kept=stretches, **fields),))


def opened(found: Told) -> dict[str, tuple[tuple[int, int], ...]]:
    return {r.id: r.open for r in found.problem.rooms}


def first_option(found: Told, name: str) -> tuple[str, int]:
    best = Planner(found.problem, found.plan).options((name,))[0]
    place = next(m.after for m in best.moves if m.exam == name)
    assert place is not None
    return found.seats[place.room][0], place.start


# -- cutting -----------------------------------------------------------------------------------------


def test_open_time_is_cut_where_somebody_else_may_use_it() -> None:
    template = Template((KeptMinutes(60, 120, STAT), KeptMinutes(100, 140, frozenset({"emergency"}))))
    assert zones_of([(0, 300), (400, 500)], template) == {
        ANYBODY: ((0, 60), (140, 300), (400, 500)),
        Zone((("stat",),)): ((60, 100),),
        Zone((("emergency",), ("stat",))): ((100, 120),),
        Zone((("emergency",),)): ((120, 140),),
    }


def test_openings_that_touch_are_not_joined() -> None:
    assert zones_of([(0, 60), (60, 90)], Template()) == {ANYBODY: ((0, 60), (60, 90))}


def test_who_stands_across_a_border_is_left_whole() -> None:
    template = Template((KeptMinutes(60, 120, STAT),))
    found = zones_of([(0, 300)], template, [Stands(55, 65, 70), Stands(45, 55, 55), Stands(115, 120, 125)])
    assert found == {ANYBODY: ((0, 55), (125, 300)), Zone((("stat",),)): ((55, 125),)}


def test_only_the_cleaning_across_a_border_is_nobody_s_place() -> None:
    found = zones_of([(0, 300)], Template((KeptMinutes(60, 120, STAT),)), [Stands(50, 60, 65)])
    assert found[ANYBODY] == ((0, 65), (120, 300))


def test_names_say_for_whom_a_stretch_is() -> None:
    assert ANYBODY.name("XR1") == "XR1"
    assert Zone((("emergency", "stat"), ("urgent",))).name("XR1") == "XR1~emergency+stat/urgent"
    assert Zone(published=False).name("XR1") == "XR1~-"
    assert not Zone(published=False).lets_in(STAT, ahead=True)
    assert Zone((("stat", "urgent"),)).lets_in(STAT, ahead=False)
    assert not Zone((("stat",), ("urgent",))).lets_in(STAT, ahead=False)


# -- the day -----------------------------------------------------------------------------------------


def test_an_outpatient_is_not_proposed_into_time_that_is_kept_for_stats() -> None:
    department = keeping(kept(0, 120))
    found = told(
        one("N"), one("S", need=replace(NEED, claims=STAT)), department=department, wanted=("N", "S")
    )
    assert opened(found) == {"XR1": ((120, 545),), "XR1~stat": ((0, 120),)}
    assert exam(found, "N").minutes.keys() == {"XR1"}
    assert exam(found, "S").minutes.keys() == {"XR1", "XR1~stat"}
    assert first_option(found, "N") == ("XR1", 120)
    assert first_option(found, "S") == ("XR1", 0)


def test_what_is_released_is_anybody_s() -> None:
    found = told(one("N"), department=keeping(kept(0, 120, release=30)), wanted=("N",))
    assert opened(found) == {"XR1": ((0, 45), (120, 545)), "XR1~stat": ((45, 120),)}, (
        "what begins in half an hour is released whole, cleaning and all"
    )
    assert first_option(found, "N") == ("XR1", 0)
    over = told(one("N"), department=keeping(kept(0, 30, release=30), kept(-60, 0)), wanted=("N",))
    assert opened(over) == {"XR1": ((0, 545),)}


def test_nobody_gives_way_into_time_that_is_kept_for_others() -> None:
    stat = replace(NEED, claims=STAT)
    found = told(one("A", 0, told_time=True), one("S", need=stat, priority="stat"), wanted=("S",),
                 department=keeping(kept(15, 200)))  # fmt: skip
    for option in Planner(found.problem, found.plan).options(("S",)):
        moved = next((m.after for m in option.moves if m.exam == "A"), None)
        assert moved is None or moved.room == "XR1"
        assert broken_rule(found.problem, applied(found.problem, found.plan, option)) == ""


def test_who_stands_in_kept_time_already_keeps_their_place_and_may_give_it_up() -> None:
    found = told(one("A", 30), one("B", 115), department=keeping(kept(0, 120)))
    assert found.left_alone == ()
    assert {p.exam: p.room for p in found.plan.placed} == {"A": "XR1~stat", "B": "XR1~stat"}
    assert exam(found, "A").minutes.keys() == {"XR1", "XR1~stat"}
    booked = exam(found, "A").booked
    assert booked is not None
    assert booked.room == "XR1~stat"


def test_who_lost_a_place_in_kept_time_is_not_put_there_again() -> None:
    down = Span(START, START + 60 * MIN)
    found = told(one("A", 30), department=keeping(kept(0, 300), down=down), repairing=True)
    assert found.plan.unplanned == ("A",)
    assert exam(found, "A").minutes.keys() == {"XR1"}
    assert first_option(found, "A") == ("XR1", 300)


def test_an_outpatient_without_a_place_is_proposed_into_published_time() -> None:
    ahead = replace(NEED, ahead=True)
    department = keeping(published=(Span(START + 60 * MIN, START + 90 * MIN),))
    found = told(one("N", need=ahead), department=department, wanted=("N",))
    assert opened(found) == {"XR1": ((60, 95),), "XR1~-": ((0, 60), (95, 545))}
    assert first_option(found, "N") == ("XR1", 60)
    free = told(one("S", need=replace(NEED, claims=STAT)), department=department, wanted=("S",))
    assert opened(free) == {"XR1": ((0, 545),)}, "it binds nobody else, and cuts nobody's day"


def test_a_person_may_choose_time_that_is_kept() -> None:
    found = told(one("N"), department=keeping(kept(60, 120)), wanted=("N",), by_hand=True)
    planner = Planner(found.problem, found.plan)
    assert found.room_at("XR1", 70) == "XR1~stat"
    assert found.room_at("XR1", 30) == "XR1"
    assert found.room_at("XR9", 30) == "XR9"
    assert planner.at_place("N", found.room_at("XR1", 70), 70) is not None


def test_it_is_said_that_and_until_when_a_room_is_kept() -> None:
    rooms = (replace(ROOMS[0], kept=(kept(0, 120, release=0),)), replace(ROOMS[1], busy=((),)))
    found = told(
        one("begun", -5, room="XR2", technologist="T2", until=START + 50 * MIN),
        one("N"),
        department=replace(DEPARTMENT, rooms=rooms),
        wanted=("N",),
    )
    options = Planner(found.problem, found.plan).options(("N",))
    said = explain(found.problem, found.plan, options, wanted=("N",), reserved=found.reserved)
    assert any("XR1 at 15:00 is kept for STATs until 17:00." in one.reasons for one in said)
    assert not any("cannot be used at 15:00; from 17:00" in r for one in said for r in one.reasons)
    without = explain(found.problem, found.plan, options, wanted=("N",))
    assert not any("kept" in sentence for one in without for sentence in one.sentences)


def test_a_place_that_is_released_before_its_time_says_so() -> None:
    found = told(one("N", need=replace(NEED, wished=START + 100 * MIN)), wanted=("N",),
                 department=keeping(kept(60, 200, release=30)))  # fmt: skip
    options = Planner(found.problem, found.plan).options(("N",))
    (said, *_) = explain(found.problem, found.plan, options, wanted=("N",), reserved=found.reserved)
    assert "XR1 at 16:40 is kept for STATs until 16:10." in said.reasons


def test_what_is_released_is_not_said_to_be_kept() -> None:
    long = replace(NEED, minutes=30, wished=START + 40 * MIN)
    found = told(one("N", need=long), one("S"), wanted=("N",), department=keeping(kept(0, 200, release=45)))
    exams = told(
        one("A", 300), one("N", need=long), wanted=("N",), department=keeping(kept(0, 200, release=45))
    )
    for day in (found, exams):
        options = Planner(day.problem, day.plan).options(("N",))
        (said, *_) = explain(day.problem, day.plan, options, wanted=("N",), reserved=day.reserved)
        assert not any("is kept for STATs until" in sentence for sentence in said.sentences)
    assert "XR1 cannot be used at 15:40; from 18:20 it can." in said.reasons


def test_time_that_is_not_published_is_said_to_be() -> None:
    ahead = replace(NEED, ahead=True)
    department = keeping(published=(Span(START + 60 * MIN, START + 90 * MIN),))
    found = told(one("N", need=ahead), department=department, wanted=("N",))
    options = Planner(found.problem, found.plan).options(("N",))
    (said, *_) = explain(found.problem, found.plan, options, wanted=("N",), reserved=found.reserved)
    assert "XR1 has no time for outpatients at 15:00; from 16:00 it has." in said.reasons


@given(
    stretches=st.lists(
        st.tuples(
            st.integers(-60, 500),
            st.integers(5, 200),
            st.sampled_from([STAT, frozenset({"emergency"}), frozenset({"stat", "inpatient"})]),
            st.sampled_from([0, 15, 60]),
        ),
        max_size=4,
    ),
    starts=st.lists(st.integers(0, 52), unique=True, max_size=12),
    claims=st.sampled_from([frozenset[str](), STAT]),
    gap=st.booleans(),
)
@example(stretches=[(0, 120, STAT, 0)], starts=[0, 1, 11, 12], claims=frozenset(), gap=True)
def test_whatever_is_kept_the_plan_in_force_stands_and_no_option_takes_it(
    stretches: list[tuple[int, int, frozenset[str], int]],
    starts: list[int],
    claims: frozenset[str],
    gap: bool,
) -> None:
    keeps = tuple(kept(a, a + b, whom, release) for a, b, whom, release in stretches)
    department = keeping(*keeps)
    if not gap:
        department = replace(department, cleaning=timedelta())
    booked = [one(f"E{n}", n * 10, told_time=n % 2 == 0) for n in starts]
    found = told(*booked, one("N", need=replace(NEED, claims=claims)), department=department, wanted=("N",))
    assert found.left_alone == ()
    for option in Planner(found.problem, found.plan).options(("N",)):
        assert broken_rule(found.problem, applied(found.problem, found.plan, option)) == ""
        (place,) = (m.after for m in option.moves if m.exam == "N" and m.after)
        for k in keeps:
            left = k.left(START)
            begins = START + place.start * MIN
            overlaps = k.span.start < begins + 10 * MIN and begins < k.span.end
            assert not overlaps or k.whom & claims or k.until(begins) <= START, left
