"""In which order images are sent, and how fast a destination may be sent them; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from xraydesk.orders.states import Priority

RANKS: Mapping[Priority, int] = {Priority.STAT: 0, Priority.URGENT: 1, Priority.ROUTINE: 2}
"""The lower the sooner: images of a STAT overtake what waits."""

LAST_IN_LINE = 3

REMEMBERED_SECONDS = 600
"""What was sent longer ago no longer slows a destination down."""


@dataclass(frozen=True)
class Sent:
    """One image that a destination took: when, and how many bytes it had."""

    at: datetime
    size_bytes: int


def free_at(sent: Iterable[Sent], *, kilobytes_per_second: int) -> datetime | None:
    """When a link that carries so much is free again after what was sent over it; None where nothing was.

    `sent` is in the order of time. A kilobyte is 1,000 bytes. One image may go at full speed; the next one
    waits until the first would have come through at the limit, whoever of several senders has sent it.
    """
    free: datetime | None = None
    for one in sent:
        takes = timedelta(seconds=one.size_bytes / (1000 * kilobytes_per_second))
        # It was recorded when it had arrived: it had begun before.
        free = (one.at if free is None else max(free, one.at)) + takes
    return free
