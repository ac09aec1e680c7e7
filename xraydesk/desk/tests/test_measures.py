"""The day in numbers and the wallboard."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from tests.factories import AT, load_demo_site, make_exam, make_site
from xraydesk.access.models import Site
from xraydesk.access.roles import Role
from xraydesk.desk.tests.people import signed_in
from xraydesk.facts.kinds import FactKind
from xraydesk.lib import clock
from xraydesk.orders.models import Exam
from xraydesk.reporting.measures import MEASURES
from xraydesk.reporting.tests.test_days import happened
from xraydesk.rooms.models import Room

pytestmark = pytest.mark.django_db


def minutes_ago(count: float) -> float:
    """Minutes from the time that `happened` counts from."""
    return (clock.now() - timedelta(minutes=count) - AT) / timedelta(minutes=1)


@pytest.fixture
def exam() -> Exam:
    exam = make_exam(load_demo_site())
    site = exam.site
    happened(site, exam.accession, FactKind.ORDER_RECEIVED, minutes_ago(3), "", priority="stat")
    happened(site, exam.accession, FactKind.PATIENT_ARRIVED, minutes_ago(2))
    happened(site, exam.accession, FactKind.EXAM_BEGUN, minutes_ago(1))
    happened(site, exam.accession, FactKind.EXAM_ENDED, minutes_ago(0.5))
    return exam


NOT_OF_THIS_SCENE = (
    "ordered",
    "cancelled",
    "discontinued",
    "order-to-report",
    "image-to-available",
    "image-to-opened",
)


def html_of(browser: Client, address: str) -> str:
    response = browser.get(address)
    assert response.status_code == 200, address
    return response.content.decode()


def test_each_number_opens_into_its_exams_and_each_exam_into_its_page(exam: Exam) -> None:
    browser = signed_in(exam.site)
    page = html_of(browser, reverse("measures"))
    assert page.count("<svg role=") == 4
    for measure in MEASURES:
        there = reverse("measure", args=[measure.key])
        assert there in page or measure.key in NOT_OF_THIS_SCENE, there
        html_of(browser, there)
    behind = html_of(browser, reverse("measure", args=["exams"]))
    assert reverse("exam", args=[exam.accession]) in behind
    assert "Exams that ended on this day." in behind
    assert exam.patient.family not in behind
    room = html_of(browser, reverse("measure-room", args=["XR1"]))
    assert exam.accession in room
    assert "No exam counts here" in html_of(browser, reverse("measure", args=["no-shows"]))


def test_the_queries_of_the_page_do_not_grow_with_the_day(
    exam: Exam, django_assert_max_num_queries: object
) -> None:
    browser = signed_in(exam.site)
    for number in range(30):
        happened(exam.site, f"B{number}", FactKind.EXAM_ENDED, minutes_ago(1))
    with django_assert_max_num_queries(20):  # type: ignore[operator]
        html_of(browser, reverse("measures"))


@pytest.mark.parametrize("day", ["yesterday", "2999-01-01", "1999-12-31", "2026-02-30"])
def test_a_day_that_is_none_or_lies_ahead_is_not_there(day: str) -> None:
    browser = signed_in(make_site())
    for name in ("measures", "measures-workbook", "measures-pdf"):
        assert browser.get(reverse(name), {"day": day}).status_code == 404
    assert browser.get(reverse("measure", args=["exams"]), {"day": day}).status_code == 404


def test_a_measure_group_or_room_that_is_none_is_not_there() -> None:
    browser = signed_in(make_site())
    assert browser.get(reverse("measure", args=["gossip"])).status_code == 404
    assert browser.get(reverse("measure", args=["wait"]), {"group": "friends"}).status_code == 404
    assert browser.get(reverse("measure-room", args=["XR9"])).status_code == 404


def test_workbook_and_document_are_taken_away_without_names_in_them(exam: Exam) -> None:
    browser = signed_in(exam.site, Role.MANAGER)
    for name, start in (("measures-workbook", b"PK"), ("measures-pdf", b"%PDF")):
        response = browser.get(reverse(name))
        assert response.content.startswith(start)
        assert response["Content-Disposition"].startswith("attachment")


def test_the_wall_tells_of_rooms_waits_and_stats_and_of_nobody(exam: Exam) -> None:
    site = exam.site
    other = make_exam(site)
    happened(site, other.accession, FactKind.ORDER_RECEIVED, minutes_ago(3), "", priority="stat")
    happened(site, other.accession, FactKind.PATIENT_ARRIVED, minutes_ago(2))
    Room.objects.filter(site=site, code="XR2").update(state="down", down_reason="tube broken")
    page = html_of(signed_in(site, Role.PORTER), reverse("wall"))
    assert "exams done today" in page
    assert "tube broken" in page
    assert "1</span><br>STAT open" in page
    assert exam.patient.family not in page
    assert "XR1 Chest" in page
    assert "Everything runs." in page


def test_a_stranger_other_roles_and_other_sites_see_none_of_it(exam: Exam) -> None:
    """Row 57."""
    numbers = [
        reverse("measures"),
        reverse("measures-workbook"),
        reverse("measures-pdf"),
        reverse("measure", args=["exams"]),
        reverse("measure-room", args=["XR1"]),
    ]
    for page in [*numbers, reverse("wall")]:
        assert Client().get(page)["Location"].startswith(reverse("sign-in"))
    for role in (Role.TECHNOLOGIST, Role.RADIOLOGIST, Role.PORTER, Role.SYSTEM):
        browser = signed_in(exam.site, role)
        assert {browser.get(page).status_code for page in numbers} == {404}, role
    assert signed_in(exam.site, Role.SYSTEM).get(reverse("wall")).status_code == 404
    stranger: Site = make_site("O")
    assert exam.accession not in html_of(signed_in(stranger), reverse("measure", args=["exams"]))
