"""What follows from an order that comes, changes or ends: triage, a place, and the freed place for others."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from django.db import connection

from tests.factories import AT, make_booking, make_exam, make_site
from xraydesk.access.models import Site
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.journey.receive import receive_order
from xraydesk.journey.triage import cancel_exam
from xraydesk.lib import clock
from xraydesk.orders.models import Exam
from xraydesk.orders.requisition import RequestedExam, Requisition
from xraydesk.orders.states import TriageState
from xraydesk.patients.demographics import Demographics, Identifier, Name
from xraydesk.reactions.run import react_to
from xraydesk.scheduling.models import Booking
from xraydesk.scheduling.states import BookingState
from xraydesk.siteplan.link_plan import OrderControl

pytestmark = pytest.mark.django_db

NEW = Requisition(
    control=OrderControl.NEW,
    patient=Demographics(
        (Identifier("N1", "HOSP", "MR"),), name=Name("Prüfer", "Ada"), birth_date=date(1969, 5, 12), sex="F"
    ),
    placer="P1",
    placer_authority="EHR",
    exams=(RequestedExam("XRCHEST2", "Chest 2 views", "L", reason="cough"),),
    provider_name="Dr Order",
)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(clock, "now", lambda: AT)
    return make_site()


def receive(site: Site, requisition: Requisition = NEW) -> Exam:
    return receive_order(site=site, requisition=requisition, link="EHR", at=AT, by="link:EHR").exams[0]


_reacted: set[int] = set()
"""The facts of every test that were reacted to: a number is never given twice, whatever was undone."""


def react_to_all(*, again: bool = False) -> None:
    """Run what follows from every new fact, and from the facts that this makes, as the worker does.

    With `again` those of before come a second time too, as the worker may take a job that it did not finish.
    """
    done: set[int] = set() if again else _reacted
    while waiting := set(_jobs("react", "fact_id")) - done:
        for fact_id in sorted(waiting):
            react_to(fact_id)
            _reacted.add(fact_id)
        done |= waiting


def _jobs(task: str, argument: str) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (args->>%s)::bigint FROM procrastinate_jobs WHERE task_name = %s ORDER BY id",
            [argument, task],
        )
        return [row[0] for row in cursor.fetchall()]


def places(exam: Exam) -> list[str]:
    return list(Booking.objects.filter(exam=exam).order_by("id").values_list("state", flat=True))


def test_a_complete_order_is_accepted_and_booked_without_a_person(site: Site) -> None:
    exam = receive(site)
    react_to_all()
    exam.refresh_from_db()
    assert exam.triage == TriageState.ACCEPTED
    assert places(exam) == [BookingState.BOOKED]


def test_reacting_again_to_everything_changes_nothing(site: Site) -> None:
    exam = receive(site)
    react_to_all()
    before = Fact.objects.count()
    react_to_all(again=True)
    assert Fact.objects.count() == before
    assert places(exam) == [BookingState.BOOKED]


def test_a_changed_time_is_booked_anew_at_that_time(site: Site) -> None:
    exam = receive(site)
    react_to_all()
    wish = AT + timedelta(hours=3)
    later = (replace(NEW.exams[0], requested_at=wish),)
    receive(site, replace(NEW, control=OrderControl.CHANGE, exams=later))
    react_to_all()
    assert places(exam) == [BookingState.RELEASED, BookingState.BOOKED]
    assert Booking.objects.get(exam=exam, state=BookingState.BOOKED).during.lower == wish


def test_a_changed_side_that_fits_is_accepted_in_its_old_place(site: Site) -> None:
    knee = RequestedExam("XRKNEE2", "Knee", "L", laterality="L", reason="fall")
    exam = receive(site, replace(NEW, exams=(knee,)))
    react_to_all()
    receive(site, replace(NEW, control=OrderControl.CHANGE, exams=(replace(knee, laterality="R"),)))
    react_to_all()
    exam.refresh_from_db()
    assert (exam.laterality, exam.triage) == ("R", TriageState.ACCEPTED)
    assert places(exam) == [BookingState.BOOKED]


def test_a_released_order_is_triaged_and_keeps_its_place(site: Site) -> None:
    exam = receive(site)
    react_to_all()
    receive(site, replace(NEW, control=OrderControl.HOLD))
    react_to_all()
    exam.refresh_from_db()
    assert exam.triage == TriageState.HELD
    receive(site, replace(NEW, control=OrderControl.RELEASE))
    react_to_all()
    exam.refresh_from_db()
    assert exam.triage == TriageState.ACCEPTED
    assert places(exam) == [BookingState.BOOKED]


def test_the_place_of_a_cancelled_exam_is_offered_to_those_that_wait(site: Site) -> None:
    from xraydesk.journey.book import ask_for_place

    exam, waits, never_placed = make_exam(site), make_exam(site), make_exam(site)
    make_booking(exam)
    ask_for_place(waits, why="No free place.", at=AT)
    for one in (exam, never_placed):
        cancel_exam(exam_id=one.pk, at=AT, by="user:ann", why="?")
    react_to(Fact.objects.get(kind=FactKind.EXAM_CANCELLED, accession=never_placed.accession).pk)
    assert _jobs("book", "exam_id") == []
    react_to(Fact.objects.get(kind=FactKind.EXAM_CANCELLED, accession=exam.accession).pk)
    assert _jobs("book", "exam_id") == [waits.pk]
