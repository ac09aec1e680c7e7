"""Whose images a destination is sent next, how fast, and the jobs that send them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Case, IntegerField, QuerySet, Value, When
from procrastinate import exceptions as job_errors
from procrastinate.contrib.django import app as jobs

from xraydesk.imaging.models import Delivery
from xraydesk.imaging.sending_rules import LAST_IN_LINE, RANKS, REMEMBERED_SECONDS, Sent, free_at
from xraydesk.imaging.states import DeliveryState, ImageState

DELIVER_TASK = "deliver"
"""Name of the job that sends what waits for one destination over one association at a time; `links` owns it."""

DELIVER_QUEUE = "images"
REQUISITION_TASK = "write_requisition"
"""Name of the job that writes an exam's requisition as a document for the archive; `links` owns it."""

SENT_LOOKED_AT_MAX = 1000


@dataclass(frozen=True)
class Turn:
    """The exam whose images go next, and its rank: the lower the sooner."""

    exam_id: int
    rank: int


def _due(*, site_id: int, destination: str, at: datetime) -> QuerySet[Any]:
    return Delivery.objects.filter(
        site=site_id,
        destination=destination,
        state=DeliveryState.WAITING,
        next_at__lte=at,
        image__state=ImageState.MATCHED,
        image__exam__isnull=False,
    ).annotate(
        rank=Case(
            *(When(image__exam__priority=priority, then=Value(rank)) for priority, rank in RANKS.items()),
            default=Value(LAST_IN_LINE),
            output_field=IntegerField(),
        )
    )


def next_turn(
    *, site_id: int, destination: str, at: datetime, passed_over: Collection[int] = ()
) -> Turn | None:
    """The exam whose images go to a destination next: the most urgent, and of those the one that waits longest.

    `passed_over` are exams that somebody sends already. None where nothing may be tried now.
    """
    due = _due(site_id=site_id, destination=destination, at=at).exclude(image__exam__in=list(passed_over))
    first = due.order_by("rank", "id").values_list("image__exam", "rank").first()
    return Turn(int(first[0] or 0), first[1]) if first else None


def is_overtaken(
    turn: Turn, *, site_id: int, destination: str, at: datetime, passed_over: Collection[int] = ()
) -> bool:
    """True where images of a more urgent exam wait for the destination by now."""
    if turn.rank == min(RANKS.values()):
        return False
    due = _due(site_id=site_id, destination=destination, at=at).exclude(image__exam__in=list(passed_over))
    return due.filter(rank__lt=turn.rank).exists()


def link_free_at(*, site_id: int, destination: str, kilobytes_per_second: int, at: datetime) -> datetime:
    """When a destination may be sent the next image without more than so much going there; `at` or earlier is now."""
    if not kilobytes_per_second:
        return at
    rows = (
        Delivery.objects.filter(
            site=site_id,
            destination=destination,
            state=DeliveryState.SENT,
            sent_at__gt=at - timedelta(seconds=REMEMBERED_SECONDS),
        )
        .order_by("-sent_at")
        .values_list("sent_at", "image__size_bytes")[:SENT_LOOKED_AT_MAX]
    )
    sent = [Sent(when, size) for when, size in reversed(rows) if when is not None]
    return free_at(sent, kilobytes_per_second=kilobytes_per_second) or at


def next_try(*, site_id: int, destination: str, passed_over: Collection[int] = ()) -> datetime | None:
    """When the next image that waits for a destination may be tried; None where none waits but of exams `passed_over`."""
    waiting = Delivery.objects.filter(
        site=site_id, destination=destination, state=DeliveryState.WAITING, image__state=ImageState.MATCHED
    )
    waiting = waiting.exclude(image__exam__in=list(passed_over))
    return waiting.order_by("next_at").values_list("next_at", flat=True).first()


def defer_requisition(*, exam_id: int) -> None:
    """Ask for the job that writes an exam's requisition; one waits at a time."""
    task = jobs.configure_task(
        REQUISITION_TASK, queue=DELIVER_QUEUE, queueing_lock=f"{REQUISITION_TASK}:{exam_id}"
    )
    try:
        with transaction.atomic():
            task.defer(exam_id=exam_id)
    except job_errors.AlreadyEnqueued:
        return


def defer_delivery(
    *, site_id: int, destination: str, lanes: int = 1, not_before: datetime | None = None
) -> None:
    """Ask for the jobs that send what waits for a destination: of each lane one at once, and one for later, wait at a time.

    A later one takes no lock of its own, because a job that waits for its hour would hold up
    those behind it; should two run at once, an image is offered twice, which changes nothing.
    """
    for lane in range(lanes):
        name = f"deliver:{site_id}:{destination}:{lane}"
        if not_before is None:
            task = jobs.configure_task(DELIVER_TASK, queue=DELIVER_QUEUE, queueing_lock=name, lock=name)
        else:
            task = jobs.configure_task(
                DELIVER_TASK, queue=DELIVER_QUEUE, queueing_lock=f"{name}:later", schedule_at=not_before
            )
        try:
            with transaction.atomic():
                task.defer(site_id=site_id, destination=destination, lane=lane)
        except job_errors.AlreadyEnqueued:
            continue
