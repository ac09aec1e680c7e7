"""What the sender asks for now, against what it asked for before."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xraydesk.orders.asked import (
    Standing,
    asked,
    changed_parts,
    changed_values,
    named,
    numbers_asked,
    order_values,
    pair,
)
from xraydesk.orders.requisition import RequestedExam, Requisition
from xraydesk.orders.states import Priority
from xraydesk.patients.demographics import Demographics, VisitDetails
from xraydesk.siteplan.link_plan import OrderControl

CHEST = RequestedExam(code="CHEST", text="Chest", system="L", reason="cough")


def test_a_wish_is_kept_as_text_and_cut_to_what_is_kept() -> None:
    wish = asked(
        replace(
            CHEST,
            text="x" * 300,
            laterality="Q",
            priority=Priority.STAT,
            requested_at=datetime(2026, 3, 2, tzinfo=UTC),
            requested_at_as_sent="20260302",
        )
    )
    assert len(wish["text"]) == 250
    assert wish["laterality"] == ""
    assert wish["priority"] == "stat"
    assert wish["requested_at"] == "2026-03-02T00:00:00+00:00"
    assert wish["requested_at_as_sent"] == "20260302"
    assert wish["clinical_information"] == ""


def test_what_is_left_empty_is_not_changed() -> None:
    assert changed_parts(asked(CHEST), asked(RequestedExam(code=""))) == frozenset()


def test_what_is_said_differently_is_changed() -> None:
    assert changed_parts(asked(CHEST), asked(replace(CHEST, laterality="L", reason="fever"))) == {
        "laterality",
        "reason",
    }


def test_another_procedure_brings_its_own_words_and_side() -> None:
    knee = RequestedExam(code="KNEE", text="Knee", system="L", laterality="L", reason="fall")
    assert changed_parts(asked(knee), asked(RequestedExam(code="CHEST"))) == {
        "code",
        "system",
        "text",
        "laterality",
    }
    assert changed_parts(asked(knee), asked(RequestedExam(code="CHEST", system="L"))) == {
        "code",
        "text",
        "laterality",
    }


def test_the_same_moment_written_otherwise_is_no_change() -> None:
    one = replace(CHEST, requested_at=datetime(2026, 3, 2, tzinfo=UTC), requested_at_as_sent="20260302")
    assert changed_parts(asked(one), asked(replace(one, requested_at_as_sent="202603020000"))) == frozenset()


@given(st.text(), st.text(), st.text(), st.sampled_from(list(Priority)))
def test_what_is_asked_again_is_no_change(code: str, text: str, reason: str, priority: Priority) -> None:
    exam = RequestedExam(code=code, text=text, reason=reason, priority=priority)
    assert changed_parts(asked(exam), asked(exam)) == frozenset()


def test_a_new_ward_brings_its_own_bed() -> None:
    before = {"ward": "W3", "bed": "12", "provider_name": "A"}
    assert changed_values(before, {"ward": "ICU", "bed": "", "provider_name": ""}) == {
        "ward": "ICU",
        "bed": "",
    }
    assert changed_values(before, {"ward": "W3", "bed": "", "provider_name": "B"}) == {"provider_name": "B"}
    assert changed_values(before, {"ward": "ICU", "bed": "12", "provider_name": "A"}) == {"ward": "ICU"}


def test_the_values_of_an_order_are_cut_to_what_is_kept() -> None:
    patient = Demographics(
        identifiers=(), visit=VisitDetails(number="V", patient_class="INPATIENT", ward="w" * 99)
    )
    values = order_values(Requisition(OrderControl.NEW, patient, "P", "E", (), provider_name="n" * 300))
    assert values["patient_class"] == "I"
    assert len(values["ward"]) == 64
    assert len(values["provider_name"]) == 200


A = Standing(1, "ACC1", "F1", "CHEST")
B = Standing(2, "ACC2", "F2", "KNEE")


def test_an_exam_is_meant_by_its_number_before_its_code_and_by_its_code_before_its_place() -> None:
    knee, by_filler = RequestedExam(code="KNEE"), RequestedExam(code="OTHER", filler="F2")
    assert pair([A, B], [knee, CHEST]) == [(2, knee), (1, CHEST)]
    assert pair([A, B], [by_filler]) == [(2, by_filler)]
    other = RequestedExam(code="OTHER")
    assert pair([A, B], [other, knee]) == [(1, other), (2, knee)]


def test_steps_of_one_procedure_are_told_apart_by_their_own_ids() -> None:
    first, second = replace(A, step="S1"), replace(B, step="S2")
    wanted = [RequestedExam(code="CHEST", accession="ACC1", scheduled_step_id=step) for step in ("S2", "S1")]
    assert [sequence for sequence, _ in pair([first, second], wanted)] == [2, 1]


def test_the_id_of_a_step_is_kept_as_it_was_sent_where_one_was() -> None:
    assert numbers_asked(CHEST) == {}
    assert numbers_asked(replace(CHEST, scheduled_step_id="S1")) == {"scheduled_step_id": "S1"}


def test_what_fits_no_exam_is_one_more() -> None:
    foot = RequestedExam(code="FOOT")
    assert pair([A, B], [CHEST, RequestedExam(code="KNEE"), foot])[2] == (None, foot)
    assert pair([], [foot]) == [(None, foot)]


@given(
    st.lists(
        st.builds(
            RequestedExam,
            code=st.sampled_from(["", "CHEST", "KNEE", "FOOT"]),
            accession=st.sampled_from(["", "ACC1", "ACC2"]),
        )
    )
)
def test_no_exam_is_meant_twice(wanted: list[RequestedExam]) -> None:
    meant = [sequence for sequence, _ in pair([A, B], wanted) if sequence is not None]
    assert len(meant) == len(set(meant))
    assert len(pair([A, B], wanted)) == len(wanted)


LEFT = Standing(3, "ACC3", "", "HAND", "L")
RIGHT = Standing(4, "ACC4", "", "HAND", "R", "S4")
ALL = {1, 2, 3, 4}


@pytest.mark.parametrize(
    ("wanted", "meant"),
    [
        ([], ALL),
        ([RequestedExam(code="KNEE")], {2}),
        ([RequestedExam(code="", accession="ACC1")], {1}),
        ([RequestedExam(code="KNEE", filler="F1")], {1}),
        ([RequestedExam(code="HAND", laterality="R")], {4}),
        ([RequestedExam(code="HAND"), RequestedExam(code="HAND")], {3, 4}),
        ([RequestedExam(code="CHEST", filler="F1"), RequestedExam(code="KNEE", filler="F1")], ALL),
        ([RequestedExam(code="KNEE", accession="ACC1", scheduled_step_id="S4")], {4}),
        # Which of the two hands it is, nobody can tell; and what is not there may be any of them.
        ([RequestedExam(code="HAND")], ALL),
        ([RequestedExam(code="KNEE"), RequestedExam(code="HEAD")], ALL),
        ([RequestedExam(code="")], ALL),
    ],
)
def test_what_ends_an_order_ends_the_exams_that_it_names_and_else_all(
    wanted: list[RequestedExam], meant: set[int]
) -> None:
    assert named([A, B, LEFT, RIGHT], wanted) == meant
