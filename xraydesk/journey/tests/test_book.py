"""Exams get their place, are moved and lose it, and whoever is late is told politely."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.factories import AT, make_exam, make_site
from xraydesk.access.models import Site
from xraydesk.attention.models import Item
from xraydesk.facts.models import Fact
from xraydesk.journey.book import book_by_policy, book_exam
from xraydesk.orders.models import Exam

pytestmark = pytest.mark.django_db


@pytest.fixture
def site() -> Site:
    return make_site()


def kinds(exam: Exam) -> list[str]:
    return list(Fact.objects.filter(accession=exam.accession).order_by("id").values_list("kind", flat=True))


def test_an_exam_without_a_wish_gets_the_first_free_place(site: Site) -> None:
    exam = make_exam(site)
    booking = book_exam(exam_id=exam.pk, at=AT, by="user:a")
    assert booking.during.lower == AT
    assert booking.room.code == "XR1"
    assert booking.why[0] == "XR1 is free at 10:00 and Technologist 1 is there"
    assert not booking.time_was_given
    assert kinds(exam) == ["booked"]


def test_an_accepted_exam_is_booked_at_its_requested_time(site: Site) -> None:
    exam = make_exam(site, requested_at=AT + timedelta(hours=1))
    booking = book_by_policy(exam_id=exam.pk, at=AT)
    assert booking is not None
    assert booking.during.lower == AT + timedelta(hours=1)
    assert booking.time_was_given
    assert book_by_policy(exam_id=exam.pk, at=AT) is None
    assert not Item.objects.exists()
