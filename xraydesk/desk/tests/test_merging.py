"""Two records of one person: a person compares them, makes them one, and parts them again."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from tests.factories import make_exam, make_patient, make_site
from xraydesk.access.models import RecordRead
from xraydesk.access.roles import Role
from xraydesk.desk.tests.people import signed_in
from xraydesk.orders.models import Exam
from xraydesk.patients.models import Merge, Patient

pytestmark = pytest.mark.django_db


@pytest.fixture
def two() -> tuple[Patient, Patient]:
    site = make_site()
    stays = make_patient(site, number="N1")
    goes = make_patient(site, number="N2", family="Unknown", given="Two")
    make_exam(site, patient=goes)
    return stays, goes


def test_records_are_compared_made_one_and_parted_again(two: tuple[Patient, Patient]) -> None:
    stays, goes = two
    browser = signed_in(stays.site)
    found = browser.post(reverse("merge-choose", args=[stays.pk]), {"number": "N2"})
    page = reverse("merge", args=[stays.pk, goes.pk])
    assert found["Location"] == page
    html = browser.get(page).content.decode()
    assert "Unknown, Two" in html
    assert "Chest 2 views" in html
    assert set(RecordRead.objects.values_list("patient", flat=True)) == {stays.pk, goes.pk}
    browser.post(page)
    assert Exam.objects.get().patient == stays
    told = browser.get(reverse("patient", args=[stays.pk])).content.decode()
    assert "Record N2 was made one with this, with 1 exam" in told
    assert "This record went into N1" in browser.get(reverse("patient", args=[goes.pk])).content.decode()
    undo = reverse("merge-undo", args=[Merge.objects.get().pk])
    browser.post(undo)
    assert Exam.objects.get().patient == goes
    assert "taken back" in browser.get(reverse("patient", args=[stays.pk])).content.decode()
    again = browser.post(undo, follow=True).content.decode()
    assert "taken back already" in again


@pytest.mark.parametrize(("number", "says"), [("N1", "of this record"), ("N9", "No record here")])
def test_a_number_of_nobody_else_leads_back(two: tuple[Patient, Patient], number: str, says: str) -> None:
    browser = signed_in(two[0].site)
    said = browser.post(reverse("merge-choose", args=[two[0].pk]), {"number": number}, follow=True)
    assert says in said.content.decode()


def test_records_that_are_one_already_are_left(two: tuple[Patient, Patient]) -> None:
    stays, goes = two
    browser = signed_in(stays.site)
    for _ in range(2):
        said = browser.post(reverse("merge", args=[stays.pk, goes.pk]), follow=True)
    assert "already" in said.content.decode()
    assert Merge.objects.count() == 1


def test_a_stranger_other_roles_and_other_sites_make_nobody_one(two: tuple[Patient, Patient]) -> None:
    stays, goes = two
    pages = [reverse("merge-choose", args=[stays.pk]), reverse("merge", args=[stays.pk, goes.pk])]
    for browser, status in (
        (Client(), 302),
        (signed_in(stays.site, Role.TECHNOLOGIST), 404),
        (signed_in(make_site(code="U")), 404),
    ):
        for page in pages:
            assert browser.post(page, {"number": "N2"}).status_code == status
    assert not Merge.objects.exists()
    signed_in(stays.site).post(pages[1])
    undo = reverse("merge-undo", args=[Merge.objects.get().pk])
    assert Client().post(undo).status_code == 302
    assert signed_in(make_site(code="V")).post(undo).status_code == 404
    assert signed_in(stays.site, Role.PORTER).post(undo).status_code == 404
    assert Merge.objects.get().undone_at is None
