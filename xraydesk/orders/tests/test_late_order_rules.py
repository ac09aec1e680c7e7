"""Whether an order that came late is that of an exam done before it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xraydesk.orders.late_order_rules import (
    ASKED_MAX,
    CERTAIN_MAX,
    Ask,
    Certain,
    DoneWithout,
    LateOrder,
    Since,
    in_the_way,
    meant,
)

AT = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
CHEST = LateOrder(code="XRCHEST2", body_part="CHEST", has_sides=False, side="", wanted_at=AT)
KNEE = LateOrder(code="XRKNEE2", body_part="KNEE", has_sides=True, side="L", wanted_at=AT)
CHEST_DONE = DoneWithout(7, "A7", "XRCHEST2", "CHEST", side="", begun_at=AT - timedelta(minutes=20))
KNEE_DONE = DoneWithout(8, "A8", "XRKNEE2", "KNEE", side="L", begun_at=AT - timedelta(minutes=5))


def test_the_same_procedure_a_little_while_ago_is_certain_and_says_why() -> None:
    assert meant(CHEST, [CHEST_DONE]) == Certain(
        7, "same patient, same procedure, 20 min apart, and no other exam without an order"
    )
    sided = meant(KNEE, [KNEE_DONE, CHEST_DONE])
    assert isinstance(sided, Certain)
    assert (sided.exam_id, "same procedure (left)" in sided.why) == (8, True)


@pytest.mark.parametrize(
    ("order", "done"),
    [
        (CHEST, []),
        (CHEST, [KNEE_DONE]),
        (KNEE, [replace(KNEE_DONE, side="R")]),
        (CHEST, [replace(CHEST_DONE, begun_at=AT - ASKED_MAX - timedelta(minutes=1))]),
        (replace(CHEST, body_part=""), [replace(CHEST_DONE, code="XRCHEST1")]),
    ],
)
def test_another_part_side_or_day_is_another_exam(order: LateOrder, done: list[DoneWithout]) -> None:
    assert meant(order, done) is None


@pytest.mark.parametrize(
    ("order", "done", "doubt"),
    [
        (CHEST, {"code": "", "body_part": ""}, "did not say which procedure"),
        (CHEST, {"code": "XRCHEST1"}, "another procedure of the same part"),
        (replace(CHEST, code=""), {}, "another procedure of the same part"),
        (replace(KNEE, side=""), {}, "names no side"),
        (KNEE, {"side": ""}, "images show no side"),
        (CHEST, {"begun_at": AT - CERTAIN_MAX - timedelta(minutes=1)}, "hours apart"),
        (CHEST, {"is_settled": True}, "needs no order"),
        (replace(CHEST, has_own_number=True), {}, "accession number of its own"),
    ],
)
def test_whatever_is_in_doubt_is_asked(order: LateOrder, done: dict[str, Any], doubt: str) -> None:
    one = replace(KNEE_DONE if order.has_sides else CHEST_DONE, **done)
    found = meant(order, [one])
    assert isinstance(found, Ask)
    assert (found.exam_ids, doubt in found.sentence, one.accession in found.sentence) == (
        (one.exam_id,),
        True,
        True,
    )


def test_of_several_the_nearest_comes_first_and_none_is_certain() -> None:
    earlier = replace(CHEST_DONE, exam_id=3, accession="A3", begun_at=AT - timedelta(minutes=60))
    found = meant(CHEST, [earlier, CHEST_DONE])
    assert isinstance(found, Ask)
    assert (found.exam_ids, "there are several" in found.sentence) == ((7, 3), True)


@given(
    minutes=st.integers(-1500, 1500),
    code=st.sampled_from(["XRCHEST2", "XRCHEST1", "XRKNEE2", ""]),
    side=st.sampled_from(["", "L", "R", "B"]),
    order=st.sampled_from([CHEST, KNEE]),
)
def test_certain_is_only_what_agrees_in_everything(
    minutes: int, code: str, side: str, order: LateOrder
) -> None:
    part = {"XRCHEST2": "CHEST", "XRCHEST1": "CHEST", "XRKNEE2": "KNEE", "": ""}[code]
    done = DoneWithout(1, "A1", code, part, side, AT + timedelta(minutes=minutes))
    found = meant(order, [done])
    agrees = (code == order.code and side == order.side) or (code == order.code and not order.has_sides)
    assert isinstance(found, Certain) == (agrees and abs(minutes) <= 120)


def test_what_a_person_parted_is_asked_about_and_never_joined_by_rule() -> None:
    parted = meant(CHEST, [replace(CHEST_DONE, was_parted=True)])
    assert isinstance(parted, Ask)
    assert "somebody said already that this is not its order" in parted.sentence


@pytest.mark.parametrize(
    ("since", "words"),
    [
        (Since("A7", "P1"), []),
        (Since("A7", "P1", charge="A7-1"), ["Charge A7-1 went out under order P1"]),
        (Since("A7", "P1", has_report=True), ["withdraw"]),
        (Since("A7", "P1", is_cancel_asked=True), ["asked to cancel"]),
        (Since("A7", "P1", is_open_again=True), ["to be done again"]),
        (Since("A7", "P1", charge="A7-1", has_report=True), ["Charge A7-1", "withdraw"]),
    ],
)
def test_what_followed_a_joining_says_what_to_do_before_it_is_taken_back(
    since: Since, words: list[str]
) -> None:
    said = in_the_way(since)
    assert len(said) == len(words)
    assert all(word in sentence for word, sentence in zip(words, said, strict=True))
