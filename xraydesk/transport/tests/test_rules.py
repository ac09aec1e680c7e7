"""Who is fetched, how and by when; which job comes next; every pair of state and action."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.factories import AT
from xraydesk.transport.rules import (
    Open,
    Trip,
    bedside,
    fetch_wanted,
    in_order,
    is_late,
    leaves_by,
    mode_of,
    needs_porter,
    return_wanted,
)
from xraydesk.transport.states import LIVE, TRANSITIONS, JobAction, JobKind, JobState, Mode

TRIP = Trip("I", "CART", "W3", "Ward 3, Medicine", "12", 6, "XR2", False, AT)


def minutes(count: int) -> timedelta:
    return timedelta(minutes=count)


@pytest.mark.parametrize(
    ("trip", "needed"),
    [
        (TRIP, True),
        (replace(TRIP, patient_class="O"), False),
        (replace(TRIP, ward=""), False),
        (replace(TRIP, goes_to_patient=True), False),
        (replace(TRIP, transport="WALK"), True),
    ],
)
def test_who_lies_on_a_ward_is_fetched_unless_the_unit_goes_to_them(trip: Trip, needed: bool) -> None:
    assert needs_porter(trip, ("I",)) is needed
    assert (
        fetch_wanted(trip, classes=("I",), early_minutes=5, asked_at=AT - minutes(60)) is not None
    ) is needed
    assert (return_wanted(trip, classes=("I",), at=AT) is not None) is needed


def test_a_fetch_is_due_before_the_exam_and_a_return_when_the_way_is_done() -> None:
    fetch = fetch_wanted(TRIP, classes=("I",), early_minutes=5, asked_at=AT - minutes(60))
    assert fetch is not None
    assert (fetch.from_place, fetch.to_place, fetch.mode) == ("Ward 3, Medicine, bed 12", "XR2", Mode.BED)
    assert fetch.due_at == AT - minutes(5)
    back = return_wanted(TRIP, classes=("I",), at=AT)
    assert back is not None
    assert (back.from_place, back.to_place, back.due_at) == (
        "XR2",
        "Ward 3, Medicine, bed 12",
        AT + minutes(6),
    )
    assert (
        fetch_wanted(replace(TRIP, start=None), classes=("I",), early_minutes=5, asked_at=AT - minutes(60))
        is None
    )


def test_a_fetch_for_an_exam_that_is_too_soon_is_due_when_it_can_be() -> None:
    soon = fetch_wanted(TRIP, classes=("I",), early_minutes=5, asked_at=AT)
    assert soon is not None
    assert soon.due_at == AT + minutes(12)


def test_a_bed_is_named_as_far_as_it_is_known() -> None:
    assert bedside(replace(TRIP, bed="")) == "Ward 3, Medicine"
    assert bedside(replace(TRIP, ward_name="")) == "W3, bed 12"


@pytest.mark.parametrize(
    ("said", "mode"),
    [("WALK", Mode.WALK), (" amb ", Mode.WALK), ("cart", Mode.BED), ("WHLC", Mode.CHAIR), ("", Mode.CHAIR)],
)
def test_how_is_read_as_senders_write_it(said: str, mode: Mode) -> None:
    assert mode_of(said) is mode


def job(key: int, due: int, kind: JobKind = JobKind.FETCH, urgent: bool = False, way: int = 6) -> Open:
    return Open(key, kind, JobState.WAITING, AT + minutes(due), way, urgent)


def test_whoever_must_set_out_first_is_first_and_the_urgent_before_all() -> None:
    far, near, back, stat = (
        job(1, 20, way=9),
        job(2, 15, way=2),
        job(3, 8, JobKind.RETURN),
        job(4, 60, urgent=True),
    )
    assert leaves_by(far) == AT + minutes(2)
    assert leaves_by(back) == AT + minutes(2)
    assert [one.key for one in in_order([near, back, far, stat])] == [4, 1, 3, 2]


def test_a_fetch_is_late_when_the_way_is_longer_than_the_time_left() -> None:
    one = job(1, 6)
    assert not is_late(one, AT)
    assert is_late(one, AT + minutes(1))
    assert not is_late(replace(one, state=JobState.PICKED_UP), AT + minutes(1))
    assert not is_late(replace(one, kind=JobKind.RETURN), AT + minutes(1))


def test_every_pair_of_state_and_action() -> None:
    S, A = JobState, JobAction
    legal = {
        (S.WAITING, A.ACCEPT), (S.WAITING, A.FAIL), (S.WAITING, A.CANCEL),
        (S.ACCEPTED, A.HAND_BACK), (S.ACCEPTED, A.PICK_UP), (S.ACCEPTED, A.FAIL), (S.ACCEPTED, A.CANCEL),
        (S.PICKED_UP, A.DELIVER), (S.PICKED_UP, A.FAIL),
        (S.CANNOT, A.ASK_AGAIN), (S.CANNOT, A.CANCEL),
    }  # fmt: skip
    assert {pair for pair in itertools.product(S, A) if pair in TRANSITIONS} == legal
    assert set(LIVE) == {S.WAITING, S.ACCEPTED, S.PICKED_UP}
