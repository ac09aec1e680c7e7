"""Stretches of time, aware and in UTC, half-open: what is open, what is taken, what is left."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple


class Span(NamedTuple):
    """From `start` until just before `end`."""

    start: datetime
    end: datetime


def merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same time in order, touching and overlapping stretches made one, empty ones left out."""
    whole: list[Span] = []
    for span in sorted(spans):
        if span.end <= span.start:
            continue
        if whole and span.start <= whole[-1].end:
            whole[-1] = Span(whole[-1].start, max(whole[-1].end, span.end))
        else:
            whole.append(span)
    return tuple(whole)


def without(spans: Iterable[Span], holes: Iterable[Span]) -> tuple[Span, ...]:
    """What is left of `spans` once `holes` are taken out, in order and apart."""
    cuts = merged(holes)
    left: list[Span] = []
    for span in merged(spans):
        start = span.start
        for cut in cuts[max(0, bisect_left(cuts, (start,)) - 1) :]:
            if cut.start >= span.end:
                break
            if cut.start > start:
                left.append(Span(start, cut.start))
            start = max(start, cut.end)
        if start < span.end:
            left.append(Span(start, span.end))
    return tuple(left)


@dataclass(frozen=True)
class Timeline:
    """Stretches in order and apart, quick to ask."""

    spans: tuple[Span, ...]
    starts: tuple[datetime, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "starts", tuple(s.start for s in self.spans))

    def holding(self, at: datetime) -> Span | None:
        """The stretch in which `at` lies; None where it lies in none."""
        place = bisect_right(self.starts, at) - 1
        return self.spans[place] if place >= 0 and at < self.spans[place].end else None

    def covers(self, start: datetime, end: datetime) -> bool:
        """True where one stretch holds all of start to end."""
        span = self.holding(start)
        return span is not None and end <= span.end

    def opening_after(self, at: datetime, length: timedelta) -> datetime | None:
        """When the next stretch after `at` that is at least so long begins; None where none does."""
        later = self.spans[bisect_right(self.starts, at) :]
        return next((s.start for s in later if s.end - s.start >= length), None)
