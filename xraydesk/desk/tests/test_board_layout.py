"""Where things stand on the board, without a database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from xraydesk.desk.board_layout import (
    LABEL_MINUTES_MAX,
    Card,
    Counts,
    Folded,
    HeldPlace,
    Window,
    blocks_of_lane,
    counts,
    day_window,
    drawn_stage,
    fold,
    hours_window,
    lateness,
    load_percent,
    most_urgent_first,
    stretch,
    ticks,
    waiting,
)
from xraydesk.journey.stage import Stage
from xraydesk.orders.states import Priority

MIDNIGHT = datetime(2026, 3, 2, 5, 0, tzinfo=UTC)
SEVEN = MIDNIGHT + timedelta(hours=7)
WINDOW = Window(SEVEN, 720)


def at(hour: int, minute: int = 0) -> datetime:
    return MIDNIGHT + timedelta(hours=hour, minutes=minute)


def card(number: int = 1, **fields: object) -> Card:
    usual = Card(
        accession=f"A{number}",
        patient=number,
        family="Abdi",
        given="Hodan",
        what="Chest 2 views",
        stage=Stage.SCHEDULED,
        room="XR1",
        planned_start=at(10),
        planned_end=at(10, 10),
    )
    return replace(usual, **fields)  # type: ignore[arg-type]


def test_a_window_knows_its_edges() -> None:
    assert (WINDOW.minute(at(6, 59)), WINDOW.end) == (-1, at(19))


@pytest.mark.parametrize(
    ("stage", "fields", "drawn"),
    [
        (Stage.SCHEDULED, {}, "scheduled"),
        (Stage.ORDERED, {}, "scheduled"),
        (Stage.ARRIVED, {}, "arrived"),
        (Stage.BEGUN, {}, "inroom"),
        (Stage.ENDED, {}, "done"),
        (Stage.ENDED, {"images": 1}, "images"),
        (Stage.READ, {}, "read"),
        (Stage.HELD, {}, "scheduled"),
        (Stage.HELD, {"arrived_at": at(9)}, "arrived"),
        (Stage.NO_SHOW, {}, "scheduled"),
        (Stage.DISCONTINUED, {}, "scheduled"),
        (Stage.DISCONTINUED, {"ended_at": at(9)}, "done"),
        (Stage.CANCELLED, {}, "scheduled"),
    ],
)
def test_each_stage_is_drawn_as_one_of_the_eight(stage: Stage, fields: dict, drawn: str) -> None:
    assert drawn_stage(card(stage=stage, **fields)) == drawn


def test_a_planned_exam_stands_where_it_is_planned() -> None:
    assert stretch(card(), at(12)) == (at(10), at(10, 10))


def test_an_exam_without_a_place_stands_nowhere() -> None:
    assert stretch(card(planned_start=None, planned_end=None), at(12)) is None


def test_an_exam_under_way_reaches_to_now() -> None:
    begun = card(stage=Stage.BEGUN, begun_at=at(10, 5))
    assert stretch(begun, at(10, 8)) == (at(10, 5), at(10, 15))
    assert stretch(begun, at(10, 40)) == (at(10, 5), at(10, 40))


def test_an_exam_that_was_done_stands_where_it_was_done() -> None:
    done = card(stage=Stage.ENDED, begun_at=at(11), ended_at=at(11, 7))
    assert stretch(done, at(12)) == (at(11), at(11, 7))


def test_an_unplanned_exam_under_way_has_a_usual_length() -> None:
    begun = card(stage=Stage.BEGUN, begun_at=at(10), planned_start=None, planned_end=None)
    assert stretch(begun, at(10, 1)) == (at(10), at(10, 15))


@pytest.mark.parametrize(
    ("fields", "now", "expected"),
    [
        ({}, at(10, 4), None),
        ({}, at(10, 5), (5, "late")),
        ({"stage": Stage.ARRIVED, "arrived_at": at(9, 50)}, at(10, 8), (8, "late")),
        ({"stage": Stage.BEGUN, "begun_at": at(10)}, at(10, 12), None),
        ({"stage": Stage.BEGUN, "begun_at": at(10)}, at(10, 20), (10, "over")),
        ({"stage": Stage.BEGUN}, at(12), None),
        ({"stage": Stage.ENDED, "ended_at": at(10)}, at(10, 14), None),
        ({"stage": Stage.ENDED, "ended_at": at(10)}, at(10, 36), (36, "no images")),
        ({"stage": Stage.ENDED, "ended_at": at(10), "images": 2}, at(12), None),
        ({"stage": Stage.DISCONTINUED}, at(10, 9), (9, "late")),
        ({"stage": Stage.DISCONTINUED, "ended_at": at(10)}, at(11), None),
        ({"stage": Stage.HELD}, at(12), None),
        ({"planned_start": None, "planned_end": None}, at(12), None),
    ],
)
def test_late_over_and_without_images_are_said_only_past_a_grace(
    fields: dict, now: datetime, expected: tuple[int, str] | None
) -> None:
    mark = lateness(card(**fields), now)
    assert (mark and (mark.minutes, mark.word)) == expected


def test_waiting_counts_from_the_arrival_and_only_while_nobody_has_begun() -> None:
    here = card(stage=Stage.ARRIVED, arrived_at=at(9, 30))
    mark = waiting(here, at(9, 58))
    assert mark is not None
    assert (mark.minutes, mark.word) == (28, "waiting")
    assert waiting(replace(here, stage=Stage.BEGUN), at(9, 58)) is None


def test_a_label_reaches_to_the_next_block_in_its_row() -> None:
    first = card(1)
    second = card(2, planned_start=at(11), planned_end=at(11, 10))
    other_row = card(3, row=2, planned_start=at(10, 30), planned_end=at(10, 40))
    found, _ = blocks_of_lane([second, first, other_row], WINDOW, at(7))
    assert [(b.card.accession, b.start, b.length, b.label, b.row) for b in found] == [
        ("A1", 180, 10, 60, 0),
        ("A3", 210, 10, LABEL_MINUTES_MAX, 2),
        ("A2", 240, 10, LABEL_MINUTES_MAX, 0),
    ]


def test_what_lies_outside_the_window_is_cut_or_left_out() -> None:
    early = card(1, planned_start=at(6, 55), planned_end=at(7, 10))
    yesterday = card(2, planned_start=at(5), planned_end=at(6))
    last = card(3, planned_start=at(18, 55), planned_end=at(19, 10))
    nowhere = card(4, planned_start=None, planned_end=None)
    found, _ = blocks_of_lane([early, yesterday, last, nowhere], WINDOW, at(7))
    assert [(b.card.accession, b.start, b.length, b.label) for b in found] == [
        ("A1", 0, 10, LABEL_MINUTES_MAX),
        ("A3", 715, 5, 8),
    ]


def test_blocks_that_overlap_in_one_row_keep_a_little_room_for_a_label() -> None:
    late = card(1, stage=Stage.BEGUN, begun_at=at(10))
    soon = card(2, planned_start=at(10, 2), planned_end=at(10, 12))
    assert [b.label for b in blocks_of_lane([late, soon], WINDOW, at(10, 30))[0]] == [8, LABEL_MINUTES_MAX]


def test_the_day_is_shown_from_the_usual_hours_and_wider_where_something_lies_outside() -> None:
    day, after = MIDNIGHT, MIDNIGHT + timedelta(days=1)
    assert day_window(day, after, busy=[], usual=(at(7), at(19))) == Window(at(7), 720)
    wider = day_window(
        day, after, busy=[(at(3, 20), at(3, 40)), (at(20, 50), at(21, 5))], usual=(at(7), at(19))
    )
    assert wider == Window(at(3), 19 * 60)
    whole = day_window(day, after, busy=[(at(-2), at(26))], usual=(at(7), at(19)))
    assert whole == Window(at(0), 24 * 60)


def test_four_hours_begin_at_a_half_hour_and_stay_within_the_day() -> None:
    day, after = MIDNIGHT, MIDNIGHT + timedelta(days=1)
    assert hours_window(day, after, since=at(10, 12)) == Window(at(10), 240)
    assert hours_window(day, after, since=at(-3)) == Window(at(0), 240)
    assert hours_window(day, after, since=at(23)) == Window(at(20), 240)


def test_hours_are_written_along_the_top_and_half_hours_where_few_are_shown() -> None:
    assert ticks(WINDOW)[:2] == [at(7), at(8)]
    assert len(ticks(WINDOW)) == 12
    assert ticks(Window(at(10), 240))[:2] == [at(10), at(10, 30)]


def test_the_tray_has_the_most_urgent_first() -> None:
    stat = card(1, priority=Priority.STAT, due_at=at(12))
    stat_sooner = card(2, priority=Priority.STAT, due_at=at(11))
    urgent = card(3, priority=Priority.URGENT)
    wished = card(4, planned_start=None, requested_at=at(9))
    old = card(5, planned_start=None, created_at=at(1))
    new = card(6, planned_start=None, created_at=at(2))
    found = most_urgent_first([new, old, wished, urgent, stat, stat_sooner])
    assert [c.accession for c in found] == ["A2", "A1", "A3", "A4", "A5", "A6"]


def test_the_numbers_in_the_bar_count_what_asks_for_something() -> None:
    cards = [
        card(1),
        card(2, stage=Stage.ARRIVED, arrived_at=at(9, 40)),
        card(3, stage=Stage.ARRIVED, arrived_at=at(9, 50), planned_start=at(11), planned_end=at(11, 10)),
        card(4, stage=Stage.BEGUN, begun_at=at(10)),
        card(5, stage=Stage.READ),
        card(6, stage=Stage.CANCELLED),
    ]
    assert counts(cards, at(10, 8)) == Counts(
        exams=5, read=1, in_room=1, waiting=2, waiting_longest_minutes=28, late=2
    )


def test_a_rooms_load_is_what_is_booked_of_what_is_open() -> None:
    assert load_percent([(at(10), at(13))], [(at(7), at(19))]) == 25
    assert load_percent([], []) is None


def test_a_held_place_stands_in_its_row_as_an_exam_does() -> None:
    held = [HeldPlace(7, at(10, 20), at(10, 30), at(9)), HeldPlace(8, at(4), at(5), at(9))]
    blocks, holds = blocks_of_lane([card(1), card(2, row=1)], WINDOW, at(7), held=held)
    assert [(b.start, b.label) for b in blocks] == [(180, 20), (180, LABEL_MINUTES_MAX)]
    assert [(h.place.hold, h.start, h.length, h.label) for h in holds] == [(7, 200, 10, LABEL_MINUTES_MAX)]


def read(number: int, hour: int, minute: int = 0, **fields: object) -> Card:
    begun = at(hour, minute)
    return card(number, stage=Stage.READ, begun_at=begun, ended_at=begun + timedelta(minutes=10), **fields)


def test_what_a_lane_began_with_and_was_all_read_is_one_block() -> None:
    blocks, _ = blocks_of_lane([read(1, 8), read(2, 8, 30, row=1), card(3), read(4, 10, 30)], WINDOW, at(11))
    done, rest = fold(blocks, WINDOW)
    assert done == Folded(count=2, start=60, length=40, label=90)
    assert [b.card.accession for b in rest] == ["A3", "A4"]


def test_what_can_still_go_wrong_and_the_chosen_exam_never_fold() -> None:
    unread = card(9, stage=Stage.ENDED, begun_at=at(7, 30), ended_at=at(7, 40))
    blocks, _ = blocks_of_lane([unread, read(1, 8), read(2, 9)], WINDOW, at(11))
    assert fold(blocks, WINDOW) == (None, blocks)
    blocks, _ = blocks_of_lane([read(1, 8), read(2, 9)], WINDOW, at(11))
    assert fold(blocks, WINDOW, chosen="A2") == (None, blocks)


def test_what_is_folded_ends_where_the_next_block_of_its_row_begins() -> None:
    blocks, _ = blocks_of_lane(
        [read(1, 8), read(2, 8, 30, row=1), card(3, planned_start=at(8, 35), planned_end=at(8, 45))],
        WINDOW,
        at(8, 50),
    )
    done, _ = fold(blocks, WINDOW)
    assert done == Folded(count=2, start=60, length=35, label=35)
