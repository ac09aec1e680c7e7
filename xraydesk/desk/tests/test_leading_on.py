"""No page leads anybody to a page that is not there for them."""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.test import Client
from django.urls import reverse

from tests.factories import load_demo_site, make_booking, make_exam
from xraydesk.access.members import Member, member_of
from xraydesk.access.models import Site
from xraydesk.access.roles import Role
from xraydesk.desk.access import landing_of, may_open
from xraydesk.desk.tests.people import signed_in
from xraydesk.journey import fetch
from xraydesk.lib import clock
from xraydesk.staff.models import Porter
from xraydesk.transport.models import TransportJob
from xraydesk.transport.states import JobState

pytestmark = pytest.mark.django_db


@pytest.fixture
def department() -> Site:
    """A department with an exam, and porters with enough done to fold and something to do."""
    site = load_demo_site()
    lying = make_exam(site)
    order = lying.order
    order.patient_class, order.ward, order.bed = "I", "W3", "12"
    order.save()
    make_booking(lying, room="XR2", start=clock.now() + timedelta(minutes=30))
    fetch.plan_transport(exam_id=lying.pk, at=clock.now())
    waiting = TransportJob.objects.get()
    waiting.due_at = clock.now() + timedelta(minutes=10)
    waiting.save()
    for minutes in range(20, 80, 20):
        waiting.pk = None
        waiting.due_at = waiting.ended_at = clock.now() - timedelta(minutes=minutes)
        waiting.state, waiting.porter = JobState.DELIVERED, Porter.objects.order_by("code").first()
        waiting.save()
    return site


def read_by(client: Client, member: Member) -> dict[str, str]:
    """Every page of the menu and the footer that a role opens, and the pages these lead to, once each."""
    found: dict[str, str] = {}
    to_read = [landing_of(member)]
    while to_read:
        address = to_read.pop()
        path = urlsplit(address).path
        if path in found:
            continue
        answer = client.get(address)
        if answer.status_code != 200 or not answer["Content-Type"].startswith("text/html"):
            found[path] = ""
            continue
        found[path] = answer.content.decode()
        to_read += [link for link in links(found[path]) if may_open(member, urlsplit(link).path)]
    return found


def posts(page: str) -> list[str]:
    return re.findall(r'<form\b[^>]*\baction="(/[^"#]*)"', page)


def links(page: str) -> list[str]:
    return [link.replace("&amp;", "&") for link in re.findall(r'<a\b[^>]*\bhref="(/[^"#]*)"', page)]


@pytest.mark.parametrize("role", list(Role))
def test_every_link_and_button_of_every_page_leads_to_one_that_the_role_opens(
    department: Site, role: Role
) -> None:
    client = signed_in(department, role)
    member = member_of(client.get("/about/intended-use").wsgi_request)
    assert member is not None
    pages = read_by(client, member)
    assert reverse("guide") in pages
    led = {(path, to) for path, page in pages.items() for to in (*links(page), *posts(page))}
    assert [one for one in sorted(led) if not may_open(member, urlsplit(one[1]).path)] == []


def test_a_role_without_the_board_is_led_from_nowhere_to_where_it_begins(department: Site) -> None:
    page = signed_in(department, Role.PORTER).get("/").content.decode()
    assert 'href="/porter">Go to where you begin' in page
    assert 'class="brand" href="/porter"' in page
