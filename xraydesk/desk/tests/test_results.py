"""Results that must be told: the list, the page of one, and the way to the read-back in a browser."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse

from tests.factories import load_demo_site, make_exam, make_site
from xraydesk.access.models import RecordRead, Site
from xraydesk.access.roles import Role
from xraydesk.attention.models import Item
from xraydesk.desk.tests.browser import Desk, until
from xraydesk.desk.tests.people import signed_in
from xraydesk.journey import tell
from xraydesk.lib import clock
from xraydesk.orders.models import Exam
from xraydesk.results.models import Call, Finding, Report
from xraydesk.results.states import CallOutcome, CallWay, FindingState

TEXT = "There is a large pneumothorax on the right."


def report(exam: Exam, text: str = TEXT, category: int | None = 1) -> Report:
    at = clock.now()
    return Report.objects.create(
        site=exam.site,
        exam=exam,
        state="final",
        text=text,
        category=category,
        radiologist_name="Reader^Rita",
        said_at=at,
        read_at=at,
        changed_at=at,
    )


def told_exam(site: Site) -> Exam:
    exam = make_exam(site)
    order = exam.order
    order.provider_id, order.provider_name, order.ward = "7001", "Okafor, Ngozi", "W3"
    order.save()
    return exam


def found(site: Site, **fields: Any) -> Finding:
    exam = told_exam(site)
    with transaction.atomic():
        (finding,) = tell.look_for_findings(report=report(exam, **fields), at=clock.now(), by="link:REPORTS")
    return finding


def posts(finding: Finding) -> list[str]:
    return [
        *(reverse(f"finding-{what}", args=[finding.pk]) for what in ("confirm", "dismiss", "call")),
        reverse("result-flag", args=[finding.exam.accession]),
    ]


def html_of(browser: Client, address: str) -> str:
    response = browser.get(address)
    assert response.status_code == 200
    return response.content.decode()


@pytest.mark.django_db
def test_the_list_says_who_is_called_and_the_page_logs_that_it_was_read() -> None:
    finding = found(load_demo_site())
    browser = signed_in(finding.site, Role.RADIOLOGIST)
    html = html_of(browser, reverse("results"))
    assert "1 result waits to be read back" in html
    assert "Okafor, Ngozi" in html
    assert "not called yet" in html
    page = html_of(browser, reverse("finding", args=[finding.pk]))
    assert "Now: ordering provider" in page
    assert "ext. 7001" in page
    assert TEXT in page
    assert RecordRead.objects.filter(accession=finding.exam.accession, what="result").count() == 1
    assert finding.exam.patient.family not in page[page.index("<title>") : page.index("</title>")]


@pytest.mark.django_db
def test_an_empty_list_says_what_its_emptiness_means() -> None:
    browser = signed_in(make_site())
    assert "No result waits to be told" in html_of(browser, reverse("results"))
    assert "None was ended today" in html_of(browser, reverse("results") + "?show=ended")


@pytest.mark.django_db
def test_the_attention_list_leads_to_the_call_and_to_the_decision() -> None:
    site = load_demo_site()
    open_one, asked = found(site), found(site, text="A nodule.", category=None)
    html = html_of(signed_in(site), reverse("attention"))
    for finding, word in ((open_one, "Call and write down"), (asked, "Decide")):
        assert f'href="{reverse("finding", args=[finding.pk])}">{word}' in html


@pytest.mark.django_db
def test_a_person_decides_on_listed_words_and_can_change_their_mind() -> None:
    finding = found(load_demo_site(), text="A nodule.", category=None)
    browser = signed_in(finding.site)
    assert "Must somebody be told?" in html_of(browser, reverse("finding", args=[finding.pk]))
    browser.post(reverse("finding-dismiss", args=[finding.pk]))
    finding.refresh_from_db()
    assert finding.state == FindingState.DISMISSED
    assert "nobody" in html_of(browser, reverse("results") + "?show=ended")
    browser.post(reverse("finding-confirm", args=[finding.pk]), {"category": "2"})
    finding.refresh_from_db()
    assert (finding.state, finding.category) == (FindingState.OPEN, 2)
    browser.post(reverse("finding-dismiss", args=[finding.pk]))
    finding.refresh_from_db()
    assert finding.state == FindingState.OPEN
    assert Item.objects.get(closed_at=None).data == {"finding": finding.pk}


@pytest.mark.django_db
def test_a_read_back_without_words_is_refused_with_what_to_do() -> None:
    finding = found(load_demo_site())
    browser = signed_in(finding.site)
    there = reverse("finding-call", args=[finding.pk])
    answer = browser.post(there, {"recipient": "Dr Okafor", "outcome": "read back"}, follow=True)
    assert "what they read back" in answer.content.decode()
    browser.post(there, {"recipient": "Dr Okafor", "outcome": "nonsense", "way": "smoke"})
    call = Call.objects.get()
    assert (call.outcome, call.way) == (CallOutcome.TOLD, CallWay.PHONE)


@pytest.mark.django_db
def test_a_radiologist_flags_a_result_on_the_exam() -> None:
    exam = told_exam(load_demo_site())
    browser = signed_in(exam.site, Role.RADIOLOGIST)
    there = reverse("result-flag", args=[exam.accession])
    browser.post(there, {"words": "Free air", "category": "9"})
    assert not Finding.objects.exists()
    browser.post(there, {"words": "Free air", "category": "1"})
    assert Finding.objects.get().words == "Free air"


@pytest.mark.django_db
def test_a_stranger_other_roles_and_other_sites_find_nothing() -> None:
    """Row 57."""
    finding = found(load_demo_site())
    pages = [reverse("results"), reverse("finding", args=[finding.pk])]
    for page in pages:
        assert Client().get(page)["Location"].startswith(reverse("sign-in"))
    for form in posts(finding):
        assert Client().post(form)["Location"].startswith(reverse("sign-in"))
    for role in (Role.TECHNOLOGIST, Role.PORTER, Role.MANAGER, Role.ADMINISTRATOR, Role.SYSTEM):
        browser = signed_in(finding.site, role)
        assert [browser.get(page).status_code for page in pages] == [404, 404], role
        assert {browser.post(form).status_code for form in posts(finding)} == {404}, role
    for role in (Role.COORDINATOR, Role.RADIOLOGIST):
        browser = signed_in(make_site(f"O{role}"), role)
        assert browser.get(pages[1]).status_code == 404
        assert {browser.post(form).status_code for form in posts(finding)} == {404}
        assert "pneumothorax" not in html_of(browser, pages[0])
    assert Finding.objects.get().state == FindingState.OPEN


@pytest.mark.link
@pytest.mark.django_db(transaction=True)
def test_a_critical_result_goes_unanswered_escalates_to_another_person_and_is_read_back(desk: Desk) -> None:
    site = load_demo_site()
    finding = found(site)
    page = desk.page(site)
    page.goto(desk.address + reverse("attention"))
    page.click("text=Call and write down")
    page.wait_for_selector("text=Now: ordering provider")
    assert page.input_value("#recipient") == "Okafor, Ngozi"
    page.keyboard.press("n")  # no answer
    page.wait_for_selector("text=Now: covering provider")
    assert page.input_value("#recipient") == "Dr Folasade Adeyemi"
    # The second one does not answer either, and the clock alone passes it on.
    finding.refresh_from_db()
    assert finding.turn_until is not None
    assert tell.pass_on_late(site=site, at=finding.turn_until) == 1
    page.reload()
    page.wait_for_selector("text=Dr Mette Hansen")
    assert page.input_value("#recipient") == "Dr Mette Hansen"
    page.fill("#read_back", "right pneumothorax, large, patient by name and birth date")
    page.click("text=Read back, end it")
    page.wait_for_selector("text=No result waits to be told")
    page.goto(desk.address + reverse("results") + "?show=ended")
    until(lambda: "read back" in page.inner_text("#results-list"))
    finding.refresh_from_db()
    assert finding.state == FindingState.READ_BACK
    assert finding.ended_at is not None
    assert finding.ended_at - finding.found_at < timedelta(hours=1)
    assert not Item.objects.filter(closed_at=None).exists()


@pytest.mark.link
@pytest.mark.django_db(transaction=True)
def test_the_call_is_written_down_without_scripts_on_a_phone(desk: Desk) -> None:
    site = load_demo_site()
    finding = found(site)
    page = desk.page(site, width=390, scripts=False)
    page.goto(desk.address + reverse("finding", args=[finding.pk]))
    page.fill("#read_back", "said it back")
    page.click("text=Read back, end it")
    assert "No result waits to be told" in page.inner_text("h1")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
