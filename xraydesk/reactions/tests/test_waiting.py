"""Exams without a place are tried again when a room or a place is free."""

from __future__ import annotations

import pytest
from django.db import connection, transaction

from tests.factories import ALL_DAY, make_exam, make_site
from xraydesk.facts.models import Fact
from xraydesk.journey.book import book_by_policy
from xraydesk.journey.room_state import set_room_down, set_room_ready
from xraydesk.lib import clock
from xraydesk.reactions import jobs
from xraydesk.reactions.run import react_to
from xraydesk.rooms.models import Room
from xraydesk.scheduling.queries import live_booking

pytestmark = pytest.mark.django_db


def jobs_to_book() -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (args->>'exam_id')::bigint FROM procrastinate_jobs WHERE task_name = 'book' ORDER BY id"
        )
        return [row[0] for row in cursor.fetchall()]


def test_a_room_that_is_ready_again_takes_those_that_waited_the_most_urgent_first() -> None:
    site = make_site(rooms=1)
    room = Room.objects.get(site=site)
    now = clock.now()
    set_room_down(room_id=room.pk, at=now, by="user:a", reason="detector fault")
    routine, stat = make_exam(site), make_exam(site, priority="stat")
    for exam in (routine, stat):
        assert book_by_policy(exam_id=exam.pk, at=now) is None
    set_room_ready(room_id=room.pk, at=now, by="user:a")
    react_to(Fact.objects.get(kind="room ready").id)
    assert jobs_to_book() == [stat.pk, routine.pk]
    for exam_id in jobs_to_book():
        with transaction.atomic():
            jobs.book.func(exam_id)
    first, second = live_booking(stat.pk), live_booking(routine.pk)
    assert first is not None
    assert second is not None
    assert first.during.upper <= second.during.lower


def test_where_there_is_still_no_place_the_exam_goes_on_waiting() -> None:
    site = make_site(rooms=1)
    Room.objects.update(hours={})
    exam = make_exam(site)
    book_by_policy(exam_id=exam.pk, at=clock.now())
    jobs.book.func(exam.pk)
    assert live_booking(exam.pk) is None
    Room.objects.update(hours=ALL_DAY)
    jobs.book.func(exam.pk)
    assert live_booking(exam.pk) is not None
