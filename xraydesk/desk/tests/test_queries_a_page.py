"""However much waits, a page asks the database the same number of questions."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.factories import load_demo_site, make_booking, make_exam
from xraydesk.access.models import Site
from xraydesk.attention.actions import raise_item
from xraydesk.attention.kinds import ItemKind
from xraydesk.desk.tests.people import signed_in
from xraydesk.desk.tests.scenes import mid_morning_zone
from xraydesk.desk.tests.test_results import report
from xraydesk.imaging.states import StepState
from xraydesk.journey import fetch, tell
from xraydesk.journey.charge import review_charge
from xraydesk.journey.tests.performing import begun, told
from xraydesk.journey.tests.test_charge import image
from xraydesk.lib import clock

pytestmark = pytest.mark.django_db

PAGES = (
    "attention",
    "triage",
    "charges",
    "results",
    "jobs",
    "day",
    "rooms",
    "search",
    "messages",
    "measures",
    "wall",
)
LISTS = ("attention", "triage", "charges", "results", "jobs", "day")
QUERIES_MAX = 40
FEW, MANY = range(2), range(2, 7)


def more(site: Site, numbers: range) -> None:
    """Exams of each sort that a list shows: on the way, held, done with a held charge and a result to be told."""
    at = clock.now()
    for n in numbers:
        lying = make_exam(site)
        order = lying.order
        order.patient_class, order.ward, order.bed, order.provider_id = "I", "W3", str(n), "7001"
        order.save()
        make_booking(lying, room="XR2", start=at + timedelta(hours=1, minutes=20 * n))
        fetch.plan_transport(exam_id=lying.pk, at=at)
        make_exam(site, triage="held")
        done = make_exam(site)
        uid = begun(site, done, ae_title="XR3", at=at - timedelta(minutes=30))
        image(done, "PA")
        told(site, uid, StepState.COMPLETED, at=at - timedelta(minutes=20))
        review_charge(exam_id=done.pk, at=at)
        tell.look_for_findings(report=report(done), at=at, by="link:REPORTS")
        raise_item(
            site_id=site.pk,
            kind=ItemKind.MERGE_REQUESTED,
            key=done.accession,
            at=at,
            accession=done.accession,
        )


def asked(browser: Client, page: str) -> tuple[int, int]:
    """How many questions a page asks, and how long it is, in bytes."""
    wanted = {"q": "Pr"} if page == "search" else {}
    with CaptureQueriesContext(connection) as queries:
        answer = browser.get(reverse(page), wanted)
    assert answer.status_code == 200, page
    return len(queries), len(answer.content)


def test_the_queries_of_a_page_do_not_grow_with_what_it_lists() -> None:
    site = load_demo_site()
    site.timezone = mid_morning_zone(clock.now())
    site.save()
    browser = signed_in(site)
    more(site, FEW)
    for page in PAGES:
        asked(browser, page)  # what is asked once a process, or once a session
    few = {page: asked(browser, page) for page in PAGES}
    more(site, MANY)
    many = {page: asked(browser, page) for page in PAGES}
    assert {page: few[page][0] for page in PAGES} == {page: many[page][0] for page in PAGES}
    assert max(queries for queries, _ in many.values()) <= QUERIES_MAX
    assert all(many[page][1] > few[page][1] for page in LISTS), "there is more on the page"
