"""When one thing is taken, in order of time: a room, a technologist, a porter, a patient."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable

from xraydesk.scheduling.engine.problem import Interval

NEVER = 1 << 40
"""A minute after every plan."""

NOBODY = -1
"""In place of a number: nobody, no room, nothing."""


class Line:
    """When one thing is taken: stretches in order of time that do not overlap.

    Closed hours are stretches of NOBODY. Where two open stretches touch or overlap, a stretch of no
    length stands at the end of the first, which nothing may reach over: for hours that overlap that
    is stricter than need be, and never wrong.
    """

    __slots__ = ("ends", "starts", "who")

    def __init__(self, opened: Iterable[Interval] | None = None) -> None:
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.who: list[int] = []
        if opened is None:
            return
        before = -NEVER
        for first, last in sorted(opened, key=lambda span: (span[0], -span[1])):
            if last > before:
                self._closed(before, max(first, before))
                before = last
        self._closed(before, NEVER)

    def _closed(self, first: int, last: int) -> None:
        self.starts.append(first)
        self.ends.append(last)
        self.who.append(NOBODY)

    def join(self, first: int, last: int) -> None:
        """Let what is fixed from `first` to `last` reach over an end of hours that other hours overlap."""
        for k in range(len(self.starts) - 1, -1, -1):
            if self.who[k] == NOBODY and first < self.starts[k] == self.ends[k] < last:
                del self.starts[k], self.ends[k], self.who[k]

    def free(self, first: int, last: int) -> bool:
        """Whether nothing is taken between two minutes."""
        i = bisect_right(self.starts, first)
        return (i == 0 or self.ends[i - 1] <= first) and (i == len(self.starts) or self.starts[i] >= last)

    def next_free(self, since: int, length: int) -> int:
        """The first minute from `since` at which so long is free; NEVER where there is none."""
        starts, ends = self.starts, self.ends
        i = bisect_right(starts, since)
        if i and ends[i - 1] > since:
            since = ends[i - 1]
        for j in range(i, len(starts)):
            if starts[j] >= since + length:
                return since
            since = max(since, ends[j])
        return since if since < NEVER else NEVER

    def last_free(self, until: int, length: int) -> int:
        """The last minute up to `until` at which so long is free; -NEVER where there is none."""
        starts, ends = self.starts, self.ends
        i = bisect_left(starts, until + length)
        for j in range(i - 1, -1, -1):
            if ends[j] <= until:
                return until
            until = min(until, starts[j] - length)
        return max(until, -NEVER)

    def add(self, first: int, last: int, who: int) -> None:
        """Take a stretch that is free."""
        i = bisect_right(self.starts, first)
        self.starts.insert(i, first)
        self.ends.insert(i, last)
        self.who.insert(i, who)

    def drop(self, first: int, who: int) -> None:
        """Give a stretch back."""
        i = bisect_left(self.starts, first)
        while self.who[i] != who or self.starts[i] != first:
            i += 1
        del self.starts[i], self.ends[i], self.who[i]

    def between(self, first: int, last: int) -> list[int]:
        """Who has it between two minutes; NOBODY among them where it is closed then."""
        i = bisect_right(self.starts, first)
        if i and self.ends[i - 1] > first:
            i -= 1
        found = []
        while i < len(self.starts) and self.starts[i] < last:
            found.append(self.who[i])
            i += 1
        return found
