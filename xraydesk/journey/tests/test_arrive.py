"""The patient is here: told by a person at the desk, or by the hospital."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.factories import AT, make_booking, make_exam, make_patient, make_site
from xraydesk.access.models import Site
from xraydesk.attention.models import Item
from xraydesk.facts.models import Fact
from xraydesk.imaging.models import PerformedStep
from xraydesk.journey.arrive import arrive, patient_is_here, undo_arrival
from xraydesk.journey.book import book_exam, mark_no_show
from xraydesk.journey.errors import NoPlace, PlaceTaken, WrongState
from xraydesk.journey.tests.test_book import begun, kinds, set_policies
from xraydesk.orders.models import Exam
from xraydesk.orders.states import TriageState
from xraydesk.rooms.models import Room
from xraydesk.scheduling.models import Booking
from xraydesk.scheduling.queries import live_booking
from xraydesk.siteplan.policies import BookingWay

pytestmark = pytest.mark.django_db
LATER = AT + timedelta(minutes=4)


@pytest.fixture
def site() -> Site:
    return make_site()


def arrived(exam: Exam) -> bool:
    booking = live_booking(exam.pk)
    return booking is not None and booking.arrived_at is not None


def test_an_arrival_is_told_once_and_its_first_time_stands(site: Site) -> None:
    exam = make_exam(site)
    book_exam(exam_id=exam.pk, at=AT, by="rule")
    assert arrive(exam_id=exam.pk, at=AT, by="user:a").arrived_at == AT
    assert arrive(exam_id=exam.pk, at=LATER, by="user:b").arrived_at == AT
    assert kinds(exam) == ["booked", "arrived"]


def test_who_comes_without_a_place_gets_the_next_free_one(site: Site) -> None:
    exam = make_exam(site)
    booking = arrive(exam_id=exam.pk, at=AT, by="user:a")
    assert (booking.during.lower, booking.arrived_at) == (AT, AT)
    assert kinds(exam) == ["booked", "arrived"]


def test_who_comes_without_a_place_while_there_is_none_is_told_so(site: Site) -> None:
    Room.objects.update(state="down")
    with pytest.raises(NoPlace):
        arrive(exam_id=make_exam(site).pk, at=AT, by="user:a")


def test_who_comes_after_all_is_no_longer_a_no_show(site: Site) -> None:
    exam = make_exam(site)
    book_exam(exam_id=exam.pk, at=AT, by="rule")
    mark_no_show(exam_id=exam.pk, at=AT, by="user:a")
    assert arrive(exam_id=exam.pk, at=LATER, by="user:a").state == "booked"
    assert kinds(exam) == ["booked", "no-show", "no-show taken back", "arrived"]


def test_who_comes_after_all_and_finds_the_place_gone_is_offered_others(site: Site) -> None:
    exam = make_exam(site)
    book_exam(exam_id=exam.pk, at=AT, by="rule")
    mark_no_show(exam_id=exam.pk, at=AT, by="user:a")
    make_booking(make_exam(site))
    with pytest.raises(PlaceTaken) as caught:
        arrive(exam_id=exam.pk, at=LATER, by="user:a")
    assert caught.value.alternatives
    assert kinds(exam) == ["booked", "no-show"]


def test_a_no_show_whom_the_hospital_registers_is_expected_again_or_asked_about(site: Site) -> None:
    exam = make_exam(site)
    book_exam(exam_id=exam.pk, at=AT, by="rule")
    mark_no_show(exam_id=exam.pk, at=AT, by="user:a")
    (booking,) = patient_is_here(site=site, patient_id=exam.patient_id, at=LATER, by="link:EHR")
    assert (booking.state, booking.arrived_at) == ("booked", LATER)
    assert kinds(exam) == ["booked", "no-show", "no-show taken back", "arrived"]
    gone = make_exam(site)
    make_booking(gone, room="XR2")
    mark_no_show(exam_id=gone.pk, at=AT, by="user:a")
    make_booking(make_exam(site), room="XR2")
    assert patient_is_here(site=site, patient_id=gone.patient_id, at=LATER, by="link:EHR") == []
    (item,) = Item.objects.filter(accession=gone.accession)
    assert "The patient came after all." in item.text
    assert Booking.objects.get(exam=gone).state == "no-show"


def test_an_exam_that_has_begun_or_is_done_expects_nobody(site: Site) -> None:
    exam = make_exam(site)
    begun(exam)
    with pytest.raises(WrongState, match="has begun"):
        arrive(exam_id=exam.pk, at=AT, by="user:a")
    done = make_exam(site)
    make_booking(done, state="done")
    with pytest.raises(WrongState, match="done"):
        arrive(exam_id=done.pk, at=AT, by="user:a")


def test_an_arrival_can_be_taken_back_and_the_place_stays(site: Site) -> None:
    exam = make_exam(site)
    booking = arrive(exam_id=exam.pk, at=AT, by="user:a")
    assert undo_arrival(exam_id=exam.pk, at=LATER, by="user:a") == booking
    assert not arrived(exam)
    assert kinds(exam)[-1] == "arrival taken back"
    with pytest.raises(WrongState, match="has not arrived"):
        undo_arrival(exam_id=exam.pk, at=LATER, by="user:a")


def test_an_arrival_is_not_taken_back_once_the_exam_has_begun(site: Site) -> None:
    exam = make_exam(site)
    arrive(exam_id=exam.pk, at=AT, by="user:a")
    begun(exam)
    with pytest.raises(WrongState, match="has begun"):
        undo_arrival(exam_id=exam.pk, at=LATER, by="user:a")


def test_all_of_todays_exams_of_a_patient_arrive_and_only_those(site: Site) -> None:
    patient = make_patient(site)
    today, later_today, tomorrow, started, held, stranger, missed = (
        make_exam(site, patient=patient) for _ in range(7)
    )
    make_booking(today)
    make_booking(later_today, start=AT + timedelta(hours=13, minutes=40))
    make_booking(tomorrow, start=AT + timedelta(hours=14))
    make_booking(started, start=AT + timedelta(minutes=20))
    begun(started)
    make_booking(held, start=AT + timedelta(minutes=40))
    Exam.objects.filter(pk=held.pk).update(triage=TriageState.HELD)
    Exam.objects.filter(pk=stranger.pk).update(patient=make_patient(site))
    stranger.refresh_from_db()
    make_booking(stranger, room="XR2")
    make_booking(missed, start=AT + timedelta(minutes=60), state="no-show")
    for _ in range(2):
        found = patient_is_here(site=site, patient_id=patient.pk, at=AT, by="link:EHR")
        assert [b.exam_id for b in found] == [today.pk, later_today.pk, missed.pk]
    assert [arrived(e) for e in (today, later_today, missed)] == [True, True, True]
    assert not any(arrived(e) for e in (tomorrow, started, held, stranger))
    assert Fact.objects.filter(kind="arrived").count() == 3


def test_exams_that_waited_for_their_patient_are_booked_one_after_the_other(site: Site) -> None:
    set_policies(site, booking={"O": BookingWay.ON_ARRIVAL})
    patient = make_patient(site)
    first, second = make_exam(site, patient=patient), make_exam(site, patient=patient)
    next_week = make_exam(site, patient=patient, requested_at=AT + timedelta(days=7))
    found = patient_is_here(site=site, patient_id=patient.pk, at=AT, by="link:EHR")
    assert [b.exam_id for b in found] == [first.pk, second.pk]
    assert found[1].during.lower >= found[0].during.upper
    assert arrived(first)
    assert arrived(second)
    assert live_booking(next_week.pk) is None


def test_exams_that_the_site_does_not_book_on_arrival_are_left_to_their_own_way(site: Site) -> None:
    exam = make_exam(site)
    assert patient_is_here(site=site, patient_id=exam.patient_id, at=AT, by="link:EHR") == []
    assert live_booking(exam.pk) is None


def test_a_patient_who_is_here_and_finds_no_place_is_put_before_a_person(site: Site) -> None:
    set_policies(site, booking={"O": BookingWay.ON_ARRIVAL})
    Room.objects.update(state="down")
    exam = make_exam(site)
    assert patient_is_here(site=site, patient_id=exam.patient_id, at=AT, by="link:EHR") == []
    assert Item.objects.get().text.startswith("The patient is here.")


def test_an_exam_booked_for_another_day_on_arrival_is_not_called_arrived(site: Site) -> None:
    set_policies(site, booking={"O": BookingWay.ON_ARRIVAL})
    Room.objects.update(hours={"wed": [["08:00", "12:00"]]})
    exam = make_exam(site)
    (booking,) = patient_is_here(site=site, patient_id=exam.patient_id, at=AT, by="link:EHR")
    assert booking.arrived_at is None


def test_begun_steps_that_were_voided_do_not_count(site: Site) -> None:
    exam = make_exam(site)
    step = begun(exam)
    step.stepexam_set.update(voided=True)
    assert arrive(exam_id=exam.pk, at=AT, by="user:a").arrived_at == AT
    assert PerformedStep.objects.count() == 1
    assert Booking.objects.count() == 1
