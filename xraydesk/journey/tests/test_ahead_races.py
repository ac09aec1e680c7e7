"""Many people after one place ahead: one holds it, one books it, nobody meets a deadlock."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from datetime import timedelta
from itertools import pairwise

import pytest
from django.db import transaction

from tests.factories import ALL_DAY, AT, make_exam, make_site
from xraydesk.journey.ahead import ALTERNATIVES_MAX, Wish, book, end_expired, hold, let_go
from xraydesk.journey.book import book_exam
from xraydesk.journey.errors import HoldOver, PlaceTaken, Refused
from xraydesk.journey.tests.test_ahead import held, inpatient, place, with_policies
from xraydesk.journey.tests.test_booking_races import at_once, check_plan
from xraydesk.orders.models import Procedure
from xraydesk.rooms.models import Room
from xraydesk.scheduling.actions import Company, SlotTaken, ToHold, insert_hold
from xraydesk.scheduling.engine.place import Place
from xraydesk.scheduling.engine.spans import Span
from xraydesk.scheduling.models import Attendance, Booking, Hold
from xraydesk.scheduling.states import Going, HoldState
from xraydesk.staff.models import Porter

pytestmark = pytest.mark.django_db(transaction=True)


def test_of_fifty_people_who_hold_one_place_at_once_one_gets_it_and_the_others_other_places() -> None:
    """Row 42: fifty clients after one slot; 49 are told, each with free places."""
    site = make_site()
    exams = [make_exam(site) for _ in range(50)]
    answers = at_once(lambda exam=exam: held(site, exam) for exam in exams)
    won = [a for a in answers if isinstance(a, Hold)]
    lost = [a for a in answers if isinstance(a, PlaceTaken)]
    assert (len(won), len(lost)) == (1, 49)
    assert all(len(a.alternatives) == ALTERNATIVES_MAX for a in lost)
    assert Booking.objects.get().hold == won[0]


def test_holding_and_booking_one_place_at_once_has_one_winner() -> None:
    """Row 44: half of them hold it, half of them book it at once."""
    site = make_site()
    exams = [make_exam(site) for _ in range(30)]
    answers = at_once(
        (lambda exam=exam: held(site, exam))
        if number % 2
        else (lambda exam=exam: book_exam(exam_id=exam.pk, at=AT, by="user:b", place=place()))
        for number, exam in enumerate(exams)
    )
    assert sum(isinstance(a, Hold | Booking) for a in answers) == 1
    assert sum(isinstance(a, PlaceTaken) for a in answers) == 29


def test_a_held_place_is_booked_once_however_often_it_is_asked_for() -> None:
    site = make_site()
    kept = held(site, make_exam(site))
    answers = at_once(lambda: book(site=site, hold_id=kept.pk, at=AT, by="user:a") for _ in range(20))
    assert sum(isinstance(a, list) for a in answers) == 1
    assert sum(isinstance(a, HoldOver) for a in answers) == 19


def test_a_place_whose_hold_has_run_out_has_one_new_holder() -> None:
    site = make_site()
    kept = held(site, make_exam(site))
    exams = [make_exam(site) for _ in range(30)]
    tasks = [lambda exam=exam: held(site, exam, at=kept.until) for exam in exams]
    answers = at_once([*tasks, lambda: end_expired(site=site, at=kept.until)])
    assert sum(isinstance(a, Hold) for a in answers) == 1
    assert Booking.objects.count() == 1
    kept.refresh_from_db()
    assert kept.state == HoldState.EXPIRED


def test_many_who_hold_book_and_let_go_meet_no_deadlock_and_leave_a_plan() -> None:
    """Row 43: many resources, many writers; rooms, technologists, patients and porters at once."""
    site = with_policies(make_site(rooms=3))
    for number in range(2):
        Porter.objects.create(site=site, code=f"P{number}", name=f"Porter {number}", shifts=ALL_DAY)
    chance = random.Random(7)
    exams = [inpatient(site) for _ in range(12)]
    visits = [(exam, make_exam(site, patient=exam.patient, code="XRKNEE2")) for exam in exams[:6]]

    def busy(number: int) -> Counter[str]:
        own, done = random.Random(number), Counter[str]()
        for turn in range(6):
            wanted = own.choice(visits) if own.random() < 0.4 else (own.choice(exams),)
            minute = own.choice([0, 10, 20, 30, 600 + 10 * turn])
            # Some holds are old: the next one meets them run out.
            at = AT - timedelta(minutes=own.choice([0, 0, 30]))
            try:
                kept = held(site, *wanted, minute=minute + 60, room=own.choice(["XR1", "XR2", "XR3"]), at=at)
                if own.random() < 0.7:
                    book(site=site, hold_id=kept.pk, at=at, by="user:a")
                    done["booked"] += 1
                else:
                    let_go(site=site, hold_id=kept.pk, at=at, by="user:a")
            except Refused as refusal:
                done[type(refusal).__name__] += 1
        return done

    answers = at_once(lambda n=n: busy(n) for n in chance.sample(range(1000), 24))
    assert sum((a for a in answers if isinstance(a, Counter)), Counter[str]())["booked"] > 0
    assert not [a for a in answers if not isinstance(a, Counter)]
    check_plan()
    for of in ("porter_id", "companion_id"):
        for who in Attendance.objects.filter(live=True).values_list(of, flat=True).distinct():
            spans = sorted(
                (a.during.lower, a.during.upper)
                for a in Attendance.objects.filter(live=True, **{of: who})
                if who
            )
            assert all(a[1] <= b[0] for a, b in pairwise(spans))


def test_whoever_keeps_ways_of_several_porters_never_waits_in_a_circle() -> None:
    """Row 43: of six who want both porters at one time, three the one first and three the other, one gets them."""
    site = make_site(rooms=12)
    rooms = list(Room.objects.filter(site=site).order_by("code"))
    both = [Porter.objects.create(site=site, code=f"P{n}", name=f"P {n}", shifts=ALL_DAY) for n in range(2)]

    def want(number: int) -> int:
        kept = 0
        for hour in range(5):
            span = Span(AT + timedelta(hours=hour), AT + timedelta(hours=hour, minutes=10))
            ways = [Company(Going.FETCH, span, porter_id=p.pk) for p in (both if number % 2 else both[::-1])]
            places = [
                ToHold(Place(rooms[2 * number + n].pk, *span), along=(way,)) for n, way in enumerate(ways)
            ]
            with contextlib.suppress(SlotTaken), transaction.atomic():
                insert_hold(
                    site_id=site.pk, places=places, told=[], lacks=[], until=span.end, at=AT, by="user:a"
                )
                kept += 1
        return kept

    assert sum(at_once(lambda n=n: want(n) for n in range(6))) == 5  # type: ignore[misc]
    assert Attendance.objects.filter(live=True).count() == 10


def test_places_for_nobody_yet_are_held_one_at_a_time() -> None:
    site = make_site()
    chest = Procedure.objects.get(site=site, code="XRCHEST2")
    asked = Wish(procedure_ids=(chest.pk,))
    answers = at_once(
        lambda: hold(site=site, wish=asked, places=[place()], at=AT, by="link:EHR") for _ in range(20)
    )
    assert sum(isinstance(a, Hold) for a in answers) == 1
