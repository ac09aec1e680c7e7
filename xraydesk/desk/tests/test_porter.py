"""The porter's phone and the desk's list of jobs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tests.factories import load_demo_site, make_booking, make_exam, make_site
from xraydesk.access.roles import Role
from xraydesk.desk.tests.browser import Desk
from xraydesk.desk.tests.people import signed_in
from xraydesk.desk.tests.scenes import mid_morning_zone
from xraydesk.journey import fetch
from xraydesk.lib import clock
from xraydesk.orders.models import Exam
from xraydesk.scheduling.models import Booking
from xraydesk.transport.models import TransportJob
from xraydesk.transport.states import JobState

PRESSES = ("accept", "hand-back", "picked-up", "delivered", "cannot")


def lying(room: str = "XR2") -> Exam:
    site = load_demo_site()
    site.timezone = mid_morning_zone(clock.now())
    site.save()
    exam = make_exam(site)
    order = exam.order
    order.patient_class, order.ward, order.bed, order.transport = "I", "W3", "12", "CART"
    order.save()
    make_booking(exam, room=room, start=clock.now() + timedelta(minutes=30))
    fetch.plan_transport(exam_id=exam.pk, at=clock.now())
    return exam


def html_of(browser: Client, address: str) -> str:
    response = browser.get(address)
    assert response.status_code == 200
    return response.content.decode()


@pytest.mark.django_db
def test_the_desk_sees_every_job_and_asks_again_or_cancels() -> None:
    exam = lying()
    job = TransportJob.objects.get()
    browser = signed_in(exam.site)
    assert "Ward 3, Medicine, bed 12 to XR2" in html_of(browser, reverse("jobs"))
    TransportJob.objects.update(state=JobState.CANNOT, ended_at=clock.now(), why="needs a nurse")
    assert "needs a nurse" in html_of(browser, reverse("jobs"))
    browser.post(reverse("job-again", args=[job.pk]))
    job.refresh_from_db()
    assert job.state == JobState.WAITING
    browser.post(reverse("job-cancel", args=[job.pk]))
    browser.post(reverse("job-cancel", args=[job.pk]))
    browser.post(reverse("job-again", args=[job.pk]))
    job.refresh_from_db()
    assert job.state == JobState.CANCELLED
    assert "Nobody is to be brought" in html_of(browser, reverse("jobs"))


@pytest.mark.django_db
def test_the_board_shows_who_is_being_fetched_and_the_porters_below_the_rooms() -> None:
    exam = lying()
    browser = signed_in(exam.site)
    assert "No porter yet" in html_of(browser, "/")
    TransportJob.objects.update(state=JobState.ACCEPTED, porter=exam.site.porter_set.get(code="P1"))
    page = html_of(browser, f"/?exam={exam.accession}")
    assert f'data-stage="fetching" href="/?exam={exam.accession}"' in page
    assert "Webb" in page
    assert "bed" in page
    assert "cart" not in page


@pytest.mark.django_db
def test_a_phone_asks_who_holds_it_and_a_press_by_nobody_is_refused() -> None:
    exam = lying()
    job = TransportJob.objects.get()
    browser = signed_in(exam.site, Role.PORTER)
    assert "Who are you?" in html_of(browser, reverse("porter"))
    for what in PRESSES:
        browser.post(reverse(f"job-{what}", args=[job.pk]), {"why": "x"})
    job.refresh_from_db()
    assert job.state == JobState.WAITING
    browser.post(reverse("porter-who"), {"porter": "nobody"})
    assert "Who are you?" in html_of(browser, reverse("porter"))
    browser.post(reverse("porter-who"), {"porter": "P2"})
    page = html_of(browser, reverse("porter"))
    assert "Xiong" in page
    assert "I take it" in page
    TransportJob.objects.all().delete()
    assert "No job waits" in html_of(browser, reverse("porter"))


@pytest.mark.django_db
def test_a_stranger_other_roles_and_other_sites_find_nothing() -> None:
    """Row 57: a porter sees the jobs and no other page about patients."""
    exam = lying()
    job = TransportJob.objects.get()
    presses = [reverse(f"job-{what}", args=[job.pk]) for what in PRESSES]
    plans = [reverse(f"job-{what}", args=[job.pk]) for what in ("again", "cancel")]
    for page in (reverse("porter"), reverse("jobs")):
        assert Client().get(page)["Location"].startswith(reverse("sign-in"))
    for form in [*presses, *plans, reverse("porter-who")]:
        assert Client().post(form)["Location"].startswith(reverse("sign-in"))
    for role in (Role.TECHNOLOGIST, Role.RADIOLOGIST, Role.MANAGER, Role.ADMINISTRATOR, Role.SYSTEM):
        browser = signed_in(exam.site, role)
        assert browser.get(reverse("porter")).status_code == 404
        assert {browser.post(form).status_code for form in [*presses, *plans]} == {404}
    porter = signed_in(exam.site, Role.PORTER)
    for page in ("/", reverse("jobs"), reverse("attention"), reverse("exam", args=[exam.accession])):
        assert porter.get(page).status_code == 404
    assert {porter.post(form).status_code for form in plans} == {404}
    stranger = signed_in(make_site("O"), Role.PORTER)
    assert {stranger.post(form).status_code for form in presses} == {404}
    assert "Ward 3" not in html_of(stranger, reverse("porter"))
    job.refresh_from_db()
    assert job.state == JobState.WAITING


@pytest.mark.link
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("scripts", [True, False])
def test_a_porter_does_a_job_on_a_phone(desk: Desk, scripts: bool) -> None:
    exam = lying()
    page: Any = desk.page(exam.site, width=390, scripts=scripts, role=Role.PORTER)
    assert page.url.endswith(reverse("porter"))
    page.click("text=Webb")
    page.wait_for_selector("text=Next job")
    for said in ("Ward 3, Medicine, bed 12", "XR2", "Prüfer", "MRN", "Check the wristband"):
        assert said in page.inner_text("main"), said
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.click("text=I take it")
    page.wait_for_selector("text=Your job")
    page.click("text=I have the patient")
    page.wait_for_selector("text=The patient is there")
    page.click("text=The patient is there")
    page.wait_for_selector("text=No job waits")
    assert TransportJob.objects.get().state == JobState.DELIVERED
    assert Booking.objects.get(exam=exam).arrived_at is not None
