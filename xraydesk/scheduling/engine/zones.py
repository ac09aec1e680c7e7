"""Rooms cut into the stretches that different exams may use: a planner whose rooms are the same for all is told of each as a room.

Pure. What is kept for some, or published for outpatients, ends at a minute; an exam lies in one stretch, as it lies in one
opening. A stretch's name says for whom it is, so that it is the same name whenever the day is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from xraydesk.scheduling.engine.problem import Interval


@dataclass(frozen=True)
class KeptMinutes:
    """A stretch that is still kept for some, in minutes. It began to be kept at `begins`; a place in it is anybody's `release`
    minutes before it begins (0: never)."""

    first: int
    last: int
    whom: frozenset[str]
    release: int = 0
    begins: int = 0

    def until(self, start: int) -> int:
        """The minute at which a place that begins then is anybody's."""
        return max(start, self.begins) - self.release if self.release else self.last


@dataclass(frozen=True)
class Stands:
    """An exam that stands in a room, and when the room is ready for the next one."""

    first: int
    last: int
    over: int


@dataclass(frozen=True, order=True)
class Zone:
    """Who may use a stretch: whoever has a claim to each of `kept`; an outpatient booked ahead only where it is `published`."""

    kept: tuple[tuple[str, ...], ...] = ()
    published: bool = True

    def lets_in(self, claims: frozenset[str], *, ahead: bool) -> bool:
        """True where an exam with these claims may be proposed into it."""
        return all(claims.intersection(whom) for whom in self.kept) and (self.published or not ahead)

    def name(self, room: str) -> str:
        """What the planner calls the stretch of a room; the room's own name where anybody may use it."""
        if self == ANYBODY:
            return room
        return f"{room}~{'/'.join('+'.join(whom) for whom in self.kept)}{'' if self.published else '-'}"


ANYBODY = Zone()


@dataclass(frozen=True)
class Template:
    """What a room's time is for, in minutes: what is kept, and what is published for outpatients (None: all of it)."""

    kept: tuple[KeptMinutes, ...] = ()
    published: tuple[Interval, ...] | None = None

    @property
    def cuts(self) -> set[int]:
        """The minutes at which somebody else may use it."""
        spans = [(k.first, k.last) for k in self.kept] + list(self.published or ())
        return {one for span in spans for one in span}

    def zone(self, first: int, last: int) -> Zone:
        """Who may use all of a stretch."""
        whom = {tuple(sorted(k.whom)) for k in self.kept if k.first < last and first < k.last}
        free = self.published is None or any(a <= first and last <= b for a, b in self.published)
        return Zone(tuple(sorted(whom)), free)


def zones_of(
    opened: Sequence[Interval], template: Template, standing: Sequence[Stands] = ()
) -> dict[Zone, tuple[Interval, ...]]:
    """A room's open time by who may use it.

    The time of an exam that stands there, cleaning and all, is left whole: for whoever may use all of the exam's own minutes.
    """
    found: dict[Zone, list[Interval]] = {}
    cuts = template.cuts.union(*((s.first, s.over) for s in standing))
    for first, last in opened:
        marks = sorted({first, last, *(c for c in cuts if first < c < last)})
        pieces: list[tuple[Zone, Interval]] = []
        for a, b in pairwise(marks):
            there = next((s for s in standing if s.first <= a and b <= s.over), None)
            zone = template.zone(there.first, there.last) if there else template.zone(a, b)
            if pieces and pieces[-1][0] == zone:
                pieces[-1] = (zone, (pieces[-1][1][0], b))
            else:
                pieces.append((zone, (a, b)))
        for zone, span in pieces:
            found.setdefault(zone, []).append(span)
    return {zone: tuple(spans) for zone, spans in found.items()}


@dataclass(frozen=True)
class Reserved:
    """What keeps exams from open time of the planner's rooms: `kept` and `opened` by room, and what each exam has a claim to."""

    kept: Mapping[str, tuple[KeptMinutes, ...]] = field(default_factory=dict)
    opened: Mapping[str, tuple[Interval, ...]] = field(default_factory=dict)
    claims: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def kept_from(self, exam: str, room: str, first: int, last: int) -> KeptMinutes | None:
        """What keeps an exam from a room between two minutes, because it is kept for others."""
        mine = self.claims.get(exam, frozenset[str]())
        overlapping = (k for k in self.kept.get(room, ()) if k.first < last and first < k.last)
        return next((k for k in overlapping if not k.whom & mine), None)

    def is_open(self, room: str, minute: int) -> bool:
        """True where the room can be used then, by somebody."""
        return any(a <= minute < b for a, b in self.opened.get(room, ()))
