"""The one view of an exam that everybody reads through."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from django.db.models import QuerySet

from tests.factories import AT, make_booking, make_exam, make_site
from xraydesk.imaging.models import PerformedStep, StepExam
from xraydesk.imaging.states import StepState
from xraydesk.journey import exam_view
from xraydesk.journey.stage import Stage
from xraydesk.lib.ids import new_uid
from xraydesk.orders.models import Exam
from xraydesk.orders.states import TriageState
from xraydesk.rooms.models import Room

pytestmark = pytest.mark.django_db
DAY = date(2026, 3, 2)


def all_exams() -> QuerySet[Exam]:
    return Exam.objects.order_by("id")


def test_a_booked_exam_shows_room_times_and_ae_title() -> None:
    site = make_site()
    exam = make_exam(site)
    make_booking(exam, room="XR2")
    [view] = exam_view.views_of(all_exams(), site=site)
    told = exam_view.as_json(view, zone=site.timezone)
    assert view.stage is Stage.SCHEDULED
    assert (told["room"], told["ae_title"]) == ("XR2", "XR2")
    assert told["start"] == "2026-03-02T10:00:00-05:00"
    assert told["patient_name"] == "Prüfer^Ada"
    assert told["why"] is None


def test_an_exam_performed_in_another_room_shows_that_room() -> None:
    site = make_site()
    exam = make_exam(site)
    make_booking(exam, room="XR1")
    step = PerformedStep.objects.create(
        site=site,
        sop_instance_uid=new_uid(),
        room=Room.objects.get(code="XR2"),
        ae_title="XR2",
        by="modality:XR2",
        started_at=AT,
        state=StepState.IN_PROGRESS,
    )
    StepExam.objects.create(step=step, exam=exam)
    view = exam_view.find(site=site, accession=exam.accession)
    assert view is not None
    assert (view.stage, view.room, view.ae_title) == (Stage.BEGUN, "XR2", "XR2")


def test_a_step_that_belonged_to_another_exam_counts_for_nothing() -> None:
    site = make_site()
    exam = make_exam(site)
    make_booking(exam)
    step = PerformedStep.objects.create(
        site=site,
        sop_instance_uid=new_uid(),
        by="modality:XR1",
        started_at=AT,
        ended_at=AT,
        state=StepState.DISCONTINUED,
    )
    StepExam.objects.create(step=step, exam=exam, voided=True)
    view = exam_view.find(site=site, accession=exam.accession)
    assert view is not None
    assert view.stage is Stage.SCHEDULED


def test_a_held_exam_says_why() -> None:
    site = make_site()
    exam = make_exam(
        site, triage=TriageState.HELD, findings=[{"level": "ask", "sentence": "The side is missing."}]
    )
    view = exam_view.find(site=site, accession=exam.accession)
    assert view is not None
    assert view.why == "The side is missing."


def test_a_day_holds_what_is_booked_or_wished_or_ordered_on_it() -> None:
    site = make_site()
    booked, wished, ordered, other_day = (make_exam(site) for _ in range(4))
    make_booking(booked)
    Exam.objects.filter(pk=booked.pk).update(created_at=AT - timedelta(days=3))
    Exam.objects.filter(pk=wished.pk).update(requested_at=AT, created_at=AT - timedelta(days=3))
    Exam.objects.filter(pk=other_day.pk).update(requested_at=AT + timedelta(days=1))
    found = {exam.pk for exam in exam_view.of_day(site=site, day=DAY)}
    assert found == {booked.pk, wished.pk, ordered.pk}


def test_the_last_minute_of_a_local_day_belongs_to_it() -> None:
    site = make_site()
    exam = make_exam(site)
    make_booking(exam, start=AT + timedelta(hours=13, minutes=50))
    Exam.objects.update(created_at=AT - timedelta(days=9))
    assert exam_view.of_day(site=site, day=DAY).count() == 1
    assert exam_view.of_day(site=site, day=date(2026, 3, 3)).count() == 0


def test_another_site_sees_nothing() -> None:
    site, other = make_site(), make_site("OTHER")
    exam = make_exam(site)
    assert exam_view.find(site=other, accession=exam.accession) is None


def test_the_number_of_queries_does_not_grow_with_exams(django_assert_max_num_queries: Any) -> None:
    site = make_site()
    for number in range(20):
        make_booking(make_exam(site), start=AT + timedelta(minutes=10 * number))
    with django_assert_max_num_queries(7):
        views = exam_view.views_of(all_exams(), site=site)
        assert all(view.patient_number and view.room for view in views)
    assert len(views) == 20
