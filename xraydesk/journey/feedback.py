"""A reader says a word on an image, for whoever made it; takes it back; it is seen."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from xraydesk.attention.actions import close_items, raise_item
from xraydesk.attention.kinds import ItemKind
from xraydesk.facts.kinds import FactKind
from xraydesk.imaging.models import Image, PerformedStep
from xraydesk.imaging.queries import standing_steps
from xraydesk.imaging.states import ImageState, StepState, deciding_step
from xraydesk.journey.errors import Refused, UnknownExam, WrongState
from xraydesk.journey.keys import reader_key
from xraydesk.journey.performing import tell
from xraydesk.orders.models import Exam
from xraydesk.orders.queries import lock_exam
from xraydesk.quality import actions, rules
from xraydesk.quality.models import Feedback
from xraydesk.quality.reasons import FeedbackReason
from xraydesk.scheduling.models import Booking
from xraydesk.scheduling.states import LIVE


class UnknownFeedback(Refused):
    """There is no such word of a reader here."""


@transaction.atomic
def give_feedback(
    *, exam_id: int, view: str, reason: FeedbackReason, note: str = "", at: datetime, by: str
) -> Feedback:
    """Keep a reader's word on one view of an exam (`view` empty: on all of it); the same word twice stands once.

    Raises UnknownExam, and WrongState where the exam was not begun: there is nothing to say a word on.
    """
    exam = lock_exam(exam_id)
    if exam is None:
        raise UnknownExam("There is no such exam here.")
    step = _step(exam)
    if step is None:
        raise WrongState(f"Exam {exam.accession} was not performed, so nothing can be said of its images.")
    said, is_new = actions.say(
        exam=exam,
        view=" ".join(view.split()),
        reason=reason,
        note=" ".join(note.split()),
        about=rules.about(step.by, _planned_user(exam)),
        room=step.room.code if step.room else "",
        at=at,
        by=by,
    )
    if is_new:
        _tell(said, exam, FactKind.FEEDBACK_GIVEN, at=at, by=by)
        if reason is FeedbackReason.WRONG_LABEL:
            _ask_about_label(said, exam, at=at)
    return said


@transaction.atomic
def withdraw_feedback(*, feedback_id: int, at: datetime, by: str) -> Feedback:
    """Take a word back. Raises UnknownFeedback, and WrongState where it is another reader's or was taken back."""
    said, exam = _locked(feedback_id)
    if not rules.may_withdraw(said.by, by):
        raise WrongState("Only the reader who said it can take it back.")
    if not actions.take_back(said, at=at):
        raise WrongState("It was taken back already.")
    _tell(said, exam, FactKind.FEEDBACK_WITHDRAWN, at=at, by=by)
    for image in _images(exam, said.view):
        close_items(site_id=exam.site_id, key=reader_key(image), at=at, by=by, how="the reader took it back")
    return said


@transaction.atomic
def see_feedback(*, feedback_id: int, at: datetime, by: str) -> Feedback:
    """Write down that a word was seen by whom it is for; once more changes nothing.

    Raises UnknownFeedback, and WrongState where it is for somebody else.
    """
    said, _ = _locked(feedback_id)
    if not rules.may_mark_seen(said.about, by):
        raise WrongState("It is for the technologist who made the image; only they can say that they saw it.")
    actions.mark_seen(said, at=at, by=by)
    return said


def _images(exam: Exam, view: str) -> list[Image]:
    """The images that a word is about: those of its view, or all of the exam's where it names none that came."""
    images = list(Image.objects.filter(exam=exam).exclude(state=ImageState.REJECTED).order_by("id"))
    return [image for image in images if view and image.view_position == view] or images


def _ask_about_label(said: Feedback, exam: Exam, *, at: datetime) -> None:
    """What a reader says is labelled wrong has left already: a person decides anew, and whoever has it is told."""
    image = next(iter(_images(exam, said.view)), None)
    if image is None:
        return
    what = f"the view {said.view}" if said.view else "an image"
    raise_item(
        site_id=exam.site_id,
        kind=ItemKind.READER_DOUBTS_LABEL,
        key=reader_key(image),
        at=at,
        text=f"A reader says that {what} of exam {exam.accession} is labelled wrong. Compare, and decide anew.",
        accession=exam.accession,
        patient=exam.patient_id,
        sop_instance_uid=image.sop_instance_uid,
        data={"image": image.pk},
    )


def _locked(feedback_id: int) -> tuple[Feedback, Exam]:
    said = Feedback.objects.filter(pk=feedback_id).first()
    exam = lock_exam(said.exam_id) if said else None
    if said is None or exam is None:
        raise UnknownFeedback("There is no such word of a reader here.")
    return said, exam


def _step(exam: Exam) -> PerformedStep | None:
    """The step that decides the exam's stage."""
    steps = standing_steps(exam.pk)
    state = deciding_step(StepState(step.state) for step in steps)
    return next((step for step in steps if step.state == state), None)


def _planned_user(exam: Exam) -> str:
    """The sign-in name of the technologist whom the plan had for it; "" where it says nobody."""
    booked = Booking.objects.filter(exam=exam, state__in=LIVE)
    return booked.values_list("technologist__user__name", flat=True).first() or ""


def _tell(said: Feedback, exam: Exam, kind: FactKind, *, at: datetime, by: str) -> None:
    tell(
        exam,
        kind,
        at=at,
        by=by,
        data={"feedback": said.pk, "view": said.view or "whole exam", "reason": said.reason},
    )
