"""Whoever is limited to some buildings is proposed, shown and may do what touches those alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.test import Client

from tests.factories import make_booking, make_exam, make_site
from xraydesk.access.members import Member
from xraydesk.access.models import Location, Site
from xraydesk.access.roles import Role
from xraydesk.desk.proposals import may_touch, unsigned
from xraydesk.desk.tests.people import signed_in
from xraydesk.desk.tests.test_rearranging import MIN, full, page, post, proposal_of, soon, stat
from xraydesk.journey.planned_day import Event
from xraydesk.lib import clock
from xraydesk.orders.models import Exam
from xraydesk.rooms.models import Room
from xraydesk.scheduling.models import Booking, Rearrangement
from xraydesk.scheduling.queries import live_booking

pytestmark = pytest.mark.django_db


@pytest.fixture
def site() -> Site:
    """Two rooms in the main building, one in the east wing."""
    site = make_site(rooms=3)
    elsewhere = Location.objects.create(site=site, code="EAST", name="East wing", sort=1)
    Room.objects.filter(code="XR3").update(location=elsewhere)
    return site


def limited(site: Site, code: str) -> Client:
    """A coordinator who works in one building only."""
    return signed_in(site, locations=(code,))


def rooms_asked(text: str) -> set[str]:
    asked = unsigned(proposal_of(text))
    assert asked is not None
    return {m.after.room for m in asked.moves if m.after}


def busy(site: Site, room: str) -> Exam:
    """Somebody who stays in a room all day."""
    exam = make_exam(site)
    make_booking(exam, room=room, start=clock.now() - 5 * MIN, minutes=600)
    return exam


def test_what_is_proposed_stays_in_ones_own_buildings_and_can_be_accepted(site: Site) -> None:
    full(site)
    exam = stat(site)
    assert rooms_asked(page(signed_in(site), f"/?exam={exam.accession}")) == {"XR3"}
    client = limited(site, "MAIN")
    text = page(client, f"/?exam={exam.accession}")
    assert "XR3" not in text
    assert rooms_asked(text) <= {"XR1", "XR2"}
    assert post(client, proposal=proposal_of(text)).status_code == 303
    booking = live_booking(exam.pk)
    assert booking is not None
    assert booking.room.code in ("XR1", "XR2")


def test_a_proposal_into_another_building_is_not_there_for_them(site: Site) -> None:
    busy(site, "XR1")
    busy(site, "XR2")
    exam = stat(site)
    form = proposal_of(page(signed_in(site), f"/?exam={exam.accession}"))
    client = limited(site, "MAIN")
    assert post(client, proposal=form).status_code == 404
    assert live_booking(exam.pk) is None
    assert "XR3" not in page(client, f"/?exam={exam.accession}")


def test_an_exam_of_another_building_is_not_moved_by_them(site: Site) -> None:
    other = make_exam(site)
    booking = make_booking(other, room="XR3", start=soon())
    text = page(signed_in(site), f"/?exam={other.accession}&option=1")
    client = limited(site, "MAIN")
    asked = unsigned(proposal_of(text))
    assert asked is not None
    assert {m.booking_id for m in asked.moves} == {booking.pk}
    assert post(client, proposal=proposal_of(text)).status_code == 404
    assert client.get(f"/repair?longer={other.accession}&minutes=5").status_code == 404
    assert "Sooner" not in page(client, f"/?exam={other.accession}&option=1")


def test_a_repair_touches_none_of_another_building(site: Site) -> None:
    here, there = make_exam(site), make_exam(site)
    make_booking(here, room="XR1", start=soon())
    make_booking(there, room="XR3", start=soon() + 30 * MIN, technologist=None)
    Booking.objects.filter(exam=there).update(technologist=live_booking(here.pk).technologist)  # type: ignore[union-attr]
    text = page(signed_in(site), "/repair?gone=T1")
    whole = unsigned(proposal_of(text))
    assert whole is not None
    assert {m.accession for m in whole.moves} == {here.accession, there.accession}
    text = page(limited(site, "MAIN"), "/repair?gone=T1")
    part = unsigned(proposal_of(text))
    assert part is not None
    assert {m.accession for m in part.moves} == {here.accession}
    assert limited(site, "MAIN").get("/repair?room=XR3").status_code == 404
    assert post(limited(site, "MAIN"), proposal=proposal_of(text)).status_code == 303
    assert live_booking(here.pk).technologist.code != "T1"  # type: ignore[union-attr]
    assert live_booking(there.pk).technologist.code == "T1"  # type: ignore[union-attr]


def test_a_place_by_hand_makes_nobody_of_another_building_give_way(site: Site) -> None:
    for room in ("XR1", "XR2"):
        busy(site, room)
    Booking.objects.filter(room__code="XR1").update(during=(soon(), soon() + 10 * MIN))
    exam = stat(site)
    at = soon().isoformat().replace("+00:00", "Z")
    text = page(limited(site, "MAIN"), f"/exams/{exam.accession}/move?room=XR1&at={at}")
    assert "XR3" not in text
    assert "XR3 at" in page(signed_in(site), f"/exams/{exam.accession}/move?room=XR1&at={at}")
    assert "Choose a room" in page(limited(site, "MAIN"), f"/exams/{exam.accession}/move?room=XR3&at={at}")


def test_what_was_accepted_elsewhere_is_undone_there_alone(site: Site) -> None:
    busy(site, "XR1")
    busy(site, "XR2")
    exam = stat(site)
    everywhere = signed_in(site)
    post(everywhere, proposal=proposal_of(page(everywhere, f"/?exam={exam.accession}")))
    kept = Rearrangement.objects.get()
    assert limited(site, "MAIN").post(f"/rearrangements/{kept.pk}/undo").status_code == 404
    assert live_booking(exam.pk) is not None
    assert limited(site, "EAST").post(f"/rearrangements/{kept.pk}/undo").status_code == 303
    assert live_booking(exam.pk) is None
    assert signed_in(site).post("/rearrangements/999999/undo").status_code == 404


def test_what_happened_in_another_building_is_not_accepted(site: Site) -> None:
    exam = make_exam(site)
    make_booking(exam, room="XR1", start=soon())
    asked = unsigned(proposal_of(page(signed_in(site), "/repair?room=XR1")))
    assert asked is not None
    main = Location.objects.get(site=site, code="MAIN")
    member = Member("user:x", "x", site, Role.COORDINATOR, frozenset({main.pk}))
    assert may_touch(member, asked)
    for event in (
        Event(room_down=("XR3", None)),
        Event(room_back=("XR3", clock.now() + timedelta(hours=1))),
    ):
        assert not may_touch(member, replace(asked, event=event))
    assert not may_touch(member, replace(asked, site_id=make_site("U").pk))


def test_what_would_follow_is_told_of_ones_own_rooms_and_exams_alone(site: Site) -> None:
    exam = stat(site)
    at = soon().isoformat()
    address = f"/exams/{exam.accession}/would"
    client = limited(site, "MAIN")
    assert "Nobody else moves." in client.get(address, {"room": "XR1", "at": at}).content.decode()
    for wrong in ({"room": "XR3", "at": at}, {"room": "XR1", "at": "soon"}, {"room": "XR1"}, {}):
        assert client.get(address, wrong).status_code == 404
    assert signed_in(site).get(address, {"room": "XR3", "at": at}).status_code == 200
    make_booking(exam, room="XR3", start=soon())
    assert client.get(address, {"room": "XR1", "at": at}).status_code == 404
    assert signed_in(site, Role.PORTER).get(address, {"room": "XR1", "at": at}).status_code == 404
    assert signed_in(make_site("U")).get(address, {"room": "XR1", "at": at}).status_code == 404
    assert Client().get(address, {"room": "XR1", "at": at}).status_code == 302
    assert client.post(address, {"room": "XR1", "at": at}).status_code in (404, 405)
