"""A reader's word on an image is kept once, for whoever made the image, and can be taken back."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.factories import AT, make_booking, make_exam, make_site
from xraydesk.access.models import User
from xraydesk.attention.models import Item
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.imaging.models import PerformedStep, StepExam
from xraydesk.imaging.states import StepState
from xraydesk.journey.errors import UnknownExam, WrongState
from xraydesk.journey.feedback import UnknownFeedback, give_feedback, see_feedback, withdraw_feedback
from xraydesk.journey.reconcile import reject_image
from xraydesk.journey.tests.performing import header, received
from xraydesk.lib.ids import new_uid
from xraydesk.orders.models import Exam
from xraydesk.quality.models import Feedback
from xraydesk.quality.queries import of_exam, of_site, unseen_count
from xraydesk.quality.reasons import FeedbackReason
from xraydesk.rooms.models import Room
from xraydesk.scheduling.states import BookingState
from xraydesk.staff.models import Technologist

pytestmark = pytest.mark.django_db
RITA, TINA = "user:rita", "user:tina"


def performed(by: str = TINA) -> Exam:
    exam = make_exam(make_site())
    step = PerformedStep.objects.create(
        site=exam.site,
        room=Room.objects.get(site=exam.site, code="XR1"),
        sop_instance_uid=new_uid(),
        ae_title="XR1",
        state=StepState.COMPLETED,
        started_at=AT,
        ended_at=AT,
        by=by,
    )
    StepExam.objects.create(step=step, exam=exam)
    return exam


def say(
    exam: Exam, view: str = "PA", reason: FeedbackReason = FeedbackReason.CUT_OFF, note: str = ""
) -> Feedback:
    return give_feedback(exam_id=exam.pk, view=view, reason=reason, note=note, at=AT, by=RITA)


def test_a_word_is_kept_for_whoever_began_the_exam() -> None:
    said = say(performed(), note="  the   left side ")
    assert (said.view, said.reason, said.note) == ("PA", "anatomy cut off", "the left side")
    assert (said.about, said.room, said.by) == (TINA, "XR1", RITA)
    fact = Fact.objects.get(kind=FactKind.FEEDBACK_GIVEN)
    assert fact.data == {"feedback": said.pk, "view": "PA", "reason": "anatomy cut off"}


def test_a_word_on_a_machines_step_is_for_whom_the_plan_had_there() -> None:
    exam = performed("modality:XR1")
    assert say(exam).about == "modality:XR1"
    make_booking(exam, state=BookingState.DONE)
    Technologist.objects.filter(code="T1").update(user=User.objects.create(name="otto"))
    assert say(exam, "LL").about == "user:otto"


def test_the_same_word_twice_stands_once() -> None:
    exam = performed()
    assert say(exam) == say(exam)
    say(exam, "")
    say(exam, reason=FeedbackReason.MOTION)
    assert Feedback.objects.count() == Fact.objects.filter(kind=FactKind.FEEDBACK_GIVEN).count() == 3
    assert Fact.objects.filter(data__view="whole exam").count() == 1


def test_nothing_can_be_said_of_images_that_were_never_made() -> None:
    with pytest.raises(WrongState, match="was not performed"):
        say(make_exam(make_site()))
    with pytest.raises(UnknownExam):
        give_feedback(exam_id=0, view="", reason=FeedbackReason.GOOD, at=AT, by=RITA)


def test_a_word_is_taken_back_by_its_reader_alone_and_can_be_said_again() -> None:
    exam = performed()
    said = say(exam)
    with pytest.raises(WrongState, match="Only the reader"):
        withdraw_feedback(feedback_id=said.pk, at=AT, by=TINA)
    withdraw_feedback(feedback_id=said.pk, at=AT, by=RITA)
    with pytest.raises(WrongState, match="already"):
        withdraw_feedback(feedback_id=said.pk, at=AT, by=RITA)
    assert not of_exam(exam).exists()
    assert Fact.objects.filter(kind=FactKind.FEEDBACK_WITHDRAWN).count() == 1
    assert say(exam) != said
    with pytest.raises(UnknownFeedback):
        withdraw_feedback(feedback_id=0, at=AT, by=RITA)


def test_a_word_is_seen_by_whom_it_is_for() -> None:
    exam = performed()
    first, second = say(exam), say(exam, "LL")
    assert unseen_count(exam.site, about=TINA) == 2
    with pytest.raises(WrongState, match="for the technologist"):
        see_feedback(feedback_id=second.pk, at=AT, by="user:otto")
    for minutes in (1, 2):
        see_feedback(feedback_id=second.pk, at=AT + timedelta(minutes=minutes), by=TINA)
    second.refresh_from_db()
    assert (second.seen_at, second.seen_by) == (AT + timedelta(minutes=1), TINA)
    assert unseen_count(exam.site, about=TINA) == 1
    assert list(of_site(exam.site, about=TINA)) == [first, second]
    assert not of_site(exam.site, about="user:otto").exists()


def test_a_label_that_a_reader_says_is_wrong_is_put_before_a_person_until_somebody_decides() -> None:
    exam = performed()
    assert say(exam, reason=FeedbackReason.WRONG_LABEL)
    assert not Item.objects.exists()  # without an image there is nothing to compare
    pa, lateral = (received(exam.site, header(exam, view_position=view)) for view in ("PA", "LL"))
    said = say(exam, "LL", FeedbackReason.WRONG_LABEL)
    say(exam, "LL", FeedbackReason.CUT_OFF)
    item = Item.objects.get(kind="reader doubts a label")
    assert (item.data["image"], item.accession) == (lateral.pk, exam.accession)
    assert "the view LL" in item.text
    withdraw_feedback(feedback_id=said.pk, at=AT, by=RITA)
    assert not Item.objects.filter(kind="reader doubts a label", closed_at=None).exists()
    say(exam, "", FeedbackReason.WRONG_LABEL)
    assert Item.objects.get(kind="reader doubts a label", closed_at=None).data["image"] == pa.pk
    reject_image(image_id=pa.pk, why="wrong patient", at=AT, by=RITA)
    assert not Item.objects.filter(kind="reader doubts a label", closed_at=None).exists()
