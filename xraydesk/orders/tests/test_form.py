"""A form becomes an order like any other."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

from xraydesk.orders.form import ExamOnForm, OrderForm, placer_number, requisition_of
from xraydesk.orders.states import Priority
from xraydesk.patients.demographics import Identifier, Name
from xraydesk.siteplan.link_plan import OrderControl

FORM = OrderForm(
    key="k1",
    exams=(ExamOnForm("XRKNEE2", "Knee", laterality="L"), ExamOnForm("XRCHEST2")),
    patient_number=" N1 ",
    family=" Prüfer ",
    given="Ada",
    birth_date=date(1969, 5, 12),
    sex="F",
    ward="W3",
    priority=Priority.STAT,
    requested_at=datetime(2026, 3, 2, tzinfo=UTC),
    reason=" fall ",
    provider_name="Dr Order",
)


def test_a_form_says_all_that_an_order_does() -> None:
    order = requisition_of(FORM, placer="F000001")
    assert order.control is OrderControl.NEW
    assert (order.placer, order.placer_authority) == ("F000001", "DESK")
    assert order.patient.identifiers == (Identifier("N1", "", "MR"),)
    assert order.patient.name == Name("Prüfer", "Ada")
    assert order.patient.visit.ward == "W3"
    knee, chest = order.exams
    assert (knee.code, knee.laterality, knee.priority, knee.reason) == ("XRKNEE2", "L", Priority.STAT, "fall")
    assert chest.requested_at == FORM.requested_at


def test_somebody_without_a_number_is_known_by_the_forms() -> None:
    order = requisition_of(replace(FORM, patient_number=" "), placer="F000001")
    assert order.patient.identifiers == (Identifier("F000001", "DESK", "PI"),)


def test_numbers_of_the_block() -> None:
    assert placer_number(123) == "F000123"
    assert placer_number(1234567) == "F1234567"
