"""Hand-made days: every measure, with its edges."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from xraydesk.facts.kinds import FactKind
from xraydesk.reporting.measures import (
    BY_KEY,
    MEASURES,
    Kind,
    Value,
    Window,
    busy_minutes,
    by_hour,
    minutes_text,
    room_use,
    value_of,
)
from xraydesk.reporting.story import KINDS, Story, Told, stories

DAY = datetime(2026, 3, 2, 5, 0, tzinfo=UTC)
"""Midnight in New York."""


def at(clock: str) -> datetime:
    """A moment of the day, by its wall clock; `24:10` is ten past midnight."""
    hours, minutes = clock.split(":")
    return DAY + timedelta(hours=int(hours), minutes=int(minutes))


def window(now: str = "12:00") -> Window:
    return Window(DAY, DAY + timedelta(days=1), at(now))


def told(kind: FactKind, clock: str, exam: str = "A1", room: str = "XR1", **data: Any) -> Told:
    return Told(str(kind), at(clock), exam, room, data)


def ordered(clock: str, exam: str = "A1", **data: Any) -> Told:
    return told(FactKind.ORDER_RECEIVED, clock, exam, "", **({"priority": "routine"} | data))


def booked(clock: str, start: str, exam: str = "A1", room: str = "XR1") -> Told:
    return told(FactKind.EXAM_BOOKED, clock, exam, room, start=at(start).isoformat())


def day(*facts: Told) -> list[Story]:
    return list(stories(sorted(facts, key=lambda f: f.at)).values())


def number(key: str, *facts: Told, now: str = "12:00", group: str = "") -> Value:
    return value_of(BY_KEY[key], day(*facts), window(now), group)


WHOLE = (
    ordered("8:00"),
    booked("8:01", "9:00"),
    told(FactKind.PATIENT_ARRIVED, "8:50"),
    told(FactKind.EXAM_BEGUN, "9:05"),
    told(FactKind.IMAGE_MATCHED, "9:09"),
    told(FactKind.IMAGE_MATCHED, "9:11"),
    told(FactKind.EXAM_ENDED, "9:12"),
    told(FactKind.IMAGES_AVAILABLE, "9:13", last=at("9:10").isoformat()),
    told(FactKind.IMAGES_AVAILABLE, "9:14", last=at("9:11").isoformat()),
    told(FactKind.IMAGES_OPENED, "9:20"),
    told(FactKind.IMAGES_OPENED, "9:25"),
    told(FactKind.REPORT_RECEIVED, "9:30", state="preliminary"),
    told(FactKind.REPORT_RECEIVED, "9:59", state="final"),
    told(FactKind.REPORT_RECEIVED, "10:30", state="corrected"),
)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("exams", 1),
        ("ordered", 1),
        ("wait", 5),
        ("order-to-images", 69),
        ("image-to-available", 3),
        ("image-to-opened", 9),
        ("images-to-report", 50),
        ("order-to-report", 119),
        ("no-shows", 0),
        ("cancelled", 0),
        ("discontinued", 0),
        ("late", 0),
    ],
)
def test_an_ordinary_exam_counts_where_it_should(key: str, value: float) -> None:
    assert number(key, *WHOLE).number == value


def test_a_count_is_shown_as_it_is() -> None:
    assert (number("exams", *WHOLE).text, number("exams").text) == ("1", "0")


def test_nothing_counts_before_it_happened_or_on_another_day() -> None:
    assert number("exams", *WHOLE, now="9:11").number == 0
    yesterday = [Told(f.kind, f.at - timedelta(days=1), f.accession, f.room, f.data) for f in WHOLE]
    for measure in MEASURES:
        assert value_of(measure, stories(yesterday).values(), window()).behind == (), measure.key


def test_midnight_belongs_to_the_day_that_begins() -> None:
    assert number("exams", told(FactKind.EXAM_ENDED, "0:00"), now="0:00").number == 1
    assert number("exams", told(FactKind.EXAM_ENDED, "24:00"), now="24:00").number == 0


def test_an_exam_over_midnight_counts_where_it_ends_and_keeps_its_wait() -> None:
    facts = (
        told(FactKind.PATIENT_ARRIVED, "-1:40"),
        told(FactKind.EXAM_BEGUN, "0:10"),
        told(FactKind.EXAM_ENDED, "0:20"),
    )
    assert number("exams", *facts).number == 1
    assert number("wait", *facts).number == 30


def test_nobody_waits_by_coming_early_and_who_has_no_place_waits_from_being_here() -> None:
    early = (
        booked("8:00", "9:00"),
        told(FactKind.PATIENT_ARRIVED, "8:00"),
        told(FactKind.EXAM_BEGUN, "9:00"),
    )
    assert number("wait", *early).number == 0
    before_time = (*early[:2], told(FactKind.EXAM_BEGUN, "8:50"))
    assert number("wait", *before_time).number == 0
    walk_in = (told(FactKind.PATIENT_ARRIVED, "8:00"), told(FactKind.EXAM_BEGUN, "8:20"))
    assert number("wait", *walk_in).number == 20


def test_who_was_never_marked_as_here_is_here_when_the_exam_begins() -> None:
    assert number("wait", told(FactKind.EXAM_BEGUN, "9:00")).number == 0


def test_the_median_of_two_lies_between_them_and_priorities_are_told_apart() -> None:
    facts = []
    for exam, priority, begun in (
        ("A1", "stat", "8:10"),
        ("A2", "routine", "8:30"),
        ("A3", "routine", "8:40"),
    ):
        facts += [
            ordered("7:00", exam, priority=priority),
            told(FactKind.PATIENT_ARRIVED, "8:00", exam),
            told(FactKind.EXAM_BEGUN, begun, exam),
        ]
    assert number("wait", *facts).number == 30
    assert number("wait", *facts, group="routine").number == 35
    assert number("wait", *facts, group="stat").text == "10 min"
    assert number("wait", *facts, group="urgent").text == "–"
    assert [exam for exam, _ in number("wait", *facts).behind] == ["A3", "A2", "A1"]


def stat(exam: str, due: str) -> Told:
    return ordered("8:00", exam, priority="stat", due=at(due).isoformat())


def test_a_stat_is_in_time_when_it_begins_by_its_time_and_missed_when_that_passes() -> None:
    facts = (
        stat("A1", "9:00"),
        told(FactKind.EXAM_BEGUN, "9:00", "A1"),
        stat("A2", "9:00"),
        told(FactKind.EXAM_BEGUN, "9:01", "A2"),
        stat("A3", "9:30"),
        stat("A4", "13:00"),
        stat("A5", "9:00"),
        told(FactKind.EXAM_CANCELLED, "8:30", "A5"),
        stat("A6", "9:00"),
        told(FactKind.NO_SHOW, "8:30", "A6"),
        ordered("8:00", "A7", due=at("9:00").isoformat()),
        ordered("8:00", "A8", priority="stat"),
    )
    value = number("stat-in-time", *facts)
    assert (value.text, round(value.number or 0)) == ("1 of 3", 33)
    assert {exam for exam, _ in value.behind} == {"A1", "A2", "A3"}


def test_a_priority_that_was_changed_counts_as_changed() -> None:
    facts = (stat("A1", "9:00"), told(FactKind.PRIORITY_CHANGED, "8:10", **{"from": "stat", "to": "routine"}))
    assert number("stat-in-time", *facts).behind == ()
    changed = (
        ordered("8:00"),
        told(FactKind.ORDER_CHANGED, "8:05", priority="stat", due=at("9:00").isoformat()),
    )
    assert number("stat-in-time", *changed).text == "0 of 1"


def test_an_exam_is_late_ten_minutes_after_its_time_until_it_begins_or_falls_away() -> None:
    facts = (booked("8:00", "9:00"),)
    assert number("late", *facts, now="9:10").number == 0
    assert number("late", *facts, now="9:11").behind == (("A1", 11.0),)
    for kind in (FactKind.EXAM_BEGUN, FactKind.EXAM_CANCELLED, FactKind.NO_SHOW, FactKind.BOOKING_RELEASED):
        assert number("late", *facts, told(kind, "9:05"), now="9:30").number == 0, kind
    assert number("late", booked("8:00", "24:30"), now="24:00").number == 0


def test_what_is_moved_is_late_by_its_new_time() -> None:
    moved = told(FactKind.EXAM_MOVED, "8:30", to={"start": at("10:00").isoformat()}, **{"from": {}})
    assert number("late", booked("8:00", "9:00"), moved, now="9:30").number == 0
    (story,) = day(booked("8:00", "9:00"), moved)
    assert (story.moved, story.booked_for, story.booked_at) == (1, at("10:00"), at("8:00"))


@pytest.mark.parametrize(
    ("key", "kind", "undone"),
    [
        ("no-shows", FactKind.NO_SHOW, FactKind.NO_SHOW_UNDONE),
        ("no-shows", FactKind.NO_SHOW, FactKind.PATIENT_ARRIVED),
        ("no-shows", FactKind.NO_SHOW, FactKind.EXAM_BOOKED),
        ("discontinued", FactKind.EXAM_DISCONTINUED, FactKind.EXAM_REOPENED),
        ("discontinued", FactKind.EXAM_DISCONTINUED, FactKind.EXAM_BEGUN),
        ("exams", FactKind.EXAM_ENDED, FactKind.EXAM_REOPENED),
    ],
)
def test_what_was_taken_back_does_not_count(key: str, kind: FactKind, undone: FactKind) -> None:
    assert number(key, told(kind, "9:00")).number == 1
    assert number(key, told(kind, "9:00"), told(undone, "9:05")).number == 0


def test_an_arrival_taken_back_is_none() -> None:
    facts = (told(FactKind.PATIENT_ARRIVED, "8:00"), told(FactKind.ARRIVAL_UNDONE, "8:01"))
    assert day(*facts)[0].arrived_at is None


def test_a_cancelled_report_takes_the_reading_back() -> None:
    cancelled = told(FactKind.REPORT_RECEIVED, "11:00", state="cancelled")
    assert number("order-to-report", *WHOLE, cancelled).number is None
    strange = told(FactKind.REPORT_RECEIVED, "11:00", state="gone")
    assert number("order-to-report", *WHOLE, strange).number == 119


def test_a_fetched_patient_is_late_by_when_they_were_to_be_here() -> None:
    def asked(clock: str, kind: FactKind = FactKind.TRANSPORT_ASKED, way: str = "fetch") -> Told:
        return told(kind, "8:00", way=way, due=at(clock).isoformat())

    def brought(clock: str, way: str = "fetch") -> Told:
        return told(FactKind.PATIENT_DELIVERED, clock, way=way)

    assert number("transport-delay", asked("8:55"), brought("9:05")).number == 10
    assert number("transport-delay", asked("8:55"), brought("8:45")).number == 0
    again = asked("9:55", FactKind.TRANSPORT_CHANGED)
    assert number("transport-delay", asked("8:55"), again, brought("9:05")).number == 0
    assert number("transport-delay", brought("9:05")).number is None
    assert number("transport-delay", asked("8:55", way="return"), brought("9:05", "return")).number is None


def test_a_room_is_busy_once_however_many_exams_overlap_in_it() -> None:
    facts = (
        told(FactKind.EXAM_BEGUN, "9:00", "A1"),
        told(FactKind.EXAM_ENDED, "9:20", "A1"),
        told(FactKind.EXAM_BEGUN, "9:10", "A2"),
        told(FactKind.EXAM_ENDED, "9:30", "A2"),
        told(FactKind.EXAM_BEGUN, "9:12", "A3"),
        told(FactKind.EXAM_DISCONTINUED, "9:15", "A3"),
        told(FactKind.EXAM_BEGUN, "11:50", "A4"),
        told(FactKind.EXAM_BEGUN, "9:00", "B1", "XR2"),
    )
    assert busy_minutes(day(*facts[:-1]), window()) == 40
    use = room_use("XR1", day(*facts), window(), open_minutes=80)
    assert (use.percent, use.exams, use.moved) == (50, ("A1", "A2"), 0)
    assert room_use("XR9", day(*facts), window(), open_minutes=0).percent is None


def test_an_exam_taken_to_another_room_counts_there_as_moved() -> None:
    facts = (booked("8:00", "9:00"), told(FactKind.EXAM_TAKEN, "8:30", room="XR2"))
    assert room_use("XR2", day(*facts), window(), open_minutes=60).moved == 1


def test_a_measure_by_the_hour() -> None:
    facts = []
    for exam, arrived, begun in (("A1", "8:00", "9:10"), ("A2", "9:00", "9:50"), ("A3", "9:58", "10:00")):
        facts += [told(FactKind.PATIENT_ARRIVED, arrived, exam), told(FactKind.EXAM_BEGUN, begun, exam)]
    facts += [told(FactKind.PATIENT_ARRIVED, "10:30", "A4")]
    assert by_hour(day(*facts), BY_KEY["wait"], window(), at="begun_at") == [(9, 60.0), (10, 2.0)]


def test_minutes_between_moments_that_are_not_both_there_are_none() -> None:
    (story,) = day(ordered("7:00"))
    assert story.minutes("received_at", "read_at") is None
    assert story.minutes("received_at", "received_at") == 0


def test_facts_about_no_exam_and_of_no_kind_change_nothing() -> None:
    assert stories([told(FactKind.ROOM_DOWN, "8:00", exam="")]) == {}
    (story,) = day(told(FactKind.NOTE_WRITTEN, "8:00"), told(FactKind.EXAM_HELD, "8:01"))
    assert story.held
    assert story.happened_at is None
    assert str(FactKind.NOTE_WRITTEN) not in KINDS


def test_an_order_whose_exam_was_done_already_counts_once_and_there() -> None:
    done = [told(FactKind.UNSCHEDULED_STEP, "8:00", "A1"), told(FactKind.EXAM_BEGUN, "8:00", "A1")]
    late = [ordered("8:20", exam="A2"), told(FactKind.EXAM_JOINED, "8:20", "A2")]
    (story,) = day(*done, *late, told(FactKind.ORDER_JOINED, "8:20", "A1", priority="stat"))
    assert (story.accession, story.priority, story.received_at) == ("A1", "stat", at("8:00"))


def test_the_day_of_an_exam_is_when_it_began_else_was_booked_else_came() -> None:
    (story,) = day(ordered("7:00"))
    assert story.happened_at == at("7:00")
    (story,) = day(ordered("7:00"), booked("7:01", "9:00"))
    assert story.happened_at == at("9:00")
    (story,) = day(ordered("7:00"), booked("7:01", "9:00"), told(FactKind.EXAM_BEGUN, "9:30"))
    assert story.happened_at == at("9:30")


@pytest.mark.parametrize(("minutes", "text"), [(0.4, "0 min"), (119.4, "119 min"), (125, "2 h 05")])
def test_minutes_are_said_as_people_do(minutes: float, text: str) -> None:
    assert minutes_text(minutes) == text


def test_each_measure_is_defined_in_words_and_has_a_key_of_its_own() -> None:
    assert len(BY_KEY) == len(MEASURES)
    assert all(len(m.words.split()) >= 4 and m.words.endswith(".") for m in MEASURES)
    assert {m.kind for m in MEASURES} == set(Kind)
