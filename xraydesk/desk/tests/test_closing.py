"""A coordinator closes a room for a while: sees who would move, agrees, opens it again."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import pytest
from django.test import Client

from tests.factories import make_booking, make_exam, make_site
from xraydesk.access.models import Location, Membership, Site
from xraydesk.access.roles import Permission, Role, allows
from xraydesk.desk.tests.people import signed_in
from xraydesk.lib import clock
from xraydesk.rooms.models import PlannedClosure
from xraydesk.scheduling.queries import live_booking

pytestmark = pytest.mark.django_db
ALL_HOURS = {"first": "00:00", "last": "00:00"}


@pytest.fixture
def site() -> Site:
    return make_site()


@pytest.fixture
def client(site: Site) -> Client:
    return signed_in(site)


def tomorrow() -> datetime:
    return clock.now().replace(minute=0, second=0, microsecond=0) + timedelta(days=1)


def form(page: str) -> dict[str, str]:
    """The first window's form."""
    found = dict(re.findall(r'type="hidden" name="(start|minutes|reason|seen)" value="([^"]*)"', page))
    assert found
    return found


def test_a_window_is_proposed_with_who_would_move_and_accepted(site: Site, client: Client) -> None:
    exam = make_exam(site)
    make_booking(exam, start=tomorrow())
    page = client.get("/rooms/XR1/maintenance").content.decode()
    assert "When shall XR1 be closed?" in page
    free = client.get("/rooms/XR1/maintenance", {"minutes": "60", "reason": "tube change"}).content.decode()
    assert "Nobody has to move." in free
    start = tomorrow() - timedelta(minutes=10)
    asked = {"start": start.isoformat(), "minutes": "60", "reason": "tube change", "seen": exam.accession}
    text = client.post("/rooms/XR1/close", asked, follow=True).content.decode()
    assert "1 exam placed anew" in text
    assert "tube change" in text
    assert live_booking(exam.pk).room.code == "XR2"
    closure = PlannedClosure.objects.get()
    text = client.post(f"/rooms/XR1/closures/{closure.pk}/open", follow=True).content.decode()
    assert "stays open then" in text
    assert "Closed already" not in text


def test_whoever_would_move_is_shown_by_name_and_exam(site: Site, client: Client) -> None:
    exams = [make_exam(site) for _ in range(2)]
    for number, exam in enumerate(exams):
        make_booking(exam, start=tomorrow() + timedelta(minutes=20 * number))
    day = tomorrow().astimezone().date()
    days = {"from": (day - timedelta(days=1)).isoformat(), "to": (day + timedelta(days=1)).isoformat()}
    page = client.get("/rooms/XR1/maintenance", {"minutes": "720", **days, **ALL_HOURS}).content.decode()
    shown = form(page)
    assert shown["minutes"] == "720"
    assert set(shown["seen"].split()) <= {exam.accession for exam in exams}
    answer = client.post("/rooms/XR1/close", shown, follow=True)
    assert "is closed from" in answer.content.decode()


def test_others_booked_meanwhile_are_told_and_nothing_changes(site: Site, client: Client) -> None:
    exam = make_exam(site)
    make_booking(exam, start=tomorrow())
    asked = {"start": tomorrow().isoformat(), "minutes": "60", "seen": ""}
    assert "look again" in client.post("/rooms/XR1/close", asked, follow=True).content.decode()
    assert not PlannedClosure.objects.exists()


@pytest.mark.parametrize(
    "query",
    [
        {"minutes": "many"},
        {"minutes": "0"},
        {"minutes": "60", "from": "soon"},
        {"minutes": "60", "to": "2020-01-01"},
        {"minutes": "60", "first": "25:00"},
    ],
)
def test_what_is_no_question_is_said_so(site: Site, client: Client, query: dict[str, str]) -> None:
    answer = client.get("/rooms/XR1/maintenance", query)
    assert answer.status_code == 400
    assert 'role="alert"' in answer.content.decode() or 'id="mistake"' in answer.content.decode()


@pytest.mark.parametrize(
    "posted",
    [
        {},
        {"start": "soon", "minutes": "60"},
        {"start": "2026-12-24T10:00:00", "minutes": "60"},
        {"start": "2026-12-24T10:00:00+00:00", "minutes": "9" * 30},
        {"start": "2020-12-24T10:00:00+00:00", "minutes": "60"},
    ],
)
def test_what_is_no_window_closes_nothing(site: Site, client: Client, posted: dict[str, str]) -> None:
    assert client.post("/rooms/XR1/close", posted, follow=True).status_code == 200
    assert not PlannedClosure.objects.exists()


def test_strangers_other_roles_and_other_locations_close_nothing(site: Site, client: Client) -> None:
    closure = PlannedClosure.objects.create(
        site=site,
        room=site.room_set.get(code="XR1"),
        during=(tomorrow(), tomorrow() + timedelta(hours=1)),
        reason="x",
        at=clock.now(),
        by="user:a",
    )
    wing = Location.objects.create(site=site, code="WING", name="Wing")
    others = [
        signed_in(make_site(code="U", rooms=0)),
        *(signed_in(site, role) for role in Role if not allows(role, Permission.BOOK)),
    ]
    limited = signed_in(site)
    Membership.objects.get(site=site, role=Role.COORDINATOR).locations.add(wing)
    for stranger in (*others, limited):
        assert stranger.get("/rooms/XR1/maintenance").status_code == 404
        for page in ("/rooms/XR1/close", f"/rooms/XR1/closures/{closure.pk}/open"):
            assert stranger.post(page, {"start": tomorrow().isoformat(), "minutes": "5"}).status_code == 404
    closure.refresh_from_db()
    assert closure.ended_at is None
    assert PlannedClosure.objects.count() == 1
