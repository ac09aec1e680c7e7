"""Orders typed in at the desk (row 54: the EHR is down)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from threading import Barrier

import pytest
from django.db import connection

from tests.factories import AT, make_patient, make_site
from xraydesk.access.models import Site
from xraydesk.journey.errors import IncompleteOrder, PatientConflict
from xraydesk.journey.order_by_form import order_by_form
from xraydesk.journey.receive import Outcome, Received
from xraydesk.journey.triage import triage_exam
from xraydesk.orders.form import ExamOnForm, OrderForm
from xraydesk.orders.models import Exam, Order
from xraydesk.orders.states import TriageState
from xraydesk.patients.models import Patient

FORM = OrderForm(
    key="k1",
    exams=(ExamOnForm("XRCHEST2"),),
    patient_number="N1",
    family="Prüfer",
    given="Ada",
    birth_date=date(1969, 5, 12),
    sex="F",
    reason="cough",
    provider_name="Dr Order",
)


def send(site: Site, form: OrderForm = FORM) -> Received:
    return order_by_form(site=site, form=form, at=AT, by="user:ann")


@pytest.mark.django_db
def test_a_form_is_an_order_from_the_reserved_block_and_needs_no_more() -> None:
    """Row 54: orders by form, numbers from a reserved block."""
    site = make_site()
    first, second = (
        send(site),
        send(site, replace(FORM, key="k2", exams=(ExamOnForm("XRKNEE2", laterality="L"),))),
    )
    assert (first.order.placer, second.order.placer) == ("F000001", "F000002")
    assert (first.order.placer_authority, first.order.source) == ("DESK", "user:ann")
    assert first.order.patient == second.order.patient
    triage_exam(exam_id=first.exams[0].pk, at=AT)
    assert Exam.objects.get(pk=first.exams[0].pk).triage == TriageState.ACCEPTED


@pytest.mark.django_db
def test_the_same_form_twice_is_one_order() -> None:
    site = make_site()
    first, again = send(site), send(site)
    assert again.outcome is Outcome.UNCHANGED
    assert again.order == first.order
    assert [e.pk for e in again.exams] == [e.pk for e in first.exams]


@pytest.mark.django_db
def test_a_number_typed_wrongly_renames_nobody() -> None:
    site = make_site()
    patient = make_patient(site, number="N1", family="Klein")
    with pytest.raises(PatientConflict):
        send(site)
    patient.refresh_from_db()
    assert patient.family == "Klein"
    assert not Order.objects.exists()


@pytest.mark.django_db
def test_a_walk_in_without_a_number_is_somebody_new_each_time() -> None:
    site = make_site()
    send(site, replace(FORM, patient_number=""))
    send(site, replace(FORM, patient_number="", key="k2"))
    assert Patient.objects.count() == 2


@pytest.mark.django_db
@pytest.mark.parametrize(
    "form", [replace(FORM, key=""), replace(FORM, key="k" * 65), replace(FORM, exams=())]
)
def test_a_form_that_lacks_what_it_needs_is_refused(form: OrderForm) -> None:
    with pytest.raises(IncompleteOrder):
        send(make_site(), form)


@pytest.mark.django_db(transaction=True)
def test_forms_sent_at_once_get_numbers_of_their_own() -> None:
    site = make_site()
    together = Barrier(4)

    def write(number: int) -> str:
        try:
            together.wait(10)
            # Two people, each pressing twice.
            return send(site, replace(FORM, key=f"k{number % 2}")).order.placer
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        placers = list(threads.map(write, range(4)))
    assert sorted(set(placers)) == ["F000001", "F000002"]
    assert Order.objects.count() == 2
