"""A scenario learnt from what happened: what is seen often enough, and nothing else."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from xraydesk.reporting.story import Story
from xraydesk.simulation.chance import Shape, always
from xraydesk.simulation.learn import SEEN_MIN, VALUES_MAX, kind_of, learn, observed
from xraydesk.simulation.scenario import Kind, Scenario
from xraydesk.simulation.tests.small import site

DAY = date(2026, 3, 2)
"""A Monday."""

MIDNIGHT = datetime(2026, 3, 1, 23, tzinfo=UTC)
"""In Berlin."""

USUAL = Scenario("Usual", exam_percent=always(77))


def at(minutes: float) -> datetime:
    return MIDNIGHT + timedelta(minutes=minutes)


def story(minute: float, patient_class: str = "E", **fields: Any) -> Story:
    usual: dict[str, Any] = {"procedure": "CHEST", "received_at": at(minute)}
    return Story("A", patient_class=patient_class, **(usual | fields))


def test_nothing_is_learnt_from_little() -> None:
    few = [story(600, begun_at=at(610), ended_at=at(620))] * (SEEN_MIN - 1)
    learnt = learn(few, site(), USUAL, days=[DAY])
    assert learnt.words == ()
    assert learnt.scenario.exam_percent == USUAL.exam_percent
    assert learnt.scenario.name == "Usual"


def test_orders_are_learnt_by_hour_and_weekday_and_other_weekdays_are_as_the_mean() -> None:
    emergencies = [story(600 + n, priority="stat" if n % 4 else "urgent") for n in range(40)]
    inpatients = [
        story(700, "I", priority="urgent" if n < 5 else "routine", procedure="CHESTP" if n < 10 else "CHEST")
        for n in range(20)
    ]
    elsewhere = [story(1440 + 100), story(0, received_at=None)]
    learnt = learn(
        [*emergencies, *inpatients, *elsewhere], site(), USUAL, days=[DAY, DAY + timedelta(days=7)]
    )
    scenario = learnt.scenario
    assert scenario.orders["mon"][10:12] == (20.0, 10.0)
    assert sum(scenario.orders["mon"]) == 30
    assert scenario.orders["tue"] == scenario.orders["mon"]
    assert scenario.shares == {Kind.EMERGENCY: 42, Kind.INPATIENT: 20, Kind.WALK_IN: 0}
    assert (scenario.stat_percent, scenario.urgent_percent, scenario.bedside_percent) == (71, 25, 50)
    assert any("42 emergency orders" in words for words in learnt.words)


def test_exam_times_are_learnt_each_procedure_by_itself_where_it_is_seen_often_enough() -> None:
    often = [story(600, begun_at=at(600), ended_at=at(600 + 5 + n)) for n in range(SEEN_MIN)]
    once = [story(600, procedure="CHESTP", begun_at=at(600), ended_at=at(615))]
    unknown = [story(600, procedure="KNEE", begun_at=at(600), ended_at=at(615)), story(600)]
    scenario = learn([*often, *once, *unknown], site(), USUAL, days=[DAY]).scenario
    assert set(scenario.exam_percent_of) == {"CHEST"}
    assert scenario.exam_percent_of["CHEST"].numbers[:3] == (50, 60, 70)
    assert len(scenario.exam_percent.numbers) == SEEN_MIN + 1
    assert scenario.procedures == {"CHEST": SEEN_MIN, "CHESTP": 1}


def test_appointments_lateness_and_walk_ins_are_learnt() -> None:
    booked = [
        story(500, "O", booked_for=at(600), arrived_at=at(590 + n), begun_at=at(620)) for n in range(SEEN_MIN)
    ]
    absent = [story(500, "O", booked_for=at(600), no_show_at=at(630))] * 5
    astray = [story(500, "O", booked_for=at(600), arrived_at=at(900))]
    walk_ins = [story(600, "O", arrived_at=at(600 + n), booked_for=at(605)) for n in range(SEEN_MIN)]
    never_here = [story(600, "O")]
    scenario = learn([*booked, *absent, *astray, *walk_ins, *never_here], site(), USUAL, days=[DAY]).scenario
    assert scenario.appointments["mon"][10] == SEEN_MIN + 6
    assert scenario.absent_percent == 19
    assert scenario.late.numbers == tuple(range(-10, SEEN_MIN - 10))
    assert scenario.walk_in_after.numbers == tuple(range(SEEN_MIN))


def test_how_somebody_came_is_told_by_class_and_time() -> None:
    assert kind_of(story(0, "e")) is Kind.EMERGENCY
    assert kind_of(story(0, "I")) is Kind.INPATIENT
    assert kind_of(story(0, "O")) is Kind.WALK_IN
    assert kind_of(story(0, "O", booked_for=at(60))) is Kind.BOOKED
    assert kind_of(story(0, "O", booked_for=at(60), arrived_at=at(9))) is Kind.WALK_IN


def test_many_values_are_stood_for_by_some() -> None:
    assert observed([3, 1, 2]).numbers == (1, 2, 3)
    many = observed(list(range(10 * VALUES_MAX)))
    assert many.shape is Shape.OBSERVED
    assert len(many.numbers) == VALUES_MAX
    assert many.numbers[0] == 5
    assert many.numbers[-1] == 10 * VALUES_MAX - 5
