"""Bookings are written whole or not at all, and a lost place is told by name."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError

from tests.factories import AT, make_booking, make_exam, make_patient, make_site
from xraydesk.access.models import Site
from xraydesk.orders.models import Exam
from xraydesk.rooms.models import Room
from xraydesk.scheduling import actions
from xraydesk.scheduling.engine.place import Place
from xraydesk.scheduling.models import Booking
from xraydesk.scheduling.states import BookingState
from xraydesk.staff.models import Technologist

pytestmark = pytest.mark.django_db


@pytest.fixture
def site() -> Site:
    return make_site()


def place(site: Site, *, room: str = "XR1", who: str | None = "T1", minute: int = 0, seat: int = 0) -> Place:
    start = AT + timedelta(minutes=minute)
    technologist = Technologist.objects.get(site=site, code=who).pk if who else None
    return Place(
        Room.objects.get(site=site, code=room).pk, start, start + timedelta(minutes=10), technologist, seat
    )


def insert(exam: Exam, at_place: Place) -> Booking:
    return actions.insert_booking(exam=exam, place=at_place, at=AT, by="user:a", why=["because"])


def stored(booking: Booking) -> Booking:
    return Booking.objects.get(pk=booking.pk)


def test_a_booking_keeps_how_and_by_whom_it_was_made(site: Site) -> None:
    booking = stored(insert(make_exam(site), place(site)))
    assert (booking.state, booking.why, booking.booked_by, booking.row) == (
        BookingState.BOOKED,
        ["because"],
        "user:a",
        0,
    )
    assert actions.place_of(booking) == place(site)


def test_the_next_block_in_the_lane_takes_another_row_and_other_rooms_do_not_matter(site: Site) -> None:
    insert(make_exam(site), place(site))
    assert insert(make_exam(site), place(site, minute=10)).row == 1
    assert insert(make_exam(site), place(site, minute=20)).row == 2
    assert insert(make_exam(site), place(site, room="XR2", who="T2", minute=30)).row == 0
    assert insert(make_exam(site), place(site, minute=200)).row == 0


def test_a_taken_place_says_what_of_it_is_taken_and_leaves_the_transaction_good(site: Site) -> None:
    patient = make_patient(site)
    first = make_exam(site, patient=patient)
    insert(first, place(site))
    lost = {
        "room": (make_exam(site), place(site, who=None)),
        "technologist": (make_exam(site), place(site, room="XR2")),
        "patient": (make_exam(site, patient=patient), place(site, room="XR2", who="T2")),
        "exam": (first, place(site, minute=60)),
    }
    for what, (exam, wanted) in lost.items():
        with pytest.raises(actions.SlotTaken, match=what) as caught:
            insert(exam, wanted)
        assert caught.value.what == what
    assert Booking.objects.count() == 1


def test_exams_that_only_touch_are_not_in_each_others_way(site: Site) -> None:
    insert(make_exam(site), place(site))
    insert(make_exam(site), place(site, minute=10))
    insert(make_exam(site), place(site, who=None, seat=1))
    assert Booking.objects.count() == 3


def test_trouble_that_is_none_of_the_plans_is_not_called_a_taken_place(site: Site) -> None:
    nowhere = Place(place(site).room_id, AT, AT)
    with pytest.raises(IntegrityError):
        insert(make_exam(site), nowhere)


def test_a_released_place_is_free_again(site: Site) -> None:
    booking = insert(make_exam(site), place(site))
    actions.release(booking, at=AT, why="x" * 300)
    insert(make_exam(site), place(site))
    assert len(stored(booking).ended_why) == 200


def test_a_missed_place_that_others_have_now_does_not_come_back(site: Site) -> None:
    booking = stored(insert(make_exam(site), place(site)))
    actions.miss(booking, at=AT)
    insert(make_exam(site), place(site))
    with pytest.raises(actions.SlotTaken):
        actions.undo_miss(booking)
    assert stored(booking).state == BookingState.NO_SHOW


def test_a_first_arrival_stands_until_it_is_taken_back(site: Site) -> None:
    booking = insert(make_exam(site), place(site))
    actions.mark_arrived(booking, at=AT)
    actions.mark_arrived(booking, at=AT + timedelta(minutes=5))
    assert stored(booking).arrived_at == AT
    actions.unmark_arrived(booking)
    assert (booking.arrived_at, stored(booking).arrived_at) == (None, None)


def test_an_exam_done_elsewhere_takes_its_place_there_even_where_the_room_is_full(site: Site) -> None:
    make_booking(make_exam(site), room="XR2", start=AT)
    exam = make_exam(site)
    booking = stored(insert(exam, place(site, minute=60)))
    actions.mark_arrived(booking, at=AT)
    there = Room.objects.get(site=site, code="XR2").pk
    moved = actions.reassign_for_step(
        booking, exam=exam, room_id=there, at=AT, by="modality:XR2", why="begun there"
    )
    assert (moved.room_id, moved.seat, moved.during.lower, moved.technologist_id) == (there, 1, AT, None)
    assert moved.arrived_at == AT
    assert stored(booking).state == BookingState.RELEASED


def test_an_exam_done_elsewhere_keeps_its_time_where_its_patient_has_another_exam_now(site: Site) -> None:
    patient = make_patient(site)
    insert(make_exam(site, patient=patient), place(site))
    exam = make_exam(site, patient=patient)
    booking = stored(insert(exam, place(site, minute=60)))
    there = Room.objects.get(site=site, code="XR2").pk
    moved = actions.reassign_for_step(booking, exam=exam, room_id=there, at=AT, by="rule", why="there")
    assert moved.during.lower == AT + timedelta(minutes=60)
