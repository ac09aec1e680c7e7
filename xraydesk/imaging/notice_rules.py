"""Who is told that images can be read, and in which order; pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

ONLINE, UNAVAILABLE = "ONLINE", "UNAVAILABLE"
"""What is told of objects (PS3.3 C.4.23.1.1): they can be read, or not any more. Where a notice says neither, they can."""


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


def taken_back(told: Iterable[Mapping[str, Any]], gone: Collection[str]) -> dict[str, Any] | None:
    """What to tell somebody who was told of objects (`imaging.AvailabilityNotice.said`, oldest first) of which some are gone.

    None where none of them was told last as one that can be read.
    """
    last: Mapping[str, Any] = {}
    readable: dict[tuple[str, str, str], bool] = {}
    for said in told:
        last = said
        is_there = said.get("availability", ONLINE) == ONLINE
        for series, objects in said["series"].items():
            for sop_class, uid in objects:
                readable[(series, sop_class, uid)] = is_there
    found: dict[str, list[list[str]]] = {}
    for (series, sop_class, uid), is_there in readable.items():
        if is_there and uid in gone:
            found.setdefault(series, []).append([sop_class, uid])
    return {**last, "series": found, "availability": UNAVAILABLE} if found else None
