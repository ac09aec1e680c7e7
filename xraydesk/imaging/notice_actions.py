"""The writers of notices that images can be read, and of what destinations say of it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from xraydesk.imaging.models import AvailabilityNotice, Delivery, Image
from xraydesk.imaging.rules import WAIT_SECONDS_MAX, wait_seconds
from xraydesk.imaging.states import DeliveryState
from xraydesk.lib.ids import new_uid
from xraydesk.orders.models import Exam


def insert_notice(
    *, exam: Exam, recipient: str, destination: str, last: Image, said: dict[str, Any], at: datetime
) -> bool:
    """Keep what somebody is to be told; once for the same last image. True where it is new."""
    _, made = AvailabilityNotice.objects.get_or_create(
        exam=exam,
        recipient=recipient,
        destination=destination,
        last_image=last,
        defaults={"site": exam.site, "sop_instance_uid": new_uid(), "said": said, "next_at": at},
    )
    return made


def notice_taken(notice: AvailabilityNotice, *, at: datetime) -> None:
    """The recipient knows."""
    notice.state, notice.told_at, notice.last_error = DeliveryState.SENT, at, ""
    notice.attempts += 1
    notice.save()


def notice_not_taken(notice: AvailabilityNotice, *, at: datetime, why: str, refused: bool) -> bool:
    """It was not taken: wait longer each time. True where a person must look.

    What is refused is given up at the cap; whoever cannot be reached is tried again for ever.
    """
    notice.attempts += 1
    notice.last_error = why[:300]
    wait = wait_seconds(notice.attempts)
    if wait is None and refused:
        notice.state = DeliveryState.FAILED
    notice.next_at = at + timedelta(seconds=WAIT_SECONDS_MAX if wait is None else wait)
    notice.save()
    return wait is None


def mark_available(
    *, site_id: int, destination: str, sop_instance_uids: Collection[str], at: datetime | None
) -> list[int]:
    """A destination says that images can be read there, or (`at` None) no more; the exams that they are of."""
    deliveries = Delivery.objects.filter(
        site=site_id,
        destination=destination,
        image__sop_instance_uid__in=sop_instance_uids,
        image__exam__isnull=False,
        image__fetched=None,
    )
    exams = list(deliveries.order_by().values_list("image__exam", flat=True).distinct())
    deliveries.update(available_at=at)
    return sorted(exams)
