"""What ought to have happened by now and has not: steps that never end, images of exams that never began."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction

from xraydesk.access.models import Site
from xraydesk.attention.actions import close_items, raise_item
from xraydesk.attention.kinds import ItemKind
from xraydesk.attention.models import Item
from xraydesk.imaging.models import Image, PerformedStep, StepExam
from xraydesk.imaging.states import ImageState, StepState
from xraydesk.journey.performing import step_open_key
from xraydesk.journey.policy import policies_of
from xraydesk.orders.models import Exam

AT_ONCE_MAX = 500
"""So many are looked at in one round; the next round takes the others."""

IMAGES_WAIT = timedelta(minutes=30)
"""So long images wait for their exam to begin before a person is asked."""


@transaction.atomic
def flag_open_steps(*, site: Site, at: datetime) -> int:
    """Put steps that began long ago and have not ended before a person (row 36 of the faults); the number flagged."""
    hours = policies_of(site).step_open_hours
    steps = (
        PerformedStep.objects.filter(
            site=site, state=StepState.IN_PROGRESS, started_at__lt=at - timedelta(hours=hours)
        )
        .select_related("room")
        .order_by("started_at")[:AT_ONCE_MAX]
    )
    for step in steps:
        links = StepExam.objects.filter(step=step, voided=False).select_related("exam").order_by("exam")
        exams = [link.exam for link in links]
        names = ", ".join(exam.accession for exam in exams) or "without a number"
        where = step.room.code if step.room else step.ae_title
        raise_item(
            site_id=site.pk,
            kind=ItemKind.STEP_NEVER_ENDED,
            key=step_open_key(step),
            at=at,
            text=f"Exam {names} began in {where} more than {hours} hours ago and has not ended. "
            "Ask there, then end or discontinue it.",
            accession=exams[0].accession if exams else "",
            patient=exams[0].patient_id if exams else None,
            room=step.room.code if step.room else "",
            data={"step": step.pk},
        )
    return len(steps)


@transaction.atomic
def flag_images_waiting(*, site: Site, at: datetime) -> int:
    """Put exams that have images but were never begun before a person: their images go nowhere until then."""
    exams = (
        Exam.objects.filter(
            site=site, images__state=ImageState.MATCHED, images__received_at__lt=at - IMAGES_WAIT
        )
        .exclude(stepexam__voided=False)
        .distinct()
        .order_by("id")[:AT_ONCE_MAX]
    )
    for exam in exams:
        raise_item(
            site_id=site.pk,
            kind=ItemKind.IMAGES_HELD,
            key=images_waiting_key(exam.accession),
            at=at,
            text=f"Images of exam {exam.accession} arrived, but nobody has begun it. "
            "Begin and end it on its room's page, and they go on.",
            accession=exam.accession,
            patient=exam.patient_id,
        )
    _close_begun(site, at=at)
    return len(exams)


def _close_begun(site: Site, *, at: datetime) -> None:
    """End the items of exams that have begun since, or whose images somebody decided about."""
    open_items = Item.objects.filter(site=site, closed_at=None, key__startswith=images_waiting_key(""))
    for item in open_items[:AT_ONCE_MAX]:
        waits = Image.objects.filter(
            site=site, exam__accession=item.accession, state=ImageState.MATCHED
        ).exclude(exam__stepexam__voided=False)
        if not waits.exists():
            close_items(site_id=site.pk, key=item.key, at=at, by="rule", how="nothing waits any more")


def images_waiting_key(accession: str) -> str:
    """The key of the item about images of an exam that was never begun."""
    return f"images waiting:{accession}"
