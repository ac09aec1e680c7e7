"""The import of a study of another house is taken back as a whole: what has not left goes nowhere, of the rest those who have it are told."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from xraydesk.facts.actions import record
from xraydesk.facts.kinds import FactKind
from xraydesk.imaging import actions, outside_actions, prior_actions
from xraydesk.imaging.models import Delivery, Image, OutsideStudy, PerformedStep
from xraydesk.imaging.outside_rules import OutsideState
from xraydesk.imaging.rejection_rules import RejectionCode
from xraydesk.imaging.states import DeliveryState, ImageState
from xraydesk.journey import performing
from xraydesk.journey.cancel import cancel_exam
from xraydesk.journey.errors import WrongState
from xraydesk.journey.outside_report import locked_study, say_report
from xraydesk.journey.reconcile import reject_image
from xraydesk.journey.unscheduled import is_done_elsewhere
from xraydesk.lib.text import shortened
from xraydesk.results.document_actions import drop_documents


def who_has(study: OutsideStudy) -> list[str]:
    """The destinations that have images of a study, by name."""
    sent = Delivery.objects.filter(image__outside=study, state=DeliveryState.SENT)
    return sorted(set(sent.exclude(image__state=ImageState.REJECTED).values_list("destination", flat=True)))


@transaction.atomic
def undo_import(*, study_id: int, why: str, at: datetime, by: str) -> OutsideStudy:
    """A study that was taken in is not: none of its images goes on, and whoever has some is told not to use them any more.

    The exam that stood for it is cancelled, its report taken back and told as such, and nobody compares with it. An exam
    of our own that the study was given to stays, without these images. An image on its way meanwhile is taken back once
    its destination answered. It is not taken in again: its images keep their numbers, which others were told not to use.

    Raises WrongState where it is not taken in (any more), or no reason is given.
    """
    study = locked_study(study_id)
    if study is None or study.exam is None or study.state != OutsideState.TAKEN:
        raise WrongState(
            "This study is not taken in (any more). Look at the page again; somebody else decided."
        )
    said = shortened(" ".join(why.split()), 180)
    if not said:
        raise WrongState("Say in a word why it is taken back. Nothing was changed.")
    (exam,) = performing.lock_exams([study.exam.pk])
    images = Image.objects.filter(outside=study).exclude(state=ImageState.REJECTED).order_by("id")
    keys = list(images.values_list("pk", flat=True))
    if keys:
        reject_image(image_id=keys[0], also=keys[1:], why=said, at=at, by=by, code=RejectionCode.SAFETY)
    drop_documents(study)
    if is_done_elsewhere(exam.order):
        say_report(study, at=at, by=by)
        for step in PerformedStep.objects.filter(stepexam__exam=exam, stepexam__voided=False).order_by("id"):
            actions.void(step, exam_ids=[exam.pk])
        cancel_exam(exam_id=exam.pk, at=at, by=by, why=said)
        prior_actions.forget_study(site_id=study.site_id, study_instance_uid=exam.study_instance_uid)
    outside_actions.refuse_study(study, why=f"taken back: {said}", at=at, by=by)
    record(
        site_id=study.site_id,
        kind=FactKind.OUTSIDE_REFUSED,
        at=at,
        by=by,
        accession=exam.accession,
        patient=exam.patient_id,
        data={"outside": study.pk, "source": study.source, "why": study.why},
        simulated=study.site.simulated,
    )
    return study
