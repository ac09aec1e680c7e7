"""The numbers an exam gets: the sender's where they can stand, each once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xraydesk.lib.ids import is_uid
from xraydesk.orders.numbers import Numbers, Taken, assign, can_stand, own_number
from xraydesk.orders.requisition import RequestedExam

MINE = RequestedExam(
    code="C",
    accession="ACC1",
    study_instance_uid="1.2.3",
    requested_procedure_id="RP",
    scheduled_step_id="SP",
)


def test_the_senders_numbers_are_kept() -> None:
    (numbers,) = assign(asked=[MINE], prefix="T", running=[7], taken=Taken())
    assert numbers == Numbers("ACC1", "1.2.3", "RP", "SP")


def test_ours_are_given_where_the_sender_gave_none() -> None:
    (numbers,) = assign(asked=[RequestedExam(code="C")], prefix="main-site", running=[7], taken=Taken())
    assert (numbers.accession, numbers.requested_procedure_id, numbers.scheduled_step_id) == (
        "MAIN0000007",
        "R7",
        "S7",
    )
    assert is_uid(numbers.study_instance_uid)


def test_what_others_have_is_not_given_again() -> None:
    taken = Taken({"ACC1"}, {"1.2.3"}, {"SP"})
    (numbers,) = assign(asked=[MINE], prefix="T", running=[7], taken=taken)
    assert numbers.accession == "T0000007"
    assert numbers.study_instance_uid != "1.2.3"
    assert numbers.requested_procedure_id == "RP"
    assert numbers.scheduled_step_id == "S7"


def test_two_exams_of_one_order_do_not_share_a_number() -> None:
    one, two = assign(asked=[MINE, MINE], prefix="T", running=[7, 8], taken=Taken())
    for part in ("accession", "study_instance_uid", "requested_procedure_id", "scheduled_step_id"):
        assert getattr(one, part) != getattr(two, part)


@pytest.mark.parametrize(
    ("text", "may"),
    [
        ("A", True),
        ("A" * 16, True),
        ("A" * 17, False),
        ("", False),
        ("A\\B", False),
        (" A", False),
        ("A\n", False),
        ("A B", True),
    ],
)
def test_what_may_stand_as_a_short_string(text: str, may: bool) -> None:
    assert can_stand(text) is may


@given(prefix=st.text(max_size=40), number=st.integers(min_value=1, max_value=999_999_999_999))
def test_our_own_number_always_fits(prefix: str, number: int) -> None:
    assert can_stand(own_number(prefix, number))
