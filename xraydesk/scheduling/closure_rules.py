"""When a room can be closed for a while so that the fewest patients have to move. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from xraydesk.scheduling.engine.spans import Span

WINDOWS = 3
"""So many are proposed."""


@dataclass(frozen=True)
class Taken:
    """An exam that is booked in the room. `told` where its patient was told the time."""

    key: int
    span: Span
    told: bool = False


@dataclass(frozen=True)
class Window:
    """A stretch in which the room could be closed, who would have to move, and how much open time it takes."""

    span: Span
    displaced: tuple[Taken, ...]
    open_minutes: int


def windows(
    starts: Iterable[datetime],
    *,
    length: timedelta,
    taken: Sequence[Taken],
    opened: Sequence[Span],
    count: int = WINDOWS,
) -> list[Window]:
    """The best windows that begin at one of `starts`, none over another, the best first.

    Best is where the fewest patients move; then the fewest who were told a time; then where
    the least of the room's open time is lost; then the soonest.
    """
    in_order = sorted(taken, key=lambda t: (t.span.start, t.key))
    begins = [one.span.start for one in in_order]
    longest = max((one.span.end - one.span.start for one in in_order), default=timedelta())
    found = []
    for start in starts:
        span = Span(start, start + length)
        near = in_order[bisect_left(begins, start - longest) : bisect_left(begins, span.end)]
        found.append(Window(span, tuple(t for t in near if t.span.end > start), _open_minutes(opened, span)))
    found.sort(
        key=lambda w: (len(w.displaced), sum(t.told for t in w.displaced), w.open_minutes, w.span.start)
    )
    chosen: list[Window] = []
    for window in found:
        if len(chosen) == count:
            break
        if all(
            window.span.end <= other.span.start or other.span.end <= window.span.start for other in chosen
        ):
            chosen.append(window)
    return chosen


def _open_minutes(opened: Sequence[Span], span: Span) -> int:
    shared = (min(o.end, span.end) - max(o.start, span.start) for o in opened)
    return int(sum((s for s in shared if s > timedelta()), timedelta()) / timedelta(minutes=1))
