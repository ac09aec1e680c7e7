"""A room that is out of order keeps its bookings, but nothing new goes there."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.factories import AT, make_booking, make_exam, make_site
from xraydesk.access.models import Site
from xraydesk.facts.models import Fact
from xraydesk.journey.book import book_exam, propose_places
from xraydesk.journey.errors import UnknownRoom, WrongState
from xraydesk.journey.room_state import exams_touched, set_room_down, set_room_ready
from xraydesk.rooms.models import Room
from xraydesk.scheduling.models import Booking

pytestmark = pytest.mark.django_db


@pytest.fixture
def site() -> Site:
    return make_site()


def room(code: str = "XR1") -> Room:
    return Room.objects.get(code=code)


def test_the_exams_it_touches_are_listed_and_keep_their_places(site: Site) -> None:
    later = make_exam(site)
    make_booking(later, start=AT + timedelta(minutes=30))
    sooner = make_exam(site)
    make_booking(sooner, start=AT)
    make_booking(make_exam(site), start=AT + timedelta(hours=2))
    make_booking(make_exam(site), room="XR2")
    touched = set_room_down(
        room_id=room().pk, at=AT, by="user:a", until=AT + timedelta(hours=1), reason=" detector fault "
    )
    assert touched == [sooner, later]
    assert room().down_reason == "detector fault"
    assert Booking.objects.filter(state="booked").count() == 4
    fact = Fact.objects.get(kind="room down")
    assert (fact.room, fact.data["exams"]) == ("XR1", [sooner.accession, later.accession])


def test_nothing_is_proposed_there_until_it_is_ready(site: Site) -> None:
    set_room_down(room_id=room().pk, at=AT, by="user:a", reason="fault")
    booking = book_exam(exam_id=make_exam(site).pk, at=AT, by="user:a")
    assert booking.room.code == "XR2"
    assert "XR1 is down" in booking.why
    set_room_ready(room_id=room().pk, at=AT, by="user:a")
    set_room_ready(room_id=room().pk, at=AT, by="user:a")
    assert Fact.objects.filter(kind="room ready").count() == 1
    assert propose_places(exam_id=make_exam(site).pk, at=AT)[0].place.room_id == room().pk


def test_once_its_time_is_over_the_room_is_proposed_again(site: Site) -> None:
    set_room_down(room_id=room().pk, at=AT, by="user:a", until=AT + timedelta(hours=1))
    Room.objects.filter(code="XR2").update(retired=True)
    (first,) = propose_places(exam_id=make_exam(site).pk, at=AT, count=1)
    assert first.place.start == AT + timedelta(hours=1)
    assert exams_touched(room(), at=AT + timedelta(hours=1)) == []


def test_without_an_end_every_exam_to_come_is_touched_and_none_while_it_is_ready(site: Site) -> None:
    exam = make_exam(site)
    make_booking(exam, start=AT + timedelta(days=3))
    assert exams_touched(room(), at=AT) == []
    assert set_room_down(room_id=room().pk, at=AT, by="user:a") == [exam]


def test_an_end_that_has_passed_and_a_room_that_is_gone_are_refused(site: Site) -> None:
    with pytest.raises(WrongState, match="XR1"):
        set_room_down(room_id=room().pk, at=AT, by="user:a", until=AT)
    Room.objects.filter(code="XR1").update(retired=True)
    for step in (set_room_down, set_room_ready):
        with pytest.raises(UnknownRoom):
            step(room_id=room().pk, at=AT, by="user:a")
    assert not Fact.objects.exists()
