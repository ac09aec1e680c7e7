"""Many people after one place, and many writers across many: one wins, the others get an answer."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import pairwise
from threading import Barrier

import pytest
from django.db import connection, connections

from tests.factories import AT, make_exam, make_patient, make_site
from xraydesk.journey.arrive import patient_is_here
from xraydesk.journey.book import (
    book_by_policy,
    book_exam,
    cancel_booking,
    mark_no_show,
    move_exam,
    undo_no_show,
)
from xraydesk.journey.errors import NoPlace, PlaceTaken, PlaceUnfit, Refused, WrongState
from xraydesk.journey.tests.test_book import place, set_policies
from xraydesk.orders.models import Exam
from xraydesk.scheduling.engine.place import Place
from xraydesk.scheduling.models import Booking
from xraydesk.scheduling.states import LIVE, OCCUPYING
from xraydesk.siteplan.policies import BookingWay

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(tasks: Iterable[Callable[[], object]]) -> list[object]:
    """Run tasks together, each on a connection of its own; what each returned, or the refusal it met.

    Anything but a refusal, a deadlock above all, ends the test.
    """
    tasks = list(tasks)
    start = Barrier(len(tasks))

    def run(task: Callable[[], object]) -> object:
        try:
            connection.ensure_connection()
            start.wait(30)
            return task()
        except Refused as refusal:
            return refusal
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(tasks)) as pool:
        return list(pool.map(run, tasks))


def check_plan() -> None:
    """Nobody and nothing is in two exams at once, asked of the rows and not of the constraints."""
    taken = Booking.objects.filter(state__in=OCCUPYING)
    for of in ("room_id", "technologist_id", "patient_id"):
        for holder in taken.values_list(of, flat=True).distinct():
            spans = sorted(
                (b.during.lower, b.during.upper) for b in taken.filter(**{of: holder}) if holder is not None
            )
            assert all(a[1] <= b[0] for a, b in pairwise(spans)), of
    live = Counter(Booking.objects.filter(state__in=LIVE).values_list("exam_id", flat=True))
    assert set(live.values()) <= {1}


def test_of_fifty_people_after_one_place_one_wins_and_the_others_are_offered_other_places() -> None:
    """Row 42: fifty tasks book one slot at once."""
    site = make_site()
    exams = [make_exam(site) for _ in range(50)]
    wanted = place(60)
    answers = at_once(
        lambda exam=exam: book_exam(exam_id=exam.pk, at=AT, by="user:a", place=wanted) for exam in exams
    )
    won = [a for a in answers if isinstance(a, Booking)]
    lost = [a for a in answers if isinstance(a, PlaceTaken)]
    assert (len(won), len(lost)) == (1, 49)
    assert all(refusal.alternatives for refusal in lost)
    assert all(p.place.start >= wanted.start for refusal in lost for p in refusal.alternatives)
    assert Booking.objects.count() == 1


def test_two_requests_for_one_place_confirmed_at_once_leave_one_refused() -> None:
    """Row 44: the second of two pending requests is refused, and keeps what it had."""
    site = make_site()
    exams = [make_exam(site) for _ in range(2)]
    before = [book_exam(exam_id=e.pk, at=AT, by="rule", place=place(30 * n)) for n, e in enumerate(exams)]
    answers = at_once(
        lambda exam=exam: move_exam(exam_id=exam.pk, place=place(120, "XR2"), at=AT, by="user:a")
        for exam in exams
    )
    assert sorted(type(a).__name__ for a in answers) == ["Booking", "PlaceTaken"]
    loser = next(n for n, a in enumerate(answers) if isinstance(a, PlaceTaken))
    assert Booking.objects.get(exam=exams[loser], state="booked") == before[loser]


def test_people_who_choose_different_rooms_at_one_time_do_not_take_each_others_technologist() -> None:
    """Row 43: whoever loses a technologist that they did not ask for is given another who is free."""
    site = make_site(rooms=4)
    exams = [make_exam(site) for _ in range(4)]
    answers = at_once(
        lambda exam=exam, room=room: book_exam(exam_id=exam.pk, at=AT, by="user:a", place=place(60, room))
        for exam, room in zip(exams, ("XR1", "XR2", "XR3", "XR4"), strict=True)
    )
    assert all(isinstance(a, Booking) for a in answers), answers
    check_plan()


def test_exams_booked_by_rule_at_once_all_find_a_place() -> None:
    """Row 43: whoever loses a proposed place is proposed another, with nobody turned away."""
    site = make_site(rooms=3)
    patient = make_patient(site)
    exams = [make_exam(site, patient=patient if n % 5 == 0 else None) for n in range(16)]
    answers = at_once(lambda exam=exam: book_by_policy(exam_id=exam.pk, at=AT) for exam in exams)
    assert all(isinstance(a, Booking) for a in answers)
    check_plan()


def test_one_exam_booked_twice_at_once_is_booked_once() -> None:
    site = make_site()
    exam = make_exam(site)
    answers = at_once([lambda: book_exam(exam_id=exam.pk, at=AT, by="user:a")] * 8)
    assert sum(isinstance(a, Booking) for a in answers) == 1
    assert sum(isinstance(a, WrongState) for a in answers) == 7


def test_no_deadlock_reaches_anyone_however_many_book_move_and_cancel_across_rooms() -> None:
    """Row 43: many writers, many rooms, technologists and patients, no order kept between them."""
    site = make_site(rooms=4)
    set_policies(site, booking={"O": BookingWay.ON_ARRIVAL})
    patients = [make_patient(site) for _ in range(6)]
    exams = [make_exam(site, patient=patients[n % 6]) for n in range(18)]
    rooms = [place(0, f"XR{n}").room_id for n in range(1, 5)]

    def writer(seed: int) -> Callable[[], object]:
        chance = random.Random(seed)

        def act() -> None:
            exam: Exam = chance.choice(exams)
            start = AT + timedelta(minutes=5 * chance.randrange(12))
            wanted = Place(chance.choice(rooms), start, start)
            match chance.randrange(7):
                case 0:
                    book_exam(exam_id=exam.pk, at=AT, by="user:a")
                case 1:
                    book_exam(exam_id=exam.pk, at=AT, by="user:a", place=wanted)
                case 2 | 3:
                    move_exam(exam_id=exam.pk, place=wanted, at=AT, by="user:a")
                case 4:
                    cancel_booking(exam_id=exam.pk, at=AT, by="user:a", why="")
                case 5:
                    patient_is_here(site=site, patient_id=exam.patient_id, at=AT, by="link:EHR")
                case _:
                    mark_no_show(exam_id=exam.pk, at=AT + timedelta(hours=2), by="user:a")
                    undo_no_show(exam_id=exam.pk, at=AT + timedelta(hours=2), by="user:a")

        def many() -> int:
            done = 0
            for _ in range(8):
                try:
                    act()
                    done += 1
                except (WrongState, PlaceTaken, PlaceUnfit, NoPlace):
                    continue
            return done

        return many

    done = at_once(writer(seed) for seed in range(8))
    assert all(isinstance(d, int) for d in done)
    assert sum(d for d in done if isinstance(d, int)) > 8
    check_plan()
