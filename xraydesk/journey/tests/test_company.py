"""An interpreter and an escort follow the exam wherever it is moved; where nobody is free, a person is asked."""

from __future__ import annotations

from typing import Any

import pytest

from tests.factories import ALL_DAY, AT, make_exam, make_patient, make_site
from xraydesk.access.models import Site
from xraydesk.attention.models import Item
from xraydesk.facts.kinds import FactKind
from xraydesk.journey.ahead import book
from xraydesk.journey.book import book_exam, cancel_booking, move_exam
from xraydesk.journey.company import keep_company
from xraydesk.journey.tests.test_ahead import company, held, place, with_policies
from xraydesk.orders.models import Exam, Procedure
from xraydesk.reactions.table import REACTIONS, plan_company
from xraydesk.scheduling.models import Attendance
from xraydesk.staff.models import Companion

pytestmark = pytest.mark.django_db


@pytest.fixture
def site() -> Site:
    site = with_policies(make_site(), languages=("en",))
    Companion.objects.create(
        site=site, code="IS", name="Ibarra", kind="interpreter", languages=["es"], shifts=ALL_DAY
    )
    Companion.objects.create(site=site, code="E1", name="Lund", kind="escort", shifts=ALL_DAY)
    return site


def spanish(site: Site, **fields: Any) -> Exam:
    return make_exam(site, **({"patient": make_patient(site, language="ES")} | fields))


def placed(exam: Exam, minute: int = 60, room: str = "XR1") -> None:
    book_exam(exam_id=exam.pk, at=AT, by="user:a", place=place(minute, room))
    keep_company(exam_id=exam.pk, at=AT)


def asked(exam: Exam) -> list[str]:
    return list(Item.objects.filter(accession=exam.accession, closed_at=None).values_list("text", flat=True))


def test_whoever_needs_an_interpreter_has_one_however_the_place_was_found(site: Site) -> None:
    exam, plain = spanish(site), make_exam(site)
    placed(exam)
    placed(plain, room="XR2")
    assert company(exam) == {"interpreter": ("IS", 60, 70)}
    assert company(plain) == {}
    move_exam(exam_id=exam.pk, place=place(120), at=AT, by="user:a")
    assert company(exam) == {}
    keep_company(exam_id=exam.pk, at=AT)
    keep_company(exam_id=exam.pk, at=AT)
    assert company(exam) == {"interpreter": ("IS", 120, 130)}
    assert asked(exam) == []


def test_where_nobody_is_free_a_person_is_asked_until_somebody_is(site: Site) -> None:
    Procedure.objects.update(escort=True, preparation_minutes=10)
    first, second = spanish(site), spanish(site)
    placed(first)
    placed(second, room="XR2")
    assert company(second) == {}
    (text,) = asked(second)
    assert "interprets es" in text
    assert "from 10 minutes before" in text
    move_exam(exam_id=second.pk, place=place(120, "XR2"), at=AT, by="user:a")
    keep_company(exam_id=second.pk, at=AT)
    assert asked(second) == []
    assert set(company(second)) == {"interpreter", "escort"}


def test_an_exam_that_gives_up_its_place_asks_for_nobody(site: Site) -> None:
    first, second = spanish(site), spanish(site)
    placed(first)
    placed(second, room="XR2")
    cancel_booking(exam_id=second.pk, at=AT, by="user:a", why="")
    keep_company(exam_id=second.pk, at=AT)
    assert asked(second) == []
    keep_company(exam_id=10**9, at=AT)


def test_one_interpreter_stays_for_a_whole_visit(site: Site) -> None:
    first = spanish(site)
    second = spanish(site, patient=first.patient, code="XRKNEE2")
    kept = held(site, first, second)
    book(site=site, hold_id=kept.pk, at=AT, by="user:a")
    for exam in (first, second):
        keep_company(exam_id=exam.pk, at=AT)
        assert asked(exam) == []
    assert Attendance.objects.filter(live=True).count() == 1
    move_exam(exam_id=second.pk, place=place(90), at=AT, by="user:a")
    keep_company(exam_id=second.pk, at=AT)
    assert company(second) == {"interpreter": ("IS", 90, 100)}


def test_somebody_who_is_held_is_not_kept_twice_until_the_hold_has_run_out(site: Site) -> None:
    kept = held(site, spanish(site))
    exam = spanish(site)
    placed(exam, room="XR2")
    assert (company(exam), len(asked(exam))) == ({}, 1)
    keep_company(exam_id=exam.pk, at=kept.until)
    assert (company(exam), asked(exam)) == ({"interpreter": ("IS", 60, 70)}, [])


def test_the_company_follows_by_itself() -> None:
    for kind in (
        FactKind.EXAM_BOOKED,
        FactKind.EXAM_MOVED,
        FactKind.NO_SHOW_UNDONE,
        FactKind.BOOKING_RELEASED,
    ):
        assert plan_company in REACTIONS[kind]
