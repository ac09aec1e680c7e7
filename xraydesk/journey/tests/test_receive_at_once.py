"""The same order, or the same new patient, from several connections at one moment."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest
from django.db import connection

from tests.factories import AT, make_site
from xraydesk.access.models import Site
from xraydesk.journey.receive import Outcome, receive_order
from xraydesk.journey.tests.test_receive_order import CHEST, NEW
from xraydesk.orders.models import Exam, Order
from xraydesk.orders.requisition import Requisition
from xraydesk.patients.demographics import Identifier
from xraydesk.patients.models import Patient
from xraydesk.siteplan.link_plan import OrderControl

pytestmark = pytest.mark.django_db(transaction=True)
WRITERS = 8


def receive_at_once(site: Site, requisitions: list[Requisition]) -> Counter[Outcome]:
    together = Barrier(len(requisitions))

    def receive(requisition: Requisition) -> Outcome:
        try:
            together.wait(10)
            return receive_order(site=site, requisition=requisition, link="EHR", at=AT, by="link:EHR").outcome
        finally:
            connection.close()

    with ThreadPoolExecutor(len(requisitions)) as threads:
        return Counter(threads.map(receive, requisitions))


def test_one_order_sent_over_many_connections_is_one_order() -> None:
    outcomes = receive_at_once(make_site(), [NEW] * WRITERS)
    assert outcomes == {Outcome.CREATED: 1, Outcome.UNCHANGED: WRITERS - 1}
    assert Order.objects.count() == 1


def test_many_orders_of_one_new_patient_make_one_patient() -> None:
    """Row 20: two first messages for one new patient at once."""
    orders = [replace(NEW, placer=f"P{number}") for number in range(WRITERS)]
    assert receive_at_once(make_site(), orders) == {Outcome.CREATED: WRITERS}
    assert Patient.objects.count() == 1
    assert Exam.objects.values("accession").distinct().count() == WRITERS


def test_a_change_and_a_cancel_at_once_leave_a_whole_order() -> None:
    site = make_site()
    receive_order(site=site, requisition=NEW, link="EHR", at=AT, by="link:EHR")
    cancel = replace(NEW, control=OrderControl.CANCEL)
    outcomes = receive_at_once(site, [cancel, cancel, NEW])
    assert outcomes == {Outcome.CANCELLED: 1, Outcome.UNCHANGED: 2}


def test_one_accession_number_sent_for_two_orders_at_once_is_given_once() -> None:
    """Two senders that use one number: one exam keeps it, the other gets one of ours, and neither is refused."""
    mine = (replace(CHEST, accession="ACC1"),)
    orders = [
        replace(
            NEW,
            placer=f"P{number}",
            exams=mine,
            patient=replace(NEW.patient, identifiers=(Identifier(f"N{number}", "HOSP", "MR"),)),
        )
        for number in range(4)
    ]
    assert receive_at_once(make_site(), orders) == {Outcome.CREATED: 4}
    assert Exam.objects.filter(accession="ACC1").count() == 1
