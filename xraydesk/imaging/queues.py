"""Reading what is on its way to destinations."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Min, Q, QuerySet, Sum

from xraydesk.access.models import Site
from xraydesk.imaging.models import Delivery
from xraydesk.imaging.states import DeliveryState, ImageState, KeepingState
from xraydesk.orders.states import Priority

RATE_MINUTES = 10
"""How fast a destination takes images is counted over so long."""

GIVEN_UP_SHOWN_MAX = 200


@dataclass(frozen=True)
class Queue:
    """What waits for one destination, since when the oldest image of it is here, and how fast it goes there."""

    waiting: int = 0
    stat: int = 0
    oldest: datetime | None = None
    given_up: int = 0
    sent: int = 0
    sent_bytes: int = 0
    asked: int = 0
    """Images that it has and has not promised to keep yet."""
    not_kept: int = 0
    """Of which a person is asked."""

    @property
    def kilobytes_per_second(self) -> float:
        """In 1,000 bytes, over the last RATE_MINUTES."""
        return self.sent_bytes / 1000 / (RATE_MINUTES * 60)


def queues(*, site: Site, at: datetime) -> dict[str, Queue]:
    """The queue of each destination that images wait for, were given up for, or went to just now, in one query."""
    of_now = Q(state=DeliveryState.WAITING, image__state=ImageState.MATCHED)
    just = Q(state=DeliveryState.SENT, sent_at__gt=at - timedelta(minutes=RATE_MINUTES))
    open_ = Q(keeping__in=[KeepingState.DUE, KeepingState.ASKED])
    not_kept = Q(keeping__in=[KeepingState.NOT_KEPT, KeepingState.UNANSWERED])
    rows = (
        Delivery.objects.filter(of_now | just | open_ | not_kept | Q(state=DeliveryState.FAILED), site=site)
        .values("destination")
        .annotate(
            waiting=Count("id", filter=of_now),
            stat=Count("id", filter=of_now & Q(image__exam__priority=Priority.STAT)),
            oldest=Min("image__received_at", filter=of_now),
            given_up=Count("id", filter=Q(state=DeliveryState.FAILED)),
            sent=Count("id", filter=just),
            sent_bytes=Sum("image__size_bytes", filter=just, default=0),
            asked=Count("id", filter=open_),
            not_kept=Count("id", filter=not_kept),
        )
        .order_by()
    )
    return {
        row["destination"]: Queue(
            waiting=row["waiting"],
            stat=row["stat"],
            oldest=row["oldest"],
            given_up=row["given_up"],
            sent=row["sent"],
            sent_bytes=row["sent_bytes"],
            asked=row["asked"],
            not_kept=row["not_kept"],
        )
        for row in rows
    }


def given_up(*, site: Site) -> QuerySet[Delivery]:
    """Images that a destination did not take so often that a person is asked, the newest first."""
    failed = Delivery.objects.filter(site=site, state=DeliveryState.FAILED)
    return failed.select_related("image__exam").order_by("-next_at", "-id")
