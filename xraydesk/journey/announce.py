"""Who wants to know is told that images can be read somewhere (IHE RAD-49)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from procrastinate import exceptions as job_errors
from procrastinate.contrib.django import app as jobs

from xraydesk.attention.actions import close_items, raise_item
from xraydesk.attention.kinds import ItemKind
from xraydesk.imaging import notice_actions
from xraydesk.imaging.models import AvailabilityNotice, Delivery, Image
from xraydesk.imaging.notice_rules import WaitingNotice, may_go_now, taken_back
from xraydesk.imaging.states import DeliveryState
from xraydesk.journey.turns import DELIVER_QUEUE
from xraydesk.orders.models import Exam
from xraydesk.siteplan.plan import SitePlan
from xraydesk.siteplan.routing_plan import DestinationPlan

NOTICE_TASK = "tell_available"
"""Name of the job that tells one recipient what it was not told yet; `links` owns it."""

NOTICES_AT_ONCE_MAX = 200
"""So many are looked at in one run; the next one takes the others."""


def announce(*, exam: Exam, plan: SitePlan, where: DestinationPlan, last: Image, at: datetime) -> int:
    """All images of an exam can be read at a destination: put it down for each that wants to be told. The number that is new.

    Call inside the transaction in which the last image got there. `last` is the exam's newest image there.
    """
    recipients = [d for d in plan.destinations if d.notices and d.name != where.name]
    if not recipients:
        return 0
    said = _said(exam, where)
    new = [
        to
        for to in recipients
        if notice_actions.insert_notice(
            exam=exam, recipient=to.name, destination=where.name, last=last, said=said, at=at
        )
    ]
    for to in new:
        defer_notices(site_id=exam.site_id, recipient=to.name)
    return len(new)


def take_back(*, note: Image, about: Image, study: str, gone: Collection[str], at: datetime) -> int:
    """Objects that a rejection note speaks of are not to be used any more: whoever was told that they can be read
    where the note goes is told that they cannot. The number of those to be told.

    Call inside the transaction that put the note down. `study` is what the destinations have them under, `gone` are
    their UIDs there. Nobody hears of it before they heard that the objects can be read.
    """
    told: dict[tuple[int, str, str], list[dict[str, Any]]] = {}
    destinations = set(note.deliveries.values_list("destination", flat=True))
    earlier = (
        AvailabilityNotice.objects.filter(
            exam__site=about.site_id, exam__study_instance_uid=study, destination__in=destinations
        )
        .exclude(state=DeliveryState.FAILED)
        .select_related("exam")
        .order_by("id")
    )
    exams = {}
    for notice in earlier:
        exams[notice.exam_id] = notice.exam
        told.setdefault((notice.exam_id, notice.recipient, notice.destination), []).append(notice.said)
    count = 0
    for (exam_id, recipient, destination), said in told.items():
        now = taken_back(said, gone)
        if now and notice_actions.insert_notice(
            exam=exams[exam_id], recipient=recipient, destination=destination, last=note, said=now, at=at
        ):
            defer_notices(site_id=about.site_id, recipient=recipient)
            count += 1
    return count


def _said(exam: Exam, where: DestinationPlan) -> dict[str, object]:
    """What is told: study, its series with their objects as they were sent there, its steps, and where they are."""
    sent = Delivery.objects.filter(
        image__exam=exam, image__fetched=None, destination=where.name, state=DeliveryState.SENT
    ).select_related("image")
    series: dict[str, list[list[str]]] = {}
    study = exam.study_instance_uid
    for delivery in sent.order_by("id"):
        image = delivery.image
        left = {"SOPInstanceUID": image.sop_instance_uid, "SeriesInstanceUID": image.series_instance_uid}
        left |= image.corrections
        series.setdefault(left["SeriesInstanceUID"], []).append([image.sop_class_uid, left["SOPInstanceUID"]])
    steps = exam.stepexam_set.filter(voided=False, step__by_hand=False)
    uids = list(steps.order_by("step_id").values_list("step__sop_instance_uid", flat=True))
    return {"study": study, "series": series, "steps": uids, "retrieve_ae": where.ae_title}


def due_notices(*, site_id: int, recipient: str, at: datetime) -> list[AvailabilityNotice]:
    """What a recipient may be told now, oldest first."""
    waiting = _waiting(site_id, recipient)
    keys = may_go_now(
        [WaitingNotice(n.pk, n.exam_id, n.next_at) for n in waiting.only("pk", "exam_id", "next_at")], at=at
    )
    return list(AvailabilityNotice.objects.filter(pk__in=keys).order_by("id"))


def next_notice_at(*, site_id: int, recipient: str) -> datetime | None:
    """When a recipient may be told again; None where nothing waits for it."""
    return min((notice.next_at for notice in _waiting(site_id, recipient)), default=None)


def _waiting(site_id: int, recipient: str) -> QuerySet[AvailabilityNotice]:
    return AvailabilityNotice.objects.filter(
        site=site_id, recipient=recipient, state=DeliveryState.WAITING
    ).order_by("id")[:NOTICES_AT_ONCE_MAX]


@transaction.atomic
def record_told(*, notice_id: int, at: datetime) -> None:
    """A recipient took a notice."""
    notice = _locked(notice_id)
    if notice.state != DeliveryState.WAITING:
        return
    notice_actions.notice_taken(notice, at=at)
    close_items(
        site_id=notice.site_id, key=_key(notice), at=at, by="rule", how="it takes what it is told again"
    )


@transaction.atomic
def record_not_told(*, notice_id: int, at: datetime, why: str, refused: bool) -> None:
    """A recipient did not take a notice; `why` says what it answered, without anything of the patient."""
    notice = _locked(notice_id)
    if notice.state != DeliveryState.WAITING:
        return
    if notice_actions.notice_not_taken(notice, at=at, why=why, refused=refused):
        raise_item(
            site_id=notice.site_id,
            kind=ItemKind.NOTICE_NOT_TAKEN,
            key=_key(notice),
            at=at,
            text=f"{notice.recipient} could not be told where images can be read after {notice.attempts} attempts: "
            f"{notice.last_error}. Mend it there, or in the site file; it goes on by itself.",
            data={"recipient": notice.recipient},
        )


def _locked(notice_id: int) -> AvailabilityNotice:
    return AvailabilityNotice.objects.select_for_update().get(pk=notice_id)


def _key(notice: AvailabilityNotice) -> str:
    return f"notices:{notice.recipient}"


def defer_notices(*, site_id: int, recipient: str, not_before: datetime | None = None) -> None:
    """Ask for the job that tells a recipient; one waits at a time, and one for later."""
    name = f"{NOTICE_TASK}:{site_id}:{recipient}"
    if not_before is None:
        task = jobs.configure_task(NOTICE_TASK, queue=DELIVER_QUEUE, queueing_lock=name, lock=name)
    else:
        task = jobs.configure_task(
            NOTICE_TASK, queue=DELIVER_QUEUE, queueing_lock=f"{name}:later", schedule_at=not_before
        )
    try:
        with transaction.atomic():
            task.defer(site_id=site_id, recipient=recipient)
    except job_errors.AlreadyEnqueued:
        return


def resume_notices(*, at: datetime) -> int:
    """Ask again for jobs of notices that wait although their time has come (a job was lost); the number of recipients."""
    ways = (
        AvailabilityNotice.objects.filter(state=DeliveryState.WAITING, next_at__lte=at)
        .order_by("site", "recipient")
        .values_list("site", "recipient")
        .distinct()
    )
    for site_id, recipient in ways:
        defer_notices(site_id=site_id, recipient=recipient)
    return len(ways)
