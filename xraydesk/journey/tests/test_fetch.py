"""Patients are fetched for their exam and taken back, whatever happens to booking, bed and porter meanwhile."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from tests.factories import AT, load_demo_site, make_booking, make_exam
from xraydesk.attention.models import Item
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.imaging.states import StepState
from xraydesk.journey import book, fetch
from xraydesk.journey.errors import WrongState
from xraydesk.journey.tests.performing import begun, told
from xraydesk.orders.models import Exam
from xraydesk.patients.models import Visit
from xraydesk.reactions.table import REACTIONS
from xraydesk.scheduling.models import Booking
from xraydesk.staff.models import Porter
from xraydesk.transport.models import TransportJob
from xraydesk.transport.states import JobKind, JobState

pytestmark = pytest.mark.django_db


def minutes(count: int) -> timedelta:
    return timedelta(minutes=count)


def inpatient(**fields: Any) -> Exam:
    exam = make_exam(load_demo_site(), **fields)
    order = exam.order
    order.patient_class, order.ward, order.bed, order.transport = "I", "W3", "12", "CART"
    order.save()
    return exam


@pytest.fixture
def exam() -> Exam:
    exam = inpatient()
    make_booking(exam, room="XR2", start=AT + minutes(30))
    fetch.plan_transport(exam_id=exam.pk, at=AT)
    return exam


def job_of(exam: Exam, kind: JobKind = JobKind.FETCH) -> TransportJob:
    return TransportJob.objects.filter(exam=exam, kind=kind).order_by("-id")[0]


def porter(code: str = "P1") -> Porter:
    return Porter.objects.get(code=code)


def press(what: Any, job: TransportJob, who: str = "P1", **more: Any) -> TransportJob:
    made: TransportJob = what(job_id=job.pk, porter=porter(who), at=AT, by="user:porter", **more)
    return made


def kinds(exam: Exam) -> list[str]:
    return list(
        Fact.objects.filter(accession=exam.accession, data__has_key="job")
        .order_by("id")
        .values_list("kind", flat=True)
    )


def test_a_booked_inpatient_is_fetched_from_the_bed_to_the_room(exam: Exam) -> None:
    job = job_of(exam)
    assert (job.from_place, job.to_place, job.mode) == ("Ward 3, Medicine, bed 12", "XR2", "bed")
    assert (job.due_at, job.minutes, job.state) == (AT + minutes(25), 6, JobState.WAITING)
    fetch.plan_transport(exam_id=exam.pk, at=AT)
    assert TransportJob.objects.count() == 1
    fetch.plan_transport(exam_id=0, at=AT)


def test_an_outpatient_and_a_portable_need_no_porter() -> None:
    exam = make_exam(load_demo_site())
    make_booking(exam, room="XR2", start=AT)
    fetch.plan_transport(exam_id=exam.pk, at=AT)
    lying = make_exam(exam.site)
    order = lying.order
    order.patient_class, order.ward = "I", "W3"
    order.save()
    make_booking(lying, room="M1", start=AT)
    fetch.plan_transport(exam_id=lying.pk, at=AT)
    assert not TransportJob.objects.exists()


def test_a_porter_takes_it_picks_up_and_delivers_and_the_patient_has_arrived(exam: Exam) -> None:
    press(fetch.accept_job, job_of(exam))
    press(fetch.pick_up, job_of(exam))
    press(fetch.deliver, job_of(exam))
    job = job_of(exam)
    assert (job.state, job.porter and job.porter.code, job.picked_up_at, job.ended_at) == (
        JobState.DELIVERED,
        "P1",
        AT,
        AT,
    )
    assert Booking.objects.get(exam=exam).arrived_at == AT
    assert kinds(exam) == [
        FactKind.TRANSPORT_ASKED,
        FactKind.TRANSPORT_ACCEPTED,
        FactKind.PATIENT_PICKED_UP,
        FactKind.PATIENT_DELIVERED,
    ]
    fetch.plan_transport(exam_id=exam.pk, at=AT)
    assert TransportJob.objects.count() == 1


def test_after_the_exam_the_patient_is_taken_back(exam: Exam) -> None:
    uid = begun(exam.site, exam)
    fetch.plan_transport(exam_id=exam.pk, at=AT)
    assert (job_of(exam).state, job_of(exam).why) == (JobState.CANCELLED, "the patient is here")
    told(exam.site, uid, StepState.COMPLETED)
    fetch.plan_transport(exam_id=exam.pk, at=AT + minutes(9))
    back = job_of(exam, JobKind.RETURN)
    assert (back.to_place, back.due_at) == ("Ward 3, Medicine, bed 12", AT + minutes(15))
    fetch.plan_transport(exam_id=exam.pk, at=AT + minutes(12))
    assert job_of(exam, JobKind.RETURN).due_at == AT + minutes(15)
    for what in (fetch.accept_job, fetch.pick_up, fetch.deliver):
        press(what, back)
    fetch.plan_transport(exam_id=exam.pk, at=AT + minutes(20))
    assert TransportJob.objects.filter(kind=JobKind.RETURN).count() == 1


def test_who_moves_to_another_bed_is_fetched_there_and_a_moved_exam_is_due_at_its_new_time(
    exam: Exam,
) -> None:
    Visit.objects.create(
        site=exam.site, patient=exam.patient, number="V", patient_class="I", ward="W4", bed="3", changed_at=AT
    )
    fetch.plan_of_patient(site_id=exam.site_id, patient_id=exam.patient_id, at=AT)
    job = job_of(exam)
    assert (job.from_place, job.minutes) == ("Ward 4, Heart, bed 3", 8)
    Booking.objects.filter(exam=exam).update(during=(AT + minutes(60), AT + minutes(70)))
    fetch.plan_transport(exam_id=exam.pk, at=AT)
    assert job_of(exam).due_at == AT + minutes(55)
    press(fetch.accept_job, job)
    press(fetch.pick_up, job)
    Booking.objects.filter(exam=exam).update(during=(AT + minutes(80), AT + minutes(90)))
    fetch.plan_transport(exam_id=exam.pk, at=AT)
    assert (job_of(exam).due_at, job_of(exam).from_place) == (AT + minutes(75), "Ward 4, Heart, bed 3")
    assert kinds(exam).count(FactKind.TRANSPORT_CHANGED) == 3


def test_an_exam_that_falls_away_needs_nobody_but_a_patient_on_the_way_is_brought(exam: Exam) -> None:
    book.cancel_booking(exam_id=exam.pk, at=AT, by="user:ada", why="asked")
    fetch.plan_transport(exam_id=exam.pk, at=AT)
    assert job_of(exam).state == JobState.CANCELLED
    make_booking(exam, room="XR2", start=AT + minutes(50))
    fetch.plan_transport(exam_id=exam.pk, at=AT)
    job = job_of(exam)
    press(fetch.accept_job, job)
    press(fetch.pick_up, job)
    book.cancel_booking(exam_id=exam.pk, at=AT, by="user:ada", why="asked")
    fetch.plan_transport(exam_id=exam.pk, at=AT)
    assert job_of(exam).state == JobState.PICKED_UP
    Exam.objects.filter(pk=exam.pk).update(triage="cancelled")
    press(fetch.deliver, job)
    assert job_of(exam).state == JobState.DELIVERED


def test_what_cannot_be_done_is_told_to_the_desk_which_asks_again_or_cancels(exam: Exam) -> None:
    job = job_of(exam)
    press(fetch.accept_job, job)
    with pytest.raises(WrongState, match="Say in a word"):
        press(fetch.cannot, job, why=" ")
    press(fetch.cannot, job, why="needs a nurse")
    item = Item.objects.get(closed_at=None)
    assert "needs a nurse" in item.text
    fetch.plan_transport(exam_id=exam.pk, at=AT)
    assert TransportJob.objects.count() == 1
    fetch.ask_again(job_id=job.pk, at=AT, by="user:ada")
    job.refresh_from_db()
    assert (job.state, job.porter) == (JobState.WAITING, None)
    assert not Item.objects.filter(closed_at=None).exists()
    fetch.cancel_job(job_id=job.pk, at=AT, by="user:ada")
    with pytest.raises(WrongState, match="cancelled"):
        fetch.cancel_job(job_id=job.pk, at=AT, by="user:ada")


def test_a_job_is_its_porters_and_each_has_one_at_a_time(exam: Exam) -> None:
    job = job_of(exam)
    press(fetch.accept_job, job)
    with pytest.raises(WrongState, match="first"):
        press(fetch.accept_job, job, "P2")
    with pytest.raises(WrongState, match="Webb has this job"):
        press(fetch.pick_up, job, "P2")
    other = make_exam(exam.site)
    order = other.order
    order.patient_class, order.ward = "I", "W2"
    order.save()
    make_booking(other, room="XR3", start=AT + minutes(40))
    fetch.plan_transport(exam_id=other.pk, at=AT)
    with pytest.raises(WrongState, match="have a job already"):
        press(fetch.accept_job, job_of(other))
    press(fetch.hand_back_job, job)
    assert job_of(exam).porter is None
    press(fetch.accept_job, job_of(other))
    with pytest.raises(fetch.UnknownJob):
        fetch.pick_up(job_id=0, porter=porter(), at=AT, by="x")


def test_a_fetch_that_cannot_be_in_time_is_put_before_a_person_until_the_patient_is_on_the_way(
    exam: Exam,
) -> None:
    assert fetch.flag_late_fetches(site=exam.site, at=AT + minutes(19)) == 0
    assert fetch.flag_late_fetches(site=exam.site, at=AT + minutes(20)) == 1
    assert "no porter has taken it" in Item.objects.get(closed_at=None).text
    press(fetch.accept_job, job_of(exam))
    fetch.flag_late_fetches(site=exam.site, at=AT + minutes(21))
    assert Item.objects.filter(closed_at=None).count() == 1
    press(fetch.pick_up, job_of(exam))
    assert not Item.objects.filter(closed_at=None).exists()


def test_whatever_happens_to_a_place_a_bed_or_a_step_leads_to_the_porters() -> None:
    kinds_that_lead = {
        kind
        for kind, what in REACTIONS.items()
        if {r.__name__ for r in what} & {"plan_porter", "plan_porters_of_patient"}
    }
    assert kinds_that_lead >= {
        FactKind.EXAM_BOOKED,
        FactKind.EXAM_MOVED,
        FactKind.BOOKING_RELEASED,
        FactKind.PATIENT_MOVED,
        FactKind.EXAM_ENDED,
        FactKind.NO_SHOW,
    }


@pytest.mark.django_db(transaction=True)
def test_of_several_porters_after_one_job_one_has_it_and_the_others_are_told_politely() -> None:
    exam = inpatient()
    make_booking(exam, room="XR2", start=AT + minutes(30))
    fetch.plan_transport(exam_id=exam.pk, at=AT)
    job = job_of(exam)
    outcomes: list[str] = []

    def take(who: str) -> None:
        try:
            press(fetch.accept_job, job, who)
            outcomes.append("has it")
        except WrongState as why:
            outcomes.append(str(why))
        finally:
            connection.close()

    people = [threading.Thread(target=take, args=(code,)) for code in ("P1", "P2", "P3")]
    for one in people:
        one.start()
    for one in people:
        one.join()
    assert sorted(o == "has it" for o in outcomes) == [False, False, True]
    assert all("Somebody may have been first" in o for o in outcomes if o != "has it")
