"""The exam is done: told by a machine, pressed by hand, and both."""

from __future__ import annotations

import threading

import pytest
from django.db import connection

from tests.factories import AT, make_booking, make_exam, make_patient, make_site
from xraydesk.attention.models import Item
from xraydesk.dose.queries import dose_of_exam
from xraydesk.imaging.header import ScheduledReference
from xraydesk.imaging.models import PerformedStep, StepExam
from xraydesk.imaging.states import StepState
from xraydesk.journey import check, perform
from xraydesk.journey.ahead import Wish, book, hold
from xraydesk.journey.errors import (
    ChecksMissing,
    DuplicateStep,
    PlaceTaken,
    Refused,
    StepIsFinal,
    UnknownExam,
    UnknownStep,
    WrongState,
)
from xraydesk.journey.tests.performing import (
    begun,
    facts,
    header,
    minutes,
    open_items,
    received,
    stage,
    step_report,
    told,
)
from xraydesk.orders.models import Exam, Order
from xraydesk.orders.states import TriageState
from xraydesk.rooms.models import Room
from xraydesk.safety.checks import CheckKind
from xraydesk.scheduling.engine.place import Place
from xraydesk.scheduling.models import Booking
from xraydesk.scheduling.states import BookingState

pytestmark = pytest.mark.django_db

COMPLETED, DISCONTINUED = StepState.COMPLETED, StepState.DISCONTINUED


def checked(exam: Exam) -> None:
    for kind, answer in ((CheckKind.IDENTITY, "confirmed"), (CheckKind.SIDE, exam.laterality or "R")):
        check.record_check(
            exam_id=exam.pk, kind=kind, answer=answer, method="asked", note="", at=AT, by="user:tech"
        )


def room(site, code: str) -> Room:
    return Room.objects.get(site=site, code=code)


def test_a_step_begins_every_exam_that_it_references_and_ends_them() -> None:
    site = make_site()
    patient = make_patient(site)
    one, two = make_exam(site, patient=patient), make_exam(site, patient=patient)
    make_booking(one)
    make_booking(two, start=AT + minutes(10))
    uid = begun(site, one, two)
    assert [stage(one), stage(two)] == ["begun", "begun"]
    told(site, uid, None)
    told(site, uid, COMPLETED, at=AT + minutes(9))
    assert [stage(one), stage(two)] == ["ended", "ended"]
    assert set(Booking.objects.values_list("state", flat=True)) == {BookingState.DONE}
    assert facts(one) == ["arrived", "begun", "ended"]


def test_a_step_of_a_patient_who_has_arrived_does_not_tell_it_again() -> None:
    site = make_site()
    exam = make_exam(site)
    make_booking(exam, arrived_at=AT)
    begun(site, exam)
    assert facts(exam) == ["begun"]


def test_a_second_creation_an_unknown_step_and_a_change_after_the_end_are_refused() -> None:
    """Row 35: 0111H, 0112H and 0110H with A710H are told apart by class."""
    site = make_site()
    exam = make_exam(site)
    report = step_report(exam)
    perform.begin_by_step(site=site, report=report, at=AT, by="modality:XR1")
    with pytest.raises(DuplicateStep):
        perform.begin_by_step(site=site, report=report, at=AT, by="modality:XR1")
    with pytest.raises(UnknownStep):
        told(site, "1.2.3", COMPLETED)
    told(site, report.sop_instance_uid, COMPLETED)
    with pytest.raises(StepIsFinal):
        told(site, report.sop_instance_uid, COMPLETED)
    with pytest.raises(StepIsFinal):
        told(site, report.sop_instance_uid, None)


def test_performed_in_another_room_the_exam_moves_there_and_its_slot_is_free() -> None:
    site = make_site()
    exam = make_exam(site)
    make_booking(exam, room="XR1")
    begun(site, exam, ae_title="XR2")
    booking = Booking.objects.get(state=BookingState.BOOKED)
    assert booking.room.code == "XR2"
    assert Booking.objects.get(room__code="XR1").state == BookingState.RELEASED
    assert facts(exam) == ["taken to another room", "arrived", "begun"]
    make_booking(make_exam(site), room="XR1")


def test_an_exam_without_a_place_and_a_machine_nobody_knows_begin_all_the_same() -> None:
    site = make_site()
    exam, other = make_exam(site), make_exam(site)
    make_booking(other)
    begun(site, exam)
    begun(site, other, ae_title="STRANGE")
    assert [stage(exam), stage(other)] == ["begun", "begun"]
    assert Booking.objects.get().state == BookingState.BOOKED


def test_a_no_show_who_came_after_all_begins_in_the_old_place_or_in_none() -> None:
    site = make_site()
    exam, late = make_exam(site), make_exam(site)
    make_booking(exam, state=BookingState.NO_SHOW)
    begun(site, exam)
    assert Booking.objects.get().state == BookingState.BOOKED
    make_booking(late, state=BookingState.NO_SHOW)
    begun(site, late)
    assert Booking.objects.get(exam=late).state == BookingState.RELEASED
    assert "no-show taken back" in facts(late)


def test_a_held_time_is_not_booked_any_more_once_the_exam_has_begun() -> None:
    site = make_site()
    exam = make_exam(site)
    room = Room.objects.get(code="XR2")
    wish = Wish(exam_ids=(exam.pk,))
    held = hold(site=site, wish=wish, places=[Place(room.pk, AT, AT)], at=AT, by="user:a")
    begun(site, exam)
    with pytest.raises(WrongState, match="has begun"):
        book(site=site, hold_id=held.pk, at=AT, by="user:a")


def test_a_step_that_begins_without_its_check_is_accepted_and_an_item_names_the_check() -> None:
    site = make_site()
    exam = make_exam(site, code="XRKNEE2", laterality="L")
    begun(site, exam)
    item = Item.objects.get(key=f"check missing:{exam.accession}")
    assert "the two identifiers and the side" in item.text
    checked(exam)
    item.refresh_from_db()
    assert item.closed_how == "the check was answered"


def test_a_machine_that_names_another_patient_as_it_begins_is_believed_and_a_person_asked_at_once() -> None:
    """Row 34, before the exposure: exams of two patients in one step, and a number of somebody else."""
    site = make_site()
    exam, other = (
        make_exam(site),
        make_exam(site, patient=make_patient(site, number="MRN-9", family="Moreau")),
    )
    number = exam.patient.identifiers.get().value
    uid = begun(site, exam, other, patient_id=number)
    item = Item.objects.get(kind="machine names another patient")
    assert (item.accession, item.closed_at) == (other.accession, None)
    assert "XR1 began exam" in item.text
    assert "another patient number" in item.text
    assert "MRN-9" not in item.text
    told(site, uid, StepState.DISCONTINUED, reason_code="110514")
    item.refresh_from_db()
    assert item.closed_how == "it was begun by mistake"


def test_a_step_without_numbers_makes_an_exam_without_an_order_for_the_patient_it_names() -> None:
    site = make_site()
    patient = make_patient(site, number="N77")
    uid = begun(
        site,
        references=(ScheduledReference(study_instance_uid="1.2.3.4"),),
        patient_id="N77",
        patient_name="Prüfer^Ada",
        procedure_text="Chest",
    )
    exam = Exam.objects.get()
    assert (exam.patient, exam.study_instance_uid, exam.procedure_text) == (patient, "1.2.3.4", "Chest")
    order = Order.objects.get()
    assert order.placer.startswith("U")
    assert order.placer_authority == "DESK"
    assert stage(exam) == "begun"
    assert f"unscheduled:{exam.accession}" in open_items(site)
    told(site, uid, COMPLETED)
    assert stage(exam) == "ended"


def test_an_unscheduled_step_of_nobody_or_of_somebody_else_makes_a_patient_to_be_identified() -> None:
    site = make_site()
    make_patient(site, number="N77")
    begun(site, references=(ScheduledReference(),))
    begun(site, references=(), patient_id="N77", patient_name="Other^Person")
    exams = list(Exam.objects.order_by("id"))
    assert len({exam.patient_id for exam in exams}) == 2
    assert not any(exam.patient.identifiers.filter(value="N77").exists() for exam in exams)
    item = Item.objects.get(key=f"unscheduled:{exams[0].accession}")
    assert "say who it is" in item.text


def test_a_strange_accession_beside_a_known_one_gets_an_exam_of_its_own_but_an_empty_one_does_not() -> None:
    site = make_site()
    exam = make_exam(site)
    own = ScheduledReference(accession=exam.accession)
    begun(site, references=(own, own, ScheduledReference()))
    assert Exam.objects.count() == 1
    begun(site, references=(ScheduledReference(accession="FOREIGN1"), own))
    assert Exam.objects.filter(accession="FOREIGN1").count() == 1


@pytest.mark.parametrize(
    ("code", "booking", "told_kind"),
    [
        ("110510", BookingState.DONE, "discontinued"),
        ("110501", BookingState.BOOKED, "discontinued"),
        ("", BookingState.BOOKED, "discontinued"),
    ],
)
def test_a_discontinued_exam_ends_or_keeps_its_place_by_the_reason(
    code: str, booking: BookingState, told_kind: str
) -> None:
    """Row 36: DISCONTINUED puts the exam back on the worklist unless the reason ends it."""
    site = make_site()
    exam = make_exam(site)
    make_booking(exam)
    told(site, begun(site, exam), DISCONTINUED, reason_code=code, reason_text="so")
    assert stage(exam) == "discontinued"
    assert Booking.objects.get().state == booking
    assert facts(exam)[-1] == told_kind
    begun(site, exam)
    assert stage(exam) == "begun"


def test_the_wrong_worklist_entry_reopens_the_exam_as_it_was_and_holds_its_images() -> None:
    """Row 36: 110514 reopens and holds. Row 40: the wrong entry was picked."""
    site = make_site()
    exam = make_exam(site)
    make_booking(exam, room="XR1")
    uid = begun(site, exam, ae_title="XR2")
    image = received(site, header(exam))
    told(site, uid, DISCONTINUED, reason_code="110514")
    assert stage(exam) == "scheduled"
    booking = Booking.objects.get(state=BookingState.BOOKED)
    assert (booking.room.code, booking.arrived_at) == ("XR1", None)
    image.refresh_from_db()
    assert image.state == "held"
    assert f"images held:{exam.accession}" in open_items(site)
    assert f"check missing:{exam.accession}" not in open_items(site)
    late = received(site, header(exam))
    assert late.state == "held"
    begun(site, exam, at=AT + minutes(30))
    right = received(site, header(exam))
    assert right.state == "matched"


def test_an_arrival_that_a_mistaken_begin_implied_is_taken_back() -> None:
    site = make_site()
    exam = make_exam(site)
    make_booking(exam)
    uid = begun(site, exam)
    assert Booking.objects.get().arrived_at is not None
    told(site, uid, DISCONTINUED, reason_code="110514")
    assert Booking.objects.get().arrived_at is None
    assert facts(exam)[-2:] == ["arrival taken back", "reopened"]


def test_after_a_mistake_an_exam_whose_old_place_has_gone_is_left_to_be_booked_anew() -> None:
    site = make_site()
    exam = make_exam(site)
    make_booking(exam, room="XR1")
    uid = begun(site, exam, ae_title="XR2")
    make_booking(make_exam(site), room="XR1")
    told(site, uid, DISCONTINUED, reason_code="110514")
    assert not Booking.objects.filter(exam=exam, state=BookingState.BOOKED).exists()
    assert stage(exam) == "ordered"


def test_an_exam_goes_on_while_another_of_its_steps_does() -> None:
    site = make_site()
    exam = make_exam(site)
    one, two = begun(site, exam), begun(site, exam)
    told(site, one, COMPLETED)
    assert stage(exam) == "begun"
    told(site, two, DISCONTINUED)
    assert stage(exam) == "ended"


def test_begin_by_hand_waits_for_the_checks() -> None:
    site = make_site()
    exam = make_exam(site, code="XRKNEE2", laterality="L")
    make_booking(exam)
    place = room(site, "XR1").pk
    with pytest.raises(ChecksMissing, match="the side"):
        perform.begin_by_hand(exam_id=exam.pk, room_id=place, at=AT, by="user:tech")
    checked(exam)
    step = perform.begin_by_hand(exam_id=exam.pk, room_id=place, at=AT, by="user:tech")
    assert (step.by_hand, step.ae_title, stage(exam)) == (True, "XR1", "begun")
    with pytest.raises(WrongState, match="begun already"):
        perform.begin_by_hand(exam_id=exam.pk, room_id=place, at=AT, by="user:tech")
    perform.end_by_hand(exam_id=exam.pk, at=AT + minutes(5), by="user:tech")
    assert stage(exam) == "ended"
    with pytest.raises(WrongState, match="not under way"):
        perform.end_by_hand(exam_id=exam.pk, at=AT, by="user:tech")
    assert open_items(site) == []


def test_a_held_exam_and_a_strange_room_are_not_begun_by_hand() -> None:
    site, elsewhere = make_site(), make_site(code="E")
    exam = make_exam(site, triage=TriageState.HELD)
    for act in (perform.begin_by_hand, perform.take_here):
        with pytest.raises(WrongState, match="held in triage"):
            act(exam_id=exam.pk, room_id=room(site, "XR1").pk, at=AT, by="user:tech")
        with pytest.raises(UnknownExam):
            act(exam_id=exam.pk, room_id=room(elsewhere, "XR1").pk, at=AT, by="user:tech")
        with pytest.raises(UnknownExam):
            act(exam_id=0, room_id=room(site, "XR1").pk, at=AT, by="user:tech")


def test_discontinued_by_hand_with_a_reason() -> None:
    site = make_site()
    exam = make_exam(site)
    checked(exam)
    perform.begin_by_hand(exam_id=exam.pk, room_id=room(site, "XR1").pk, at=AT, by="user:tech")
    perform.discontinue_by_hand(
        exam_id=exam.pk, reason_code="110505", reason_text="refused", at=AT, by="user:tech"
    )
    assert stage(exam) == "discontinued"


@pytest.mark.parametrize("first", [True, False])
def test_of_several_exams_of_one_step_a_person_ends_or_breaks_off_one_alone(first: bool) -> None:
    site = make_site()
    exams = [make_exam(site), make_exam(site)]
    for number, exam in enumerate(exams):
        make_booking(exam, start=AT + minutes(10 * number))
    uid = begun(site, *exams)
    off, on = exams if first else exams[::-1]
    perform.discontinue_by_hand(exam_id=off.pk, reason_code="110513", reason_text="", at=AT, by="user:t")
    assert [stage(off), stage(on)] == ["discontinued", "begun"]
    late = received(site, header(off), at=AT + minutes(1))
    told(
        site,
        uid,
        COMPLETED,
        at=AT + minutes(9),
        dap_gym2=3e-5,
        referenced_images=(late.sop_instance_uid, "1.2.9"),
    )
    assert [stage(off), stage(on)] == ["discontinued", "ended"]
    assert facts(off).count("discontinued") == 1
    assert "discontinued" not in facts(on)
    assert [dose_of_exam(exam_id=exam.pk).total_dap_gym2 for exam in (off, on)] == [None, 3e-5]
    late.refresh_from_db()
    assert late.state == "matched"


def test_of_two_exams_of_one_step_a_person_ends_both_one_after_the_other_and_the_machine_may_still_tell() -> (
    None
):
    site = make_site()
    one, two = make_exam(site), make_exam(site)
    uid = begun(site, one, two)
    perform.end_by_hand(exam_id=one.pk, at=AT, by="user:t")
    assert [stage(one), stage(two)] == ["ended", "begun"]
    perform.end_by_hand(exam_id=two.pk, at=AT, by="user:t")
    assert [stage(one), stage(two)] == ["ended", "ended"]
    told(site, uid, COMPLETED, at=AT + minutes(1))
    assert PerformedStep.objects.get(sop_instance_uid=uid).state == COMPLETED


def test_a_step_for_several_exams_counts_once_whoever_else_tells() -> None:
    """One total for all of a step's exams stands with the first, until images say whose dose is whose."""
    site = make_site()
    one, two = make_exam(site), make_exam(site)
    uid = begun(site, one, two)
    told(site, uid, COMPLETED, dap_gym2=5e-5)
    assert [dose_of_exam(exam_id=e.pk).total_dap_gym2 for e in (one, two)] == [5e-5, None]
    received(site, header(two, dap_gym2=2e-5))
    received(site, header(one, dap_gym2=3e-5))
    assert [dose_of_exam(exam_id=e.pk).total_dap_gym2 for e in (one, two)] == [3e-5, 2e-5]


def test_a_machines_step_takes_over_one_begun_by_hand() -> None:
    site = make_site()
    exam = make_exam(site)
    make_booking(exam)
    checked(exam)
    perform.begin_by_hand(exam_id=exam.pk, room_id=room(site, "XR1").pk, at=AT, by="user:tech")
    uid = begun(site, exam, at=AT + minutes(1))
    assert facts(exam).count("begun") == 1
    assert StepExam.objects.filter(exam=exam, voided=False).count() == 1
    told(site, uid, COMPLETED, at=AT + minutes(5))
    assert (stage(exam), facts(exam).count("ended")) == ("ended", 1)


def test_a_machines_step_after_one_that_ended_by_hand_is_a_second_one() -> None:
    site = make_site()
    exam = make_exam(site)
    checked(exam)
    perform.begin_by_hand(exam_id=exam.pk, room_id=room(site, "XR1").pk, at=AT, by="user:tech")
    perform.end_by_hand(exam_id=exam.pk, at=AT + minutes(5), by="user:tech")
    begun(site, exam, at=AT + minutes(60))
    assert StepExam.objects.filter(exam=exam, voided=False).count() == 2
    assert stage(exam) == "begun"


def test_a_silent_machines_step_may_be_ended_by_hand_and_still_by_the_machine_but_once() -> None:
    site = make_site()
    exam = make_exam(site)
    uid = begun(site, exam)
    perform.end_by_hand(exam_id=exam.pk, at=AT + minutes(60), by="user:tech")
    assert stage(exam) == "ended"
    told(site, uid, COMPLETED, at=AT + minutes(90), referenced_images=("1.2.3",))
    step = PerformedStep.objects.get()
    assert (step.state, step.referenced_images) == (COMPLETED, ["1.2.3"])
    with pytest.raises(StepIsFinal):
        told(site, uid, COMPLETED)


def test_taken_here_the_exam_moves_to_the_other_rooms_worklist() -> None:
    site = make_site()
    exam = make_exam(site)
    make_booking(exam, room="XR1", start=AT + minutes(60))
    perform.take_here(exam_id=exam.pk, room_id=room(site, "XR2").pk, at=AT, by="user:tech")
    booking = Booking.objects.get(state=BookingState.BOOKED)
    assert (booking.room.code, booking.during.lower) == ("XR2", AT)
    perform.take_here(exam_id=exam.pk, room_id=room(site, "XR2").pk, at=AT, by="user:tech")
    assert facts(exam) == ["taken to another room"]
    begun(site, exam, ae_title="XR2")
    with pytest.raises(WrongState):
        perform.take_here(exam_id=exam.pk, room_id=room(site, "XR1").pk, at=AT, by="user:tech")


def test_taken_here_without_a_place_the_exam_gets_one_from_now_where_the_room_is_free() -> None:
    site = make_site()
    exam, other = make_exam(site), make_exam(site)
    here = room(site, "XR1").pk
    perform.take_here(exam_id=exam.pk, room_id=here, at=AT, by="user:tech")
    assert Booking.objects.get().during.lower == AT
    with pytest.raises(PlaceTaken, match="Move the other exam"):
        perform.take_here(exam_id=other.pk, room_id=here, at=AT, by="user:tech")


@pytest.mark.django_db(transaction=True)
def test_reports_of_one_step_at_once_leave_one_step() -> None:
    """Row 35: serialised per UID."""
    site = make_site()
    exam = make_exam(site)
    report = step_report(exam)
    outcomes: list[str] = []

    def begin() -> None:
        try:
            perform.begin_by_step(site=site, report=report, at=AT, by="modality:XR1")
            outcomes.append("begun")
        except Refused as error:
            outcomes.append(type(error).__name__)
        finally:
            connection.close()

    def complete() -> None:
        try:
            told(site, report.sop_instance_uid, COMPLETED)
            outcomes.append("completed")
        except Refused as error:
            outcomes.append(type(error).__name__)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for work in (begin, complete, begin, complete, begin)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert outcomes.count("begun") == 1
    assert outcomes.count("DuplicateStep") == 2
    assert set(outcomes) <= {"begun", "DuplicateStep", "completed", "UnknownStep", "StepIsFinal"}
    assert PerformedStep.objects.count() == 1
