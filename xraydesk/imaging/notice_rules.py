"""Who is told that images can be read, and in which order; pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class WaitingNotice:
    """A notice that was not taken yet: its key, the exam that it is about, and when it may be tried."""

    key: int
    exam_id: int
    next_at: datetime


def may_go_now(waiting: Iterable[WaitingNotice], *, at: datetime) -> list[int]:
    """The keys of the notices that may be tried now, in the order given; of one exam none overtakes an earlier one."""
    held: set[int] = set()
    found: list[int] = []
    for notice in waiting:
        if notice.next_at > at:
            held.add(notice.exam_id)
        elif notice.exam_id not in held:
            found.append(notice.key)
    return found
