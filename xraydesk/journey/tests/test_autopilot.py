"""By itself the desk lets others give way for a STAT that would be late, where the site wants it and within its limits alone."""

from __future__ import annotations

from datetime import time, timedelta
from functools import partial
from typing import Any

import pytest

from tests.factories import AT, make_booking, make_exam, make_site
from xraydesk.access.models import Site
from xraydesk.contact.models import Notice
from xraydesk.contact.states import NoticeState
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.journey.autopilot import BY_AUTOPILOT, let_in, place_by_itself, why_left
from xraydesk.journey.errors import Refused, WrongState
from xraydesk.journey.propose import propose_for
from xraydesk.journey.rearrange import undo
from xraydesk.journey.rearranged import done_by_itself, rearranged, undoable
from xraydesk.journey.tests.test_book import set_policies
from xraydesk.journey.tests.test_booking_races import at_once, check_plan
from xraydesk.journey.tests.test_rearrange import begin, done, places, stat
from xraydesk.journey.triage import set_priority
from xraydesk.lib import clock
from xraydesk.orders.models import Exam
from xraydesk.orders.states import Priority, TriageState
from xraydesk.rooms.models import Room
from xraydesk.scheduling.autopilot_rules import Limit
from xraydesk.scheduling.models import Booking, Rearrangement
from xraydesk.scheduling.queries import live_booking
from xraydesk.siteplan.policies import AutopilotPlan, BookingWay

pytestmark = pytest.mark.django_db
MIN = timedelta(minutes=1)
WIDE: dict[str, Any] = {"on": True, "near_minutes": 30, "moved_minutes_max": 60, "moves_max": 3}


def steered(**limits: Any) -> Site:
    """A department of one room whose desk may act by itself."""
    site = make_site(rooms=1)
    set_policies(site, autopilot=AutopilotPlan(**(WIDE | limits)))
    return site


def full(site: Site, *, minutes: int = 180) -> list[Exam]:
    """Outpatients one after the other, ten minutes each; of every nine places beyond the first hour one is free."""
    found = []
    for number in range(minutes // 10):
        if number % 9 == 8:
            continue
        exam = make_exam(site)
        make_booking(exam, start=AT + number * 10 * MIN)
        found.append(exam)
    return found


def limits_at(exam: Exam) -> set[Limit]:
    """What keeps the desk from doing the proposals by itself."""
    proposed = propose_for(site=exam.site, accession=exam.accession, at=AT)
    return {
        forbids.limit
        for proposal in proposed.proposals
        for forbids in why_left(exam=exam, proposed=proposed, proposal=proposal, at=AT)
    }


def test_within_the_limits_it_lets_others_give_way_and_says_that_it_did() -> None:
    site = steered()
    booked = full(site)
    exam = stat(site)
    before = places(booked)
    kept = let_in(exam_id=exam.pk, at=AT)
    assert kept is not None
    assert kept.by == BY_AUTOPILOT
    booking = live_booking(exam.pk)
    assert booking is not None
    assert booking.during.lower <= AT + 60 * MIN
    assert booking.time_was_given, "the EHR is told of it as of one that a person lets in"
    moved = {a: (before[a], now) for a, now in places(booked).items() if now != before[a]}
    assert 0 < len(moved) <= 3
    for was, now in moved.values():
        assert was is not None
        assert now is not None
        assert was[1] >= AT + 30 * MIN
        assert abs(now[1] - was[1]) <= 60 * MIN
    facts = Fact.objects.filter(data__rearrangement=kept.pk)
    assert {f.by for f in facts} == {BY_AUTOPILOT}
    assert {f.kind for f in facts} == {FactKind.EXAM_BOOKED, FactKind.EXAM_MOVED}
    assert Notice.objects.filter(state=NoticeState.WAITING).count() == len(moved)
    assert place_by_itself(exam_id=exam.pk, at=AT) is None, "a second time changes nothing"
    assert Rearrangement.objects.count() == 1


def test_it_does_nothing_unless_the_site_file_says_so() -> None:
    assert AutopilotPlan().on is False
    site = steered(on=False)
    full(site)
    exam = stat(site)
    booking = place_by_itself(exam_id=exam.pk, at=AT)
    assert isinstance(booking, Booking)
    assert booking.booked_by == "rule"
    assert Rearrangement.objects.count() == 0
    assert limits_at(exam) == set(), "a desk that does nothing by itself says nothing of it"


@pytest.mark.parametrize(
    ("limits", "limit"),
    [
        ({"moved_minutes_max": 5}, Limit.MOVED),
        ({"near_minutes": 600}, Limit.NEAR),
        ({"hours": {"tue": ((time(7), time(19)),)}}, Limit.HOURS),
    ],
)
def test_each_limit_of_the_site_leaves_it_to_a_person(limits: dict[str, Any], limit: Limit) -> None:
    site = steered(**limits)
    booked = full(site)
    before = places(booked)
    exam = stat(site)
    booking = place_by_itself(exam_id=exam.pk, at=AT)
    assert isinstance(booking, Booking), "it has the next free place as it always had"
    assert booking.during.lower > AT + 60 * MIN
    assert places(booked) == before
    assert limit in limits_at(exam)


def test_no_more_move_than_may() -> None:
    """In this hour every place for it is two others': with one allowed it is left to a person, with two it is done."""
    site = steered(moves_max=1, moved_minutes_max=480)
    make_booking(make_exam(site), start=AT, minutes=30)
    for number in range(2):
        make_booking(make_exam(site), start=AT + (30 + 15 * number) * MIN, minutes=15)
    make_booking(make_exam(site, triage=TriageState.HELD), start=AT + 60 * MIN, minutes=120)
    exam = stat(site)
    exam.procedure.minutes = 25
    exam.procedure.save()
    assert isinstance(place_by_itself(exam_id=exam.pk, at=AT), Booking)
    Booking.objects.filter(exam=exam).delete()
    assert Limit.MOVES in limits_at(exam)
    set_policies(site, autopilot=AutopilotPlan(**(WIDE | {"moves_max": 2, "moved_minutes_max": 480})))
    kept = place_by_itself(exam_id=exam.pk, at=AT)
    assert isinstance(kept, Rearrangement)
    assert len(kept.moves) == 3


def test_only_the_priorities_that_the_site_names_make_others_give_way() -> None:
    site = steered()
    full(site)
    exam = stat(site)
    exam.priority = "urgent"
    exam.save()
    assert isinstance(place_by_itself(exam_id=exam.pk, at=AT), Booking)
    assert Limit.PRIORITY in limits_at(exam)


def test_an_exam_that_is_in_time_is_booked_as_ever() -> None:
    site = steered()
    full(site, minutes=30)
    exam = stat(site)
    booking = place_by_itself(exam_id=exam.pk, at=AT)
    assert isinstance(booking, Booking)
    assert booking.during.lower == AT + 30 * MIN
    assert Rearrangement.objects.count() == 0


def test_nobody_is_moved_by_it_twice_a_day() -> None:
    site = steered()
    booked = full(site)
    first = let_in(exam_id=stat(site).pk, at=AT)
    assert first is not None
    moved = {m["accession"] for m in first.moves}
    before = {a: p for a, p in places(booked).items() if a in moved}
    for _ in range(3):
        place_by_itself(exam_id=stat(site).pk, at=AT)
    assert {a: p for a, p in places(booked).items() if a in moved} == before
    assert Limit.AGAIN in limits_at(stat(site))


def test_whom_a_person_places_by_policy_is_left_to_them() -> None:
    site = steered()
    set_policies(site, booking={"E": BookingWay.ASK}, autopilot=AutopilotPlan(**WIDE))
    full(site)
    exam = stat(site)
    assert place_by_itself(exam_id=exam.pk, at=AT) is None
    assert live_booking(exam.pk) is None
    assert Rearrangement.objects.count() == 0


def test_undone_it_is_as_before_and_not_done_again() -> None:
    site = steered()
    booked = full(site)
    before = places(booked)
    exam = stat(site)
    kept = let_in(exam_id=exam.pk, at=AT)
    assert kept is not None
    since, until = clock.day_bounds(clock.local_day(AT, site.timezone), site.timezone)
    day: dict[str, Any] = {"site": site, "since": since, "until": until}
    assert done_by_itself(**day) == 1
    assert undoable(rearranged(**day)) == {kept.pk}
    undo(site=site, rearrangement_id=kept.pk, at=AT + MIN, by="user:ada")
    assert places(booked) == before
    assert done_by_itself(**day) == 0
    assert undoable(rearranged(**day)) == frozenset()
    assert not Notice.objects.filter(state=NoticeState.WAITING).exists()
    assert let_in(exam_id=exam.pk, at=AT + 2 * MIN) is None, "a person did not want it"
    assert Limit.TAKEN_BACK in limits_at(exam)
    assert [kept.pk for kept in rearranged(**day)] == [kept.pk]


def test_what_has_begun_is_not_offered_to_be_undone() -> None:
    site = steered()
    full(site)
    kept = let_in(exam_id=stat(site).pk, at=AT)
    assert kept is not None
    begin(Exam.objects.get(accession=next(m["accession"] for m in kept.moves if m["before"])))
    assert undoable([kept]) == frozenset()
    with pytest.raises(WrongState, match="has begun"):
        undo(site=site, rearrangement_id=kept.pk, at=AT + MIN, by="user:ada")


def test_only_what_lies_in_ones_own_rooms_is_listed() -> None:
    site = steered()
    full(site)
    kept = let_in(exam_id=stat(site).pk, at=AT)
    assert kept is not None
    mine = {Room.objects.get(site=site).pk}
    day: dict[str, Any] = {"site": site, "since": AT, "until": AT + MIN}
    assert rearranged(**day, room_ids=mine) == [kept]
    assert rearranged(**day, room_ids=()) == []
    assert (done_by_itself(**day, room_ids=mine), done_by_itself(**day, room_ids=())) == (1, 0)
    assert rearranged(site=make_site("U"), since=AT, until=AT + MIN) == []


@pytest.mark.django_db(transaction=True)
def test_a_coordinator_who_accepts_at_the_same_time_and_the_desk_do_it_once() -> None:
    """Row 43: the same exams, the desk by itself and people, and nobody is locked out or half moved."""
    site = steered(near_minutes=0)
    full(site)
    exams = [stat(site) for _ in range(4)]
    proposals = [propose_for(site=site, accession=e.accession, at=AT) for e in exams]
    told = at_once(
        [
            *(partial(done, site, p) for p in proposals),
            *(partial(place_by_itself, exam_id=e.pk, at=AT) for e in exams for _ in range(2)),
        ]
    )
    assert all(one is None or isinstance(one, Rearrangement | Booking | Refused) for one in told)
    check_plan()
    assert all(live_booking(e.pk) for e in exams)
    first = [kept.moves[0]["accession"] for kept in Rearrangement.objects.all()]
    assert len(first) == len(set(first)), "each is let in once"


def raised(site: Site, *, patient_class: str = "E", minutes: int = 170) -> Exam:
    """A routine exam with a place late in the morning, which somebody has raised to STAT since."""
    exam = make_exam(site)
    exam.order.patient_class = patient_class
    exam.order.save()
    make_booking(exam, start=AT + minutes * MIN)
    set_priority(exam_id=exam.pk, priority=Priority.STAT, at=AT, by="user:ada")
    Exam.objects.filter(pk=exam.pk).update(due_at=AT + 60 * MIN)
    return exam


def test_one_that_was_raised_where_it_stands_is_let_in_like_a_new_one() -> None:
    site = steered()
    full(site, minutes=170)
    exam = raised(site)
    assert let_in(exam_id=exam.pk, at=AT) is None, "without that it keeps the place that it has"
    kept = let_in(exam_id=exam.pk, at=AT, raised=True)
    assert kept is not None
    booking = live_booking(exam.pk)
    assert booking is not None
    assert booking.during.lower <= AT + 60 * MIN
    assert let_in(exam_id=exam.pk, at=AT, raised=True) is None, "a second time changes nothing"
    undo(site=site, rearrangement_id=kept.pk, at=AT + MIN, by="user:ada")
    assert live_booking(exam.pk).during.lower == AT + 170 * MIN  # type: ignore[union-attr]
    assert let_in(exam_id=exam.pk, at=AT + 2 * MIN, raised=True) is None, "a person did not want it"


def test_nobody_at_home_is_called_to_come_sooner_by_itself() -> None:
    site = steered()
    full(site, minutes=170)
    exam = raised(site, patient_class="O")
    assert let_in(exam_id=exam.pk, at=AT, raised=True) is None
    Booking.objects.filter(exam=exam).update(arrived_at=AT)
    assert let_in(exam_id=exam.pk, at=AT, raised=True) is not None


def test_one_that_is_in_time_all_the_same_stays_where_it_is() -> None:
    site = steered()
    exam = raised(site, minutes=50)
    assert let_in(exam_id=exam.pk, at=AT, raised=True) is None
