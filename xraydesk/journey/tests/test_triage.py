"""Deciding about exams, by rule and by person."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.factories import AT, make_booking, make_exam, make_patient, make_site
from xraydesk.access.models import Site
from xraydesk.attention.models import Item
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.imaging.models import PerformedStep, StepExam
from xraydesk.imaging.states import StepState
from xraydesk.journey import triage
from xraydesk.journey.errors import AlreadyStarted, UnknownExam, WrongState
from xraydesk.lib.ids import new_uid
from xraydesk.orders.models import Exam, ExamNote, Order
from xraydesk.orders.states import OrderState, Priority, TriageState
from xraydesk.patients.models import Patient
from xraydesk.rooms.models import Room, RoomNote
from xraydesk.scheduling.states import BookingState

pytestmark = pytest.mark.django_db
BY = "user:ann"


@pytest.fixture
def site() -> Site:
    return make_site()


def came(site: Site, patient: Patient | None = None, **fields: Any) -> Exam:
    """An exam as it came, complete, waiting for triage."""
    given = {"triage": TriageState.WAITING, "reason": "cough", "created_at": AT} | fields
    exam = make_exam(site, patient=patient, **given)
    Order.objects.filter(pk=exam.order_id).update(provider_name="Dr Order")
    return exam


def triaged(exam: Exam) -> Exam:
    triage.triage_exam(exam_id=exam.pk, at=AT)
    return Exam.objects.get(pk=exam.pk)


def held(site: Site, **fields: Any) -> Exam:
    exam = triaged(came(site, **({"code": "XRKNEE2"} | fields)))
    assert exam.triage == TriageState.HELD
    return exam


def begin(exam: Exam, state: StepState = StepState.IN_PROGRESS) -> None:
    ended = None if state is StepState.IN_PROGRESS else AT
    step = PerformedStep.objects.create(
        site=exam.site, sop_instance_uid=new_uid(), state=state, by=BY, started_at=AT, ended_at=ended
    )
    StepExam.objects.create(step=step, exam=exam)


def kinds(exam: Exam) -> list[str]:
    return list(Fact.objects.filter(accession=exam.accession).order_by("id").values_list("kind", flat=True))


def open_items() -> list[str]:
    return list(Item.objects.filter(closed_at=None).values_list("key", flat=True))


def test_a_complete_exam_is_accepted_by_rule(site: Site) -> None:
    exam = triaged(came(site))
    assert (exam.triage, exam.triaged_by) == (TriageState.ACCEPTED, "rule")
    assert kinds(exam) == [FactKind.EXAM_ACCEPTED]
    assert open_items() == []


def test_an_exam_with_a_fault_is_held_and_put_before_a_person(site: Site) -> None:
    exam = held(site)
    item = Item.objects.get()
    assert item.key == f"exam held:{exam.accession}"
    assert "The side is missing" in item.text
    assert Fact.objects.get(kind=FactKind.EXAM_HELD).data == {"reasons": ["side"]}


def test_triage_again_changes_nothing(site: Site) -> None:
    exam, accepted = held(site), triaged(came(site))
    before = kinds(exam), kinds(accepted), open_items()
    triaged(exam)
    triaged(accepted)
    assert (kinds(exam), kinds(accepted), open_items()) == before


@pytest.mark.parametrize(
    ("hours", "fields", "duplicate"),
    [
        (1, {}, True),
        (25, {}, False),
        (1, {"triage": TriageState.CANCELLED}, False),
        (1, {"code": "XRKNEE2", "laterality": "L"}, False),
    ],
)
def test_the_same_exam_of_one_patient_within_the_window_is_a_duplicate(
    site: Site, hours: int, fields: dict[str, Any], duplicate: bool
) -> None:
    patient = make_patient(site)
    came(site, patient, created_at=AT - timedelta(hours=hours), **fields)
    exam = triaged(came(site, patient))
    assert (exam.triage == TriageState.HELD) is duplicate


@pytest.mark.parametrize(("side", "duplicate"), [("L", True), ("R", False)])
def test_the_other_side_is_no_duplicate(site: Site, side: str, duplicate: bool) -> None:
    patient = make_patient(site)
    came(site, patient, code="XRKNEE2", laterality="L")
    exam = triaged(came(site, patient, code="XRKNEE2", laterality=side))
    assert (exam.triage == TriageState.HELD) is duplicate


@pytest.mark.parametrize(
    ("state", "duplicate"), [(StepState.COMPLETED, False), (StepState.IN_PROGRESS, True)]
)
def test_an_exam_that_is_done_makes_no_duplicate(site: Site, state: StepState, duplicate: bool) -> None:
    patient = make_patient(site)
    begin(came(site, patient), state)
    exam = triaged(came(site, patient))
    assert (exam.triage == TriageState.HELD) is duplicate


def test_a_series_wished_for_on_different_days_is_no_duplicate(site: Site) -> None:
    patient = make_patient(site)
    came(site, patient, requested_at=AT + timedelta(days=30))
    assert triaged(came(site, patient, requested_at=AT)).triage == TriageState.ACCEPTED


def test_of_two_alike_only_the_later_is_held(site: Site) -> None:
    patient = make_patient(site)
    first, second = came(site, patient), came(site, patient)
    assert (triaged(first).triage, triaged(second).triage) == (TriageState.ACCEPTED, TriageState.HELD)


def test_unknown_procedures_that_read_alike_are_duplicates(site: Site) -> None:
    patient = make_patient(site)
    fields = {"procedure": None, "procedure_code": "X1", "procedure_text": "Skull"}
    came(site, patient, **fields)
    exam = triaged(came(site, patient, **fields))
    assert {f["code"] for f in exam.findings if f["level"] == "hold"} == {"procedure", "duplicate"}


def test_a_person_accepts_what_the_rules_held(site: Site) -> None:
    exam = held(site)
    triage.accept_exam(exam_id=exam.pk, at=AT, by=BY, why="Left, said the ward")
    exam.refresh_from_db()
    assert (exam.triage, exam.triaged_by) == (TriageState.ACCEPTED, BY)
    assert open_items() == []
    assert Item.objects.get().closed_by == BY
    assert Fact.objects.get(kind=FactKind.EXAM_ACCEPTED).data == {"why": "Left, said the ward"}
    with pytest.raises(WrongState, match=exam.accession):
        triage.accept_exam(exam_id=exam.pk, at=AT, by=BY)


def test_a_person_holds_and_says_why_and_the_place_is_kept(site: Site) -> None:
    exam = triaged(came(site))
    booking = make_booking(exam)
    triage.hold_exam(exam_id=exam.pk, at=AT, by=BY, why=" Ask the ward ")
    triage.hold_exam(exam_id=exam.pk, at=AT, by="user:bob", why="")
    exam.refresh_from_db()
    booking.refresh_from_db()
    assert exam.findings[0]["sentence"] == "A person holds it."
    assert [f["code"] for f in exam.findings].count("person") == 1
    assert booking.state == BookingState.BOOKED
    assert len(open_items()) == 1
    assert Item.objects.count() == 2


def test_a_held_exam_does_harm_when_it_is_due(site: Site) -> None:
    exam = came(site, code="XRKNEE2", priority=Priority.STAT, due_at=AT + timedelta(minutes=10))
    triaged(exam)
    late = came(site, code="XRKNEE2", laterality="", due_at=AT - timedelta(minutes=10))
    triaged(late)
    until = dict(Item.objects.values_list("accession", "until"))
    assert until == {exam.accession: AT + timedelta(minutes=10), late.accession: AT}
    plain = held(site)
    assert Item.objects.get(accession=plain.accession).until == AT + timedelta(minutes=120)


def test_a_person_lets_the_rules_look_again_at_once(site: Site) -> None:
    exam = held(site)
    Exam.objects.filter(pk=exam.pk).update(laterality="L")
    got = triage.reconsider_exam(exam_id=exam.pk, at=AT, by=BY)
    assert got.triage == TriageState.ACCEPTED
    waiting = came(site)
    assert triage.reconsider_exam(exam_id=waiting.pk, at=AT, by=BY).triage == TriageState.ACCEPTED


def test_a_side_said_by_a_person_lets_a_held_exam_go_on(site: Site) -> None:
    exam = held(site)
    triage.set_laterality(exam_id=exam.pk, laterality="L", at=AT, by=BY)
    exam.refresh_from_db()
    assert (exam.laterality, exam.triage) == ("L", TriageState.ACCEPTED)
    assert open_items() == []
    before = kinds(exam)
    triage.set_laterality(exam_id=exam.pk, laterality="L", at=AT, by=BY)
    assert kinds(exam) == before


def test_a_side_said_by_a_person_leaves_a_decision_of_a_person_alone(site: Site) -> None:
    exam = held(site)
    triage.hold_exam(exam_id=exam.pk, at=AT, by=BY, why="Wait")
    triage.set_laterality(exam_id=exam.pk, laterality="R", at=AT, by=BY)
    exam.refresh_from_db()
    assert exam.triage == TriageState.HELD


@pytest.mark.parametrize(("code", "side"), [("XRCHEST2", "L"), ("XRKNEE2", ""), ("XRKNEE2", "Q")])
def test_a_side_that_the_exam_does_not_have_is_refused(site: Site, code: str, side: str) -> None:
    with pytest.raises(WrongState):
        triage.set_laterality(exam_id=came(site, code=code).pk, laterality=side, at=AT, by=BY)


def test_an_unknown_procedure_may_have_any_side(site: Site) -> None:
    exam = came(site, procedure=None)
    assert triage.set_laterality(exam_id=exam.pk, laterality="B", at=AT, by=BY).laterality == "B"


def test_a_person_says_which_exam_is_meant(site: Site) -> None:
    exam = held(site, code="XRCHEST2", procedure=None, procedure_code="X1")
    triage.set_procedure(exam_id=exam.pk, code="XRCHEST2", at=AT, by=BY)
    exam.refresh_from_db()
    assert (exam.procedure_code, exam.triage) == ("XRCHEST2", TriageState.ACCEPTED)
    make_booking(exam)
    with pytest.raises(WrongState, match="place"):
        triage.set_procedure(exam_id=exam.pk, code="XRKNEE2", at=AT, by=BY)
    with pytest.raises(WrongState, match="NOSUCH"):
        triage.set_procedure(exam_id=exam.pk, code="NOSUCH", at=AT, by=BY)
    triage.set_procedure(exam_id=exam.pk, code="XRCHEST2", at=AT, by=BY)


def test_priority_changes_when_the_exam_is_due(site: Site) -> None:
    exam = came(site)
    triage.set_priority(exam_id=exam.pk, priority=Priority.STAT, at=AT, by=BY)
    triage.set_priority(exam_id=exam.pk, priority=Priority.STAT, at=AT, by=BY)
    exam.refresh_from_db()
    assert exam.due_at == AT + timedelta(minutes=60)
    assert Fact.objects.get(kind=FactKind.PRIORITY_CHANGED).data == {"from": "routine", "to": "stat"}


def test_a_cancelled_exam_frees_its_place_and_ends_its_order(site: Site) -> None:
    exam = triaged(came(site))
    booking = make_booking(exam)
    triage.hold_exam(exam_id=exam.pk, at=AT, by=BY, why="Wait")
    triage.cancel_exam(exam_id=exam.pk, at=AT, by=BY, why="asked twice")
    exam.refresh_from_db()
    booking.refresh_from_db()
    assert (exam.triage, exam.cancelled_why, exam.cancelled_at) == (TriageState.CANCELLED, "asked twice", AT)
    assert booking.state == BookingState.CANCELLED
    assert exam.order.state == OrderState.CANCELLED
    assert open_items() == []
    fact = Fact.objects.get(kind=FactKind.EXAM_CANCELLED)
    assert (fact.room, fact.data) == ("XR1", {"why": "asked twice"})
    with pytest.raises(WrongState, match=exam.accession):
        triage.cancel_exam(exam_id=exam.pk, at=AT, by=BY, why="again")


def test_an_order_stands_while_one_exam_of_it_does(site: Site) -> None:
    exam = came(site)
    Exam.objects.create(
        site=site,
        order=exam.order,
        patient=exam.patient,
        sequence=2,
        accession="SECOND",
        study_instance_uid=new_uid(),
        requested_procedure_id="R",
        scheduled_step_id="S",
        created_at=AT,
    )
    triage.cancel_exam(exam_id=exam.pk, at=AT, by=BY, why="?")
    assert Order.objects.get(pk=exam.order_id).state == OrderState.ACTIVE


STEPS: dict[str, dict[str, Any]] = {
    "hold_exam": {"why": "?"},
    "reconsider_exam": {},
    "cancel_exam": {"why": "?"},
    "set_laterality": {"laterality": "L"},
    "set_procedure": {"code": "XRKNEE2"},
}


@pytest.mark.parametrize("state", [StepState.IN_PROGRESS, StepState.COMPLETED])
@pytest.mark.parametrize("step", STEPS)
def test_an_exam_that_has_begun_is_left_alone(site: Site, step: str, state: StepState) -> None:
    exam = triaged(came(site))
    begin(exam, state)
    with pytest.raises(AlreadyStarted, match=exam.accession):
        getattr(triage, step)(exam_id=exam.pk, at=AT, by=BY, **STEPS[step])


CANCELLED_REFUSES = {**STEPS, "accept_exam": {}, "set_priority": {"priority": Priority.STAT}}


@pytest.mark.parametrize("step", CANCELLED_REFUSES)
def test_a_cancelled_exam_is_left_alone(site: Site, step: str) -> None:
    exam = came(site, triage=TriageState.CANCELLED)
    with pytest.raises(WrongState, match=exam.accession):
        getattr(triage, step)(exam_id=exam.pk, at=AT, by=BY, **CANCELLED_REFUSES[step])


@pytest.mark.parametrize("step", [*CANCELLED_REFUSES, "write_exam_note"])
def test_an_exam_that_is_not_here_is_said_to_be_unknown(step: str) -> None:
    given = CANCELLED_REFUSES.get(step, {"text": "?"})
    with pytest.raises(UnknownExam):
        getattr(triage, step)(exam_id=0, at=AT, by=BY, **given)
    with pytest.raises(UnknownExam):
        triage.triage_exam(exam_id=0, at=AT)


def test_a_word_is_left_about_an_exam_and_never_told_in_facts(site: Site) -> None:
    exam = came(site)
    triage.write_exam_note(exam_id=exam.pk, text=" Call the ward first ", at=AT, by=BY)
    assert ExamNote.objects.get().text == "Call the ward first"
    assert Fact.objects.get().data == {}
    with pytest.raises(WrongState):
        triage.write_exam_note(exam_id=exam.pk, text="  ", at=AT, by=BY)


def test_a_word_is_left_about_a_room(site: Site) -> None:
    room = Room.objects.get(code="XR1")
    triage.write_room_note(room_id=room.pk, text="Grid is " + "x" * 600, at=AT, by=BY)
    assert len(RoomNote.objects.get().text) == 500
    assert Fact.objects.get().room == "XR1"
    for room_id, text in ((room.pk, " "), (0, "word")):
        with pytest.raises(WrongState):
            triage.write_room_note(room_id=room_id, text=text, at=AT, by=BY)
