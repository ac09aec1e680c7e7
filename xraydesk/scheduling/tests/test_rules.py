"""Who is booked by itself, in which order, and where a block stands on the board."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xraydesk.orders.states import Priority
from xraydesk.scheduling.rules import (
    ROWS,
    Next,
    Waiting,
    booking_way,
    claims_of,
    decide_booking,
    in_order_of_booking,
    is_booked_ahead,
    is_prompt,
    row_for,
    wished_time,
)
from xraydesk.siteplan.policies import BookingWay

AT = datetime(2026, 3, 2, 15, tzinfo=UTC)


def after(minutes: int) -> datetime:
    return AT + timedelta(minutes=minutes)


def test_a_class_is_booked_as_the_site_says_and_others_as_the_star_says() -> None:
    policy = {"O": BookingWay.ON_ARRIVAL, "*": BookingWay.ASK}
    assert booking_way(policy, " o") is BookingWay.ON_ARRIVAL
    assert booking_way(policy, "I") is BookingWay.ASK
    assert booking_way({}, "O") is BookingWay.NEXT_FREE


@pytest.mark.parametrize(
    ("way", "requested", "here", "expected"),
    [
        (BookingWay.NEXT_FREE, None, False, Next.BOOK),
        (BookingWay.ON_ARRIVAL, None, False, Next.WAIT_FOR_PATIENT),
        (BookingWay.ON_ARRIVAL, None, True, Next.BOOK),
        (BookingWay.ON_ARRIVAL, AT, False, Next.BOOK),
        (BookingWay.REQUESTED, AT, False, Next.BOOK),
        (BookingWay.REQUESTED, None, True, Next.ASK),
        (BookingWay.ASK, AT, True, Next.ASK),
    ],
)
def test_nobody_is_given_a_time_that_nobody_gave_unless_the_site_says_so(
    way: BookingWay, requested: datetime | None, here: bool, expected: Next
) -> None:
    decision = decide_booking(way, requested_at=requested, patient_is_here=here)
    assert decision.next is expected
    assert bool(decision.why) is (expected is not Next.BOOK)


@pytest.mark.parametrize("way", BookingWay)
def test_what_its_sender_books_is_left_to_the_sender_however_others_are_booked(way: BookingWay) -> None:
    decision = decide_booking(way, requested_at=AT, patient_is_here=True, sender_books=True)
    assert decision.next is Next.WAIT_FOR_SENDER
    assert decision.why


def test_urgent_exams_of_patients_who_lie_here_do_not_wait_for_a_time() -> None:
    assert wished_time(Priority.STAT, patient_class="E", requested_at=AT) is None
    assert wished_time(Priority.URGENT, patient_class="i", requested_at=AT) is None


def test_an_outpatients_time_is_kept_and_a_routine_one_always_is() -> None:
    assert wished_time(Priority.STAT, patient_class="O", requested_at=AT) == AT
    assert wished_time(Priority.ROUTINE, patient_class="I", requested_at=AT) == AT
    assert wished_time(Priority.ROUTINE, patient_class="O", requested_at=None) is None
    assert [is_prompt(p) for p in Priority] == [True, True, False]


def waiting(exam_id: int, priority: Priority, **fields: object) -> Waiting:
    values: dict[str, object] = {
        "emergency": False,
        "due_at": None,
        "requested_at": None,
        "created_at": AT,
    }
    return Waiting(exam_id=exam_id, priority=priority, **(values | fields))  # type: ignore[arg-type]


def test_stat_comes_first_then_the_emergency_department_then_what_is_due() -> None:
    expected = [
        waiting(1, Priority.STAT, emergency=True),
        waiting(2, Priority.STAT, due_at=after(60)),
        waiting(3, Priority.URGENT, emergency=True),
        waiting(4, Priority.ROUTINE, emergency=True),
        waiting(5, Priority.ROUTINE, due_at=after(10)),
        waiting(6, Priority.ROUTINE, due_at=after(20)),
        waiting(7, Priority.ROUTINE, requested_at=after(5)),
        waiting(8, Priority.ROUTINE, created_at=after(-5)),
        waiting(9, Priority.ROUTINE),
        waiting(10, Priority.ROUTINE),
    ]
    assert in_order_of_booking(reversed(expected)) == expected


def test_blocks_back_to_back_take_a_row_each_and_then_the_row_free_longest() -> None:
    blocks: list[tuple[int, datetime]] = []
    for minutes in range(0, 60, 10):
        blocks.append((row_for(blocks, after(minutes)), after(minutes)))
    assert [row for row, _ in blocks] == [0, 1, 2, 3, 0, 1]


def test_a_block_goes_to_the_first_row_whose_last_label_has_room() -> None:
    assert row_for([(0, after(-95))], AT) == 0
    assert row_for([(0, after(-94))], AT) == 1


def test_a_block_put_before_another_leaves_its_own_label_room_too() -> None:
    assert row_for([(0, after(30))], AT) == 1


def test_a_row_that_the_board_does_not_have_is_in_nobodys_way() -> None:
    assert row_for([(7, AT), (-1, AT)], AT) == 0


@given(st.lists(st.tuples(st.integers(0, ROWS - 1), st.integers(-300, 300).map(after))))
def test_no_row_would_leave_more_room_than_the_one_chosen(blocks: list[tuple[int, datetime]]) -> None:
    def room(row: int) -> timedelta:
        return min([abs(s - AT) for r, s in blocks if r == row] + [timedelta(minutes=95)])

    chosen = row_for(blocks, AT)
    assert room(chosen) == max(room(row) for row in range(ROWS))
    assert all(room(row) < room(chosen) for row in range(chosen))


@pytest.mark.parametrize(
    ("priority", "patient_class", "claims", "ahead"),
    [
        (Priority.STAT, "O", {"stat"}, False),
        (Priority.URGENT, "E", {"urgent", "emergency"}, False),
        (Priority.ROUTINE, " i ", {"inpatient"}, False),
        (Priority.ROUTINE, "O", set(), True),
        (Priority.ROUTINE, "", set(), True),
    ],
)
def test_whose_kept_time_an_exam_may_use_and_who_is_booked_into_published_places(
    priority: Priority, patient_class: str, claims: set[str], ahead: bool
) -> None:
    assert claims_of(priority, patient_class) == claims
    assert is_booked_ahead(priority, patient_class) is ahead
