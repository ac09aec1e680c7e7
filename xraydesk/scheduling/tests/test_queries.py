"""The engine is told of the department as it is kept."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.factories import ALL_DAY, AT, make_booking, make_exam, make_site
from xraydesk.rooms.models import Room
from xraydesk.scheduling.engine.spans import Span
from xraydesk.scheduling.queries import department_of, live_booking, occupying_between
from xraydesk.scheduling.states import BookingState
from xraydesk.staff.models import Technologist

pytestmark = pytest.mark.django_db
DAY = Span(AT - timedelta(hours=1), AT + timedelta(hours=23))


def test_rooms_people_and_what_is_taken(django_assert_num_queries: Any) -> None:
    site = make_site()
    booked = make_exam(site)
    make_booking(booked)
    make_booking(make_exam(site), room="XR2", state=BookingState.NO_SHOW)
    Room.objects.filter(code="XR2").update(retired=True)
    with django_assert_num_queries(4):
        department, busy = department_of(site=site, since=DAY.start, until=DAY.end)
    taken = Span(AT, AT + timedelta(minutes=10))
    (room,) = department.rooms
    assert (room.code, room.open, room.busy, room.down, room.emergency) == (
        "XR1",
        (DAY,),
        ((taken,),),
        None,
        False,
    )
    assert department.technologists is not None
    first, second = department.technologists
    assert [w.span for w in first.work] == [taken]
    assert (second.work, second.on) == ((), (DAY,))
    assert busy == {booked.patient_id: (taken,)}


def test_the_exam_to_be_placed_is_not_in_its_own_way() -> None:
    site = make_site(rooms=1)
    exam = make_exam(site)
    make_booking(exam)
    department, busy = department_of(site=site, since=DAY.start, until=DAY.end, without_exam=exam.pk)
    assert (department.rooms[0].busy, busy) == (((),), {})


def test_closures_are_not_open_and_a_room_that_is_down_is_so_until_its_time() -> None:
    site = make_site(rooms=2)
    closure = {"start": "2026-03-02T12:00:00", "end": "2026-03-02T13:00:00", "reason": "service"}
    Room.objects.filter(code="XR1").update(closures=[closure], state="down", kind="trauma")
    back = AT + timedelta(hours=1)
    Room.objects.filter(code="XR2").update(
        state="down", down_until=back, hours={"mon": ALL_DAY["mon"]}, seats=2
    )
    Technologist.objects.update(retired=True)
    under_way = Span(AT - timedelta(minutes=5), AT + timedelta(minutes=5))
    xr2 = Room.objects.get(code="XR2").pk
    department, _ = department_of(site=site, since=DAY.start, until=DAY.end, on_table={xr2: under_way})
    first, second = department.rooms
    noon = AT + timedelta(hours=2)
    assert first.open == (Span(DAY.start, noon), Span(noon + timedelta(hours=1), DAY.end))
    assert (first.down, first.emergency) == (DAY, True)
    assert second.down == Span(DAY.start, back)
    assert second.busy == ((under_way,), (under_way,))
    assert second.open == (Span(DAY.start, AT + timedelta(hours=14)),)
    assert department.technologists is None


def test_a_live_booking_is_the_exams_present_one() -> None:
    site = make_site()
    exam = make_exam(site)
    assert live_booking(exam.pk) is None
    make_booking(exam, state=BookingState.RELEASED)
    done = make_booking(exam, state=BookingState.DONE)
    assert live_booking(exam.pk) == done


def test_bookings_between_two_moments_of_one_room_or_all() -> None:
    site = make_site()
    second = make_booking(make_exam(site), room="XR2", start=AT + timedelta(minutes=5))
    first = make_booking(make_exam(site))
    make_booking(make_exam(site), start=DAY.end)
    assert list(occupying_between(site=site, since=DAY.start, until=DAY.end)) == [first, second]
    assert list(occupying_between(site=site, since=DAY.start, until=DAY.end, room=second.room)) == [second]
