"""A room is closed where the fewest move; who has to move is placed anew, and told."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any

import pytest

from tests.factories import ALL_DAY, AT, make_booking, make_exam, make_site
from xraydesk.access.models import Site
from xraydesk.attention.models import Item
from xraydesk.contact.models import Notice
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.journey.ahead import Wish, find_slots
from xraydesk.journey.book import book_exam
from xraydesk.journey.errors import BoardChanged, PlaceUnfit, UnknownRoom, WrongState
from xraydesk.journey.maintenance import (
    BETWEEN_DAYS_MAX,
    LENGTH_MINUTES_MAX,
    UnknownClosure,
    close_room,
    closures_to_come,
    open_again,
    propose_windows,
)
from xraydesk.journey.rearrange import undo
from xraydesk.journey.tests.performing import begun
from xraydesk.orders.models import Exam
from xraydesk.rooms.models import PlannedClosure, Room
from xraydesk.scheduling.engine.place import Place
from xraydesk.scheduling.engine.spans import Span
from xraydesk.scheduling.models import Booking
from xraydesk.scheduling.queries import live_booking

pytestmark = pytest.mark.django_db
NOON = AT + timedelta(hours=2)


@pytest.fixture
def site() -> Site:
    return make_site()


def room(code: str = "XR1") -> Room:
    return Room.objects.get(code=code)


def proposed(room: Room, minutes: int = 60, **more: Any) -> list[tuple[datetime, list[str]]]:
    asked: dict[str, Any] = {
        "since": AT, "until": AT + timedelta(days=1), "first": time(10), "last": time(14), "at": AT
    }  # fmt: skip
    found = propose_windows(room=room, minutes=minutes, **(asked | more))
    return [(p.window.span.start, [b.exam.accession for b in p.bookings if b.exam]) for p in found]


def booked(site: Site, minute: int, **fields: Any) -> Exam:
    exam = make_exam(site, **fields)
    make_booking(exam, start=AT + timedelta(minutes=minute))
    return exam


def closed(*exams: Exam, start: int = 0, length: int = 60, reason: str = "service") -> Any:
    begin = AT + timedelta(minutes=start)
    span = Span(begin, begin + timedelta(minutes=length))
    seen = [exam.accession for exam in exams]
    return close_room(room_id=room().pk, span=span, reason=reason, seen=seen, at=AT, by="user:a")


def test_windows_that_move_the_fewest_come_first_within_the_hours_asked_for(site: Site) -> None:
    first, second = booked(site, 0), booked(site, 65)
    made = make_booking(make_exam(site), room="XR2", start=AT)
    assert made.pk
    assert proposed(room()) == [
        (AT + timedelta(minutes=75), []),
        (AT + timedelta(minutes=135), []),
        (AT, [first.accession]),
    ]
    assert proposed(room(), 240) == [(AT, [first.accession, second.accession])]
    assert proposed(room(), 241) == []


def test_what_is_no_window_is_refused(site: Site) -> None:
    for more in (
        {"minutes": 0},
        {"minutes": LENGTH_MINUTES_MAX + 1},
        {"until": AT},
        {"until": AT + timedelta(days=BETWEEN_DAYS_MAX + 1)},
    ):
        with pytest.raises(WrongState):
            proposed(room(), **more)
    with pytest.raises(WrongState, match="from now on"):
        closed(start=-10)
    with pytest.raises(UnknownRoom):
        close_room(room_id=10**9, span=Span(AT, NOON), reason="", seen=(), at=AT, by="user:a")


def test_whoever_is_booked_then_gets_the_next_place_and_is_told_and_nobody_new_comes(site: Site) -> None:
    exam, other = booked(site, 10), booked(site, 90)
    closure, kept = closed(exam)
    assert kept.moves[0]["accession"] == exam.accession
    now = live_booking(exam.pk)
    assert (now.room.code, now.during.lower) == ("XR2", AT + timedelta(minutes=10))
    assert live_booking(other.pk).room.code == "XR1"
    fact = Fact.objects.get(kind=FactKind.ROOM_CLOSURE_PLANNED)
    assert (fact.room, fact.data["exams"], fact.data["closure"]) == ("XR1", [exam.accession], closure.pk)
    assert (
        Fact.objects.get(kind=FactKind.EXAM_MOVED, accession=exam.accession).data["rearrangement"] == kept.pk
    )
    with pytest.raises(PlaceUnfit, match="closed"):
        book_exam(exam_id=make_exam(site).pk, at=AT, by="user:a", place=Place(room().pk, AT, AT))
    offers = find_slots(
        site=site, wish=Wish(exam_ids=(make_exam(site).pk,), rooms=frozenset({room().pk})), at=AT, count=1
    )
    assert offers[0].start == AT + timedelta(hours=1)


def test_where_the_time_changes_the_patient_is_told_and_where_there_is_no_place_a_person_is_asked(
    site: Site,
) -> None:
    Room.objects.filter(code="XR2").update(hours={})
    exam = booked(site, 10)
    closed(exam)
    assert live_booking(exam.pk).during.lower == AT + timedelta(hours=1)
    assert Notice.objects.filter(exam=exam).count() == 1
    Room.objects.filter(code="XR1").update(hours={})
    Booking.objects.filter(exam=exam).delete()
    lost = booked(site, 125)
    _, kept = closed(lost, start=60, length=120)
    assert kept.moves[0]["after"] is None
    assert live_booking(lost.pk) is None
    assert "XR1 is closed: service" in Item.objects.get(accession=lost.accession).text


def test_nothing_changes_where_others_are_booked_there_by_now_or_somebody_is_inside(site: Site) -> None:
    exam = booked(site, 10)
    with pytest.raises(BoardChanged):
        closed()
    other = booked(site, 30)
    with pytest.raises(BoardChanged):
        closed(exam)
    begun(site, other)
    with pytest.raises(WrongState, match="Somebody is in XR1"):
        closed(exam, other)
    assert not PlannedClosure.objects.exists()
    assert live_booking(exam.pk).room.code == "XR1"


def test_what_was_moved_can_be_undone_and_the_room_opened_again(site: Site) -> None:
    exam = booked(site, 10)
    closure, kept = closed(exam)
    assert closures_to_come(room=room(), at=AT) == [closure]
    assert closures_to_come(room=room("XR2"), at=AT) == []
    open_again(room_id=room().pk, closure_id=closure.pk, at=AT, by="user:a")
    assert closures_to_come(room=room(), at=AT) == []
    undo(site=site, rearrangement_id=kept.pk, at=AT, by="user:a")
    assert live_booking(exam.pk).room.code == "XR1"
    with pytest.raises(UnknownClosure):
        open_again(room_id=room().pk, closure_id=closure.pk, at=AT, by="user:a")
    assert Fact.objects.filter(kind=FactKind.ROOM_CLOSURE_ENDED).count() == 1


def test_a_window_without_patients_moves_nobody(site: Site) -> None:
    Room.objects.update(hours=ALL_DAY)
    closure, kept = closed(reason="")
    assert (closure.reason, kept) == ("", None)
