"""An order comes, changes and ends; what is asked twice is done once."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from tests.factories import AT, make_booking, make_site
from xraydesk.access.models import Site
from xraydesk.attention.models import Item
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.imaging.models import PerformedStep, StepExam
from xraydesk.imaging.states import StepState
from xraydesk.journey.cancel import cancel_exam
from xraydesk.journey.errors import (
    AlreadyStarted,
    IncompleteOrder,
    PatientConflict,
    UnknownOrder,
    WrongState,
)
from xraydesk.journey.receive import Outcome, Received, receive_order
from xraydesk.journey.triage import accept_exam, hold_exam, triage_exam
from xraydesk.lib.ids import new_uid
from xraydesk.orders.models import Exam, Order
from xraydesk.orders.requisition import RequestedExam, Requisition
from xraydesk.orders.states import OrderState, Priority, TriageState
from xraydesk.patients.demographics import Demographics, Identifier, Name, VisitDetails
from xraydesk.patients.models import Patient, PatientIdentifier
from xraydesk.scheduling.states import BookingState
from xraydesk.siteplan.link_plan import OrderControl

pytestmark = pytest.mark.django_db

ADA = Demographics(
    identifiers=(Identifier("N1", "HOSP", "MR"),),
    name=Name("Prüfer", "Ada"),
    birth_date=date(1969, 5, 12),
    sex="F",
    visit=VisitDetails(number="V1", patient_class="O", ward="RAD"),
)
CHEST = RequestedExam(code="XRCHEST2", text="Chest 2 views", system="L", reason="cough for three weeks")
KNEE = RequestedExam(code="XRKNEE2", text="Knee", system="L", laterality="L", reason="fall on the left knee")
NEW = Requisition(
    control=OrderControl.NEW,
    patient=ADA,
    placer="P1",
    placer_authority="EHR",
    exams=(CHEST,),
    provider_name="Dr Order, Otto",
)


@pytest.fixture
def site() -> Site:
    return make_site()


def receive(site: Site, requisition: Requisition = NEW, **fields: Any) -> Received:
    given = {"link": "EHR", "at": AT, "by": "link:EHR"} | fields
    return receive_order(site=site, requisition=requisition, **given)


def asking(*exams: RequestedExam, control: OrderControl = OrderControl.CHANGE, **fields: Any) -> Requisition:
    return replace(NEW, control=control, exams=exams, **fields)


def kinds_of(exam: Exam) -> list[str]:
    return list(Fact.objects.filter(accession=exam.accession).order_by("id").values_list("kind", flat=True))


def begin(exam: Exam, state: StepState = StepState.IN_PROGRESS) -> PerformedStep:
    step = PerformedStep.objects.create(
        site=exam.site,
        sop_instance_uid=new_uid(),
        state=state,
        by="modality:XR1",
        started_at=AT,
        ended_at=None if state is StepState.IN_PROGRESS else AT,
    )
    StepExam.objects.create(step=step, exam=exam)
    return step


def accepted(site: Site, requisition: Requisition = NEW) -> Exam:
    exam = receive(site, requisition).exams[0]
    triage_exam(exam_id=exam.pk, at=AT)
    exam.refresh_from_db()
    assert exam.triage == TriageState.ACCEPTED
    return exam


def test_a_new_order_makes_patient_order_and_exam_with_numbers_of_its_own(site: Site) -> None:
    got = receive(site)
    (exam,) = got.exams
    assert got.outcome is Outcome.CREATED
    assert got.order.placer == "P1"
    assert got.order.patient.identifiers.get().value == "N1"
    assert exam.accession.startswith("T")
    assert len(exam.accession) <= 16
    assert exam.study_instance_uid.startswith("2.25.")
    assert exam.procedure is not None
    assert exam.asked["reason"] == "cough for three weeks"
    assert kinds_of(exam) == [FactKind.ORDER_RECEIVED]
    assert Fact.objects.get(kind=FactKind.PATIENT_CREATED).patient == got.order.patient_id


def test_numbers_of_the_sender_are_kept_where_they_can_stand(site: Site) -> None:
    uid = new_uid()
    mine = replace(
        CHEST,
        accession="ACC-1",
        study_instance_uid=uid,
        requested_procedure_id="RP9",
        scheduled_step_id="SP9",
        filler="F9",
    )
    (exam,) = receive(site, asking(mine, control=OrderControl.NEW)).exams
    assert exam.accession == "ACC-1"
    assert exam.study_instance_uid == uid
    assert (exam.requested_procedure_id, exam.scheduled_step_id, exam.filler) == ("RP9", "SP9", "F9")


def test_numbers_that_another_exam_has_are_not_given_twice(site: Site) -> None:
    uid = new_uid()
    mine = replace(CHEST, accession="ACC-1", study_instance_uid=uid, scheduled_step_id="SP9")
    receive(site, asking(mine, control=OrderControl.NEW))
    (second,) = receive(site, asking(mine, control=OrderControl.NEW, placer="P2")).exams
    assert second.accession != "ACC-1"
    assert second.study_instance_uid != uid
    assert second.scheduled_step_id != "SP9"


def test_several_exams_in_one_order_are_one_exam_each(site: Site) -> None:
    """Row 15: several OBR or IPC in one order."""
    got = receive(site, asking(CHEST, KNEE, control=OrderControl.NEW))
    assert [e.sequence for e in got.exams] == [1, 2]
    assert len({e.accession for e in got.exams}) == 2
    assert Fact.objects.filter(kind=FactKind.ORDER_RECEIVED).count() == 2


def test_the_same_order_again_is_unchanged(site: Site) -> None:
    """Row 2: a resend after an acknowledgement that was lost makes one order."""
    first = receive(site)
    again = receive(site, at=AT + timedelta(minutes=1))
    assert again.outcome is Outcome.UNCHANGED
    assert again.order == first.order
    assert Exam.objects.count() == 1
    assert kinds_of(first.exams[0]) == [FactKind.ORDER_RECEIVED]


def test_the_same_order_again_does_not_undo_what_the_desk_set(site: Site) -> None:
    exam = receive(site).exams[0]
    Exam.objects.filter(pk=exam.pk).update(priority=Priority.STAT)
    assert receive(site).outcome is Outcome.UNCHANGED
    exam.refresh_from_db()
    assert exam.priority == Priority.STAT


def test_a_new_order_with_a_known_number_and_other_content_is_a_change(site: Site) -> None:
    receive(site)
    got = receive(site, asking(replace(CHEST, reason="chest pain"), control=OrderControl.NEW))
    assert got.outcome is Outcome.CHANGED
    assert got.exams[0].reason == "chest pain"


def test_a_placer_number_without_an_issuer_is_the_links(site: Site) -> None:
    got = receive(site, replace(NEW, placer_authority=""))
    assert got.order.placer_authority == "EHR"


@pytest.mark.parametrize("control", [c for c in OrderControl if c is not OrderControl.NEW])
def test_what_speaks_of_an_order_that_never_came_is_refused(site: Site, control: OrderControl) -> None:
    with pytest.raises(UnknownOrder, match="P1"):
        receive(site, asking(CHEST, control=control))
    assert not Patient.objects.exists()


@pytest.mark.parametrize(
    "requisition",
    [
        replace(NEW, placer=""),
        replace(NEW, placer="P" * 65),
        replace(NEW, exams=()),
        replace(NEW, exams=(CHEST,) * 51),
        replace(NEW, patient=Demographics(identifiers=())),
    ],
    ids=["no placer", "long placer", "no exam", "too many exams", "no patient number"],
)
def test_an_order_without_what_it_needs_is_refused_whole(site: Site, requisition: Requisition) -> None:
    with pytest.raises(IncompleteOrder):
        receive(site, requisition)
    assert not Order.objects.exists()
    assert not Patient.objects.exists()


def test_a_changed_side_is_triaged_anew_and_keeps_its_place(site: Site) -> None:
    exam = accepted(site, asking(KNEE, control=OrderControl.NEW))
    booking = make_booking(exam)
    right = replace(KNEE, laterality="R", reason="fall on the right knee")
    got = receive(site, asking(right))
    booking.refresh_from_db()
    assert got.exams[0].laterality == "R"
    assert got.exams[0].triage == TriageState.WAITING
    assert booking.state == BookingState.BOOKED
    assert kinds_of(exam)[-1] == FactKind.ORDER_CHANGED


def test_a_changed_procedure_gives_its_place_up(site: Site) -> None:
    exam = accepted(site)
    booking = make_booking(exam)
    receive(site, asking(KNEE))
    booking.refresh_from_db()
    exam.refresh_from_db()
    assert booking.state == BookingState.RELEASED
    assert exam.procedure_code == "XRKNEE2"
    assert FactKind.BOOKING_RELEASED in kinds_of(exam)


def test_a_changed_time_gives_the_place_up_without_new_triage(site: Site) -> None:
    exam = accepted(site)
    booking = make_booking(exam)
    receive(site, asking(replace(CHEST, requested_at=AT + timedelta(hours=3))))
    booking.refresh_from_db()
    exam.refresh_from_db()
    assert booking.state == BookingState.RELEASED
    assert exam.triage == TriageState.ACCEPTED
    assert exam.requested_at == AT + timedelta(hours=3)


def test_a_patient_who_is_here_keeps_the_place_when_the_time_or_procedure_changes(site: Site) -> None:
    exam = accepted(site)
    booking = make_booking(exam, arrived_at=AT)
    receive(site, asking(replace(CHEST, requested_at=AT + timedelta(hours=3))))
    receive(site, asking(KNEE))
    booking.refresh_from_db()
    assert booking.state == BookingState.BOOKED


def test_what_a_person_holds_stays_held_when_the_order_changes(site: Site) -> None:
    exam = accepted(site)
    hold_exam(exam_id=exam.pk, at=AT, by="user:ann", why="Asked the ward")
    got = receive(site, asking(replace(CHEST, reason="chest pain")))
    receive(site, asking(replace(CHEST, reason="chest pain since Monday")))
    exam.refresh_from_db()
    assert got.outcome is Outcome.CHANGED
    assert exam.triage == TriageState.HELD
    assert exam.triaged_by == "user:ann"
    assert [f["code"] for f in exam.findings].count("changed since") == 1


def test_what_the_rules_hold_is_looked_at_again_when_the_order_changes(site: Site) -> None:
    exam = receive(site, asking(replace(KNEE, laterality=""), control=OrderControl.NEW)).exams[0]
    triage_exam(exam_id=exam.pk, at=AT)
    assert Item.objects.get(closed_at=None).key == f"exam held:{exam.accession}"
    receive(site, asking(KNEE))
    triage_exam(exam_id=exam.pk, at=AT)
    exam.refresh_from_db()
    assert exam.triage == TriageState.ACCEPTED
    assert not Item.objects.filter(closed_at=None).exists()


def test_a_change_may_bring_one_more_exam(site: Site) -> None:
    receive(site)
    got = receive(site, asking(CHEST, KNEE))
    assert got.outcome is Outcome.CHANGED
    assert [e.procedure_code for e in got.exams] == ["XRCHEST2", "XRKNEE2"]
    assert kinds_of(got.exams[1]) == [FactKind.ORDER_RECEIVED]


def test_a_change_of_who_asks_and_where_the_patient_is_reaches_a_begun_exam(site: Site) -> None:
    exam = accepted(site)
    begin(exam)
    visit = replace(ADA.visit, ward="W3", bed="12")
    got = receive(site, asking(CHEST, patient=replace(ADA, visit=visit)))
    assert got.outcome is Outcome.CHANGED
    assert (got.order.ward, got.order.bed) == ("W3", "12")
    assert kinds_of(exam)[-1] == FactKind.ORDER_CHANGED


@pytest.mark.parametrize("state", [StepState.IN_PROGRESS, StepState.COMPLETED])
@pytest.mark.parametrize(
    "control",
    [OrderControl.CANCEL, OrderControl.DISCONTINUE, OrderControl.COMPLETED_ELSEWHERE, OrderControl.HOLD],
)
def test_an_exam_that_has_begun_goes_on_whatever_the_sender_wants(
    site: Site, control: OrderControl, state: StepState
) -> None:
    """Row 17: cancel after the exam started."""
    exam = accepted(site)
    begin(exam, state)
    with pytest.raises(AlreadyStarted, match=exam.accession):
        receive(site, asking(CHEST, control=control))
    exam.refresh_from_db()
    assert exam.triage == TriageState.ACCEPTED


def test_a_change_of_an_exam_that_has_begun_is_refused(site: Site) -> None:
    exam = accepted(site)
    begin(exam)
    with pytest.raises(AlreadyStarted, match=exam.accession):
        receive(site, asking(replace(CHEST, reason="other")))


def test_a_voided_step_does_not_keep_an_order_from_being_cancelled(site: Site) -> None:
    exam = accepted(site)
    StepExam.objects.filter(step=begin(exam)).update(voided=True)
    assert receive(site, asking(CHEST, control=OrderControl.CANCEL)).outcome is Outcome.CANCELLED


@pytest.mark.parametrize(
    ("control", "outcome", "state"),
    [
        (OrderControl.CANCEL, Outcome.CANCELLED, OrderState.CANCELLED),
        (OrderControl.DISCONTINUE, Outcome.DISCONTINUED, OrderState.CANCELLED),
        (OrderControl.COMPLETED_ELSEWHERE, Outcome.COMPLETED_ELSEWHERE, OrderState.COMPLETED),
    ],
)
def test_an_order_that_ends_frees_its_place_and_its_items_once(
    site: Site, control: OrderControl, outcome: Outcome, state: OrderState
) -> None:
    exam = accepted(site)
    booking = make_booking(exam)
    hold_exam(exam_id=exam.pk, at=AT, by="user:ann", why="?")
    got = receive(site, asking(control=control))
    booking.refresh_from_db()
    assert got.outcome is outcome
    assert got.order.state == state
    assert got.exams[0].triage == TriageState.CANCELLED
    assert booking.state == BookingState.CANCELLED
    assert not Item.objects.filter(closed_at=None).exists()
    assert kinds_of(exam)[-1] == FactKind.ORDER_CANCELLED
    assert receive(site, asking(control=control)).outcome is Outcome.UNCHANGED


def test_a_cancelled_order_does_not_come_back_by_a_late_copy_of_itself(site: Site) -> None:
    receive(site)
    receive(site, asking(CHEST, control=OrderControl.CANCEL))
    assert receive(site).outcome is Outcome.UNCHANGED
    with pytest.raises(WrongState, match="P1"):
        receive(site, asking(replace(CHEST, reason="other")))


def test_an_exam_that_the_desk_cancelled_is_not_changed(site: Site) -> None:
    exams = receive(site, asking(CHEST, KNEE, control=OrderControl.NEW)).exams
    cancel_exam(exam_id=exams[0].pk, at=AT, by="user:ann", why="asked twice")
    with pytest.raises(WrongState, match="asked twice"):
        receive(site, asking(replace(CHEST, reason="other"), KNEE))


def test_the_sender_holds_and_releases_an_order(site: Site) -> None:
    exam = accepted(site)
    held = receive(site, asking(control=OrderControl.HOLD))
    assert held.outcome is Outcome.HELD
    assert held.exams[0].triage == TriageState.HELD
    assert Item.objects.get(closed_at=None).accession == exam.accession
    assert receive(site, asking(control=OrderControl.HOLD)).outcome is Outcome.UNCHANGED
    triage_exam(exam_id=exam.pk, at=AT)
    exam.refresh_from_db()
    assert exam.triage == TriageState.HELD, "the rules do not undo the sender's hold"
    released = receive(site, asking(control=OrderControl.RELEASE))
    assert released.outcome is Outcome.RELEASED
    triage_exam(exam_id=exam.pk, at=AT)
    exam.refresh_from_db()
    assert exam.triage == TriageState.ACCEPTED
    assert not Item.objects.filter(closed_at=None).exists()
    assert receive(site, asking(control=OrderControl.RELEASE)).outcome is Outcome.UNCHANGED


def test_an_order_is_found_by_our_own_number_where_the_sender_gives_that_alone(site: Site) -> None:
    exam = receive(site).exams[0]
    got = receive(site, asking(control=OrderControl.CANCEL, placer="", filler=exam.accession))
    assert got.outcome is Outcome.CANCELLED


def test_a_number_that_two_orders_share_names_neither(site: Site) -> None:
    """Fillers of a careless sender; to guess would cancel the wrong exam."""
    for placer in ("P1", "P2"):
        receive(site, asking(replace(CHEST, filler="F1"), control=OrderControl.NEW, placer=placer))
    with pytest.raises(UnknownOrder, match="F1"):
        receive(site, asking(control=OrderControl.CANCEL, placer="", filler="F1"))


def test_another_procedure_does_not_keep_the_side_of_the_old_one(site: Site) -> None:
    receive(site, asking(KNEE, control=OrderControl.NEW))
    (exam,) = receive(site, asking(RequestedExam("XRCHEST2"))).exams
    assert (exam.laterality, exam.procedure_text) == ("", "Chest 2 views")


def test_what_a_message_leaves_empty_stays(site: Site) -> None:
    receive(site)
    bare = Requisition(
        OrderControl.CHANGE, Demographics(ADA.identifiers), "P1", "EHR", (RequestedExam("XRCHEST2"),)
    )
    got = receive(site, bare)
    assert got.outcome is Outcome.UNCHANGED
    assert got.order.provider_name == "Dr Order, Otto"
    assert got.order.patient.family == "Prüfer"


def test_late_news_of_the_patient_in_an_order_is_kept_and_told(site: Site) -> None:
    receive(site)
    got = receive(site, replace(NEW, patient=replace(ADA, name=Name("Prüfer-Klein", "Ada"))))
    patient = Patient.objects.get(pk=got.order.patient_id)
    assert got.outcome is Outcome.UNCHANGED
    assert patient.family == "Prüfer-Klein"
    fact = Fact.objects.get(kind=FactKind.PATIENT_UPDATED)
    assert fact.data == {"changed": ["family", "name_folded"], "identity": True}


def test_an_order_of_another_patient_is_refused(site: Site) -> None:
    receive(site)
    receive(
        site, replace(NEW, placer="P2", patient=replace(ADA, identifiers=(Identifier("N2", "HOSP", "MR"),)))
    )
    other = replace(ADA, identifiers=(Identifier("N2", "HOSP", "MR"),))
    with pytest.raises(PatientConflict, match="P1"):
        receive(site, asking(CHEST, patient=other))


def test_numbers_of_two_patients_in_one_message_are_refused(site: Site) -> None:
    receive(site)
    two = (Identifier("N2", "HOSP", "MR"),)
    receive(site, replace(NEW, placer="P2", patient=replace(ADA, identifiers=two)))
    both = replace(ADA, identifiers=(*ADA.identifiers, *two))
    with pytest.raises(PatientConflict):
        receive(site, replace(NEW, placer="P3", patient=both))
    assert Order.objects.count() == 2


def test_a_change_that_names_no_patient_keeps_the_orders(site: Site) -> None:
    receive(site)
    got = receive(site, asking(replace(CHEST, reason="other"), patient=Demographics(identifiers=())))
    assert got.outcome is Outcome.CHANGED
    assert PatientIdentifier.objects.count() == 1


def test_a_stat_order_is_due_an_hour_after_it_is_wished_for(site: Site) -> None:
    (exam,) = receive(site, asking(replace(CHEST, priority=Priority.STAT), control=OrderControl.NEW)).exams
    assert exam.due_at == AT + timedelta(minutes=60)
    wish = replace(CHEST, priority=Priority.URGENT, requested_at=AT + timedelta(hours=1))
    (later,) = receive(site, asking(wish, control=OrderControl.NEW, placer="P2")).exams
    assert later.due_at == AT + timedelta(hours=5)


def test_a_person_may_accept_what_was_changed_and_held(site: Site) -> None:
    exam = accepted(site)
    receive(site, asking(replace(CHEST, code="NOSUCH", text="Something else")))
    triage_exam(exam_id=exam.pk, at=AT)
    exam.refresh_from_db()
    assert exam.triage == TriageState.HELD
    accept_exam(exam_id=exam.pk, at=AT, by="user:ann", why="The ward confirmed")
    exam.refresh_from_db()
    assert exam.triage == TriageState.ACCEPTED
    assert exam.findings[-1]["detail"] == "The ward confirmed"
