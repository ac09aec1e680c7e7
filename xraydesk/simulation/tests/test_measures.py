"""Hand-made days: every measure with its edges, and how sure a mean is."""

from __future__ import annotations

from typing import Any

import pytest

from xraydesk.simulation.confidence import mean_of, t_cumulative, t_quantile
from xraydesk.simulation.measures import BY_KEY, MEASURES, Become, number, percentile
from xraydesk.simulation.outcome import DayOutcome, End, Ending, Use
from xraydesk.simulation.scenario import Kind


def ending(name: str = "A", **fields: Any) -> Ending:
    usual: dict[str, Any] = {"kind": Kind.WALK_IN, "priority": "routine", "end": End.SEEN}
    return Ending(id=name, **(usual | fields))


def seen(name: str, ordered: int, here: int, begun: int, **fields: Any) -> Ending:
    return ending(name, ordered=ordered, here=here, begun=begun, ended=begun + 10, **fields)


def booked(name: str, told: int, here: int, begun: int, last: int | None = None) -> Ending:
    return ending(
        name,
        kind=Kind.BOOKED,
        told_first=told,
        told_last=last or told,
        here=here,
        begun=begun,
        ended=begun + 10,
    )


def value(key: str, *endings: Ending, **uses: Any) -> float | None:
    measure = BY_KEY[key]
    return number(measure.become, measure.of(DayOutcome(0, endings, **uses)))


STAT = {"priority": "stat", "kind": Kind.EMERGENCY}
DAY = (
    seen("S1", 100, 102, 104, **STAT),
    seen("S2", 100, 102, 112, **STAT),
    seen("U", 100, 110, 140, priority="urgent", kind=Kind.INPATIENT),
    booked("B1", 600, 590, 595),
    booked("B2", 600, 580, 611),
    booked("B3", 600, 615, 630, last=612),
    ending("L", ordered=500, here=505, end=End.LEFT),
    ending("W", ordered=700, kind=Kind.INPATIENT, end=End.WAITING),
    ending("N", kind=Kind.BOOKED, told_first=600, told_last=600, end=End.ABSENT),
)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("patients", 9),
        ("seen", 6),
        ("wait", (2 + 10 + 30 + 0 + 11 + 15) / 6),
        ("wait-stat", 6),
        ("wait-urgent", 30),
        ("wait-routine", (0 + 11 + 15) / 3),
        ("wait-p90", 22.5),
        ("stat-p50", 8),
        ("stat-p90", 11.2),
        ("ward-order", 40),
        ("late", 200 / 3),
        ("moved", 1),
        ("moved-minutes", 12),
        ("moved-for-stat", 0.5),
        ("left", 1),
        ("waiting", 1),
        ("absent", 1),
        ("overtime", 0),
        ("rooms", None),
        ("technologists", None),
        ("porters", None),
    ],
)
def test_each_measure_is_what_its_words_say(key: str, expected: float | None) -> None:
    assert value(key, *DAY) == (None if expected is None else pytest.approx(expected))


def test_no_measure_is_left_out_of_these_tests_and_each_has_words() -> None:
    [cases] = [m.args[1] for m in test_each_measure_is_what_its_words_say.pytestmark]
    assert [case[0] for case in cases] == [m.key for m in MEASURES]
    assert all(m.words.endswith(".") and m.better in (-1, 0, 1) for m in MEASURES)


def test_nobody_waits_by_coming_early_and_a_later_time_told_is_still_a_wait() -> None:
    assert value("wait", booked("B", 600, 580, 600)) == 0
    assert value("wait", booked("B", 600, 580, 590)) == 0
    assert value("wait", booked("B", 600, 640, 640, last=640)) == 0, "late by themselves"
    assert value("wait", booked("B", 600, 600, 640, last=640)) == 40
    assert value("late", booked("B", 600, 600, 610)) == 0
    assert value("late", booked("B", 600, 600, 611)) == 100


def test_a_day_on_which_nothing_happened_has_no_means_and_counts_nothing() -> None:
    for measure in MEASURES:
        got = value(measure.key)
        assert got == (0 if measure.become in (Become.COUNT, Become.TOTAL) else None)


def test_uses_are_weighed_by_how_long_they_could_be_used() -> None:
    uses = {"XR1": Use(300, 300), "XR2": Use(100, 0), "XR3": Use(0, 0)}
    assert value("rooms", rooms=uses) == 75
    assert value("technologists", technologists=uses) == 75
    assert value("porters", porters=uses) == 75
    assert value("overtime", seen("A", 1, 1, 1, overtime=5), seen("B", 1, 1, 1, overtime=7)) == 12


def test_counts_and_totals_of_many_days_are_those_of_one() -> None:
    assert number(Become.COUNT, [1, 1, 1], days=2) == 1.5
    assert number(Become.TOTAL, [4, 8], days=2) == 6
    assert number(Become.RATIO, [1, 4, 0, 4]) == 0.125
    assert percentile([5], 90) == 5
    assert percentile([1, 2, 3, 4], 50) == 2.5


# -- confidence --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("freedom", "tabled"),
    [
        (1, 12.706),
        (2, 4.303),
        (3, 3.182),
        (5, 2.571),
        (10, 2.228),
        (30, 2.042),
        (120, 1.980),
        (100_000, 1.960),
    ],
)
def test_student_s_t_is_as_in_the_tables(freedom: int, tabled: float) -> None:
    assert t_quantile(0.975, freedom) == pytest.approx(tabled, abs=0.0006)


def test_student_s_t_begins_at_one_half_and_rises() -> None:
    assert t_cumulative(0.0, 7) == 0.5
    values = [t_cumulative(x / 4, 7) for x in range(40)]
    assert values == sorted(values)
    assert t_cumulative(1e9, 7) == pytest.approx(1)


def test_a_mean_of_one_day_has_no_interval_and_of_none_there_is_none() -> None:
    assert mean_of([]) is None
    one = mean_of([4.0])
    assert one is not None
    assert (one.mean, one.half, one.days) == (4.0, None, 1)
    two = mean_of([1.0, 3.0])
    assert two is not None
    assert two.half == pytest.approx(12.706, abs=0.001)
