"""Why a place, who moves for it, and why not another one: from the plan itself, in words a coordinator would use.

A reason is data first, so that it can be held against the plan that it explains; the words come last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

from xraydesk.scheduling.engine.insertion import Move, Option
from xraydesk.scheduling.engine.line import NEVER, NOBODY
from xraydesk.scheduling.engine.problem import Plan, Problem
from xraydesk.scheduling.engine.state import NO_ONE, Day, day_of_plan
from xraydesk.scheduling.engine.words import whom_words
from xraydesk.scheduling.engine.zones import Reserved

REASONS_MAX = 4
"""So many reasons are said of one place."""

Wall = Callable[[int], str]
"""A minute of the problem as the clock on the wall shows it."""

Names = Mapping[str, str]

Stood = Mapping[str, Sequence[tuple[str, int]]]
"""Where exams stood that have just lost their place: room and minute, once for each seat of the room."""


class Kind(StrEnum):
    """What stands in the way of a place."""

    UNABLE = "the exam cannot be done in that room"
    NOT_READY = "not before it is ready"
    AFTER = "it comes after another exam"
    BEFORE = "another exam comes after it"
    CLOSED = "the room is not open"
    KEPT = "the room is kept for others"
    UNPUBLISHED = "the room's time is not for outpatients who are booked ahead"
    TAKEN = "the room is taken"
    PATIENT = "the patient is in another exam"
    NO_SKILL = "nobody who works here has the skill"
    PEOPLE = "no technologist is free"
    PORTERS = "no porter is free"


@dataclass(frozen=True)
class Reason:
    """One thing in the way of an exam in `room` at `start`. `until` is the first minute at which it is not; None: never today.

    `who` is the exam that has the room, the patient or the turn; `skills` are those that the exam asks for; `whom` are those
    for whom the room is kept, in the words of the site file, until a place at `start` is anybody's.
    """

    kind: Kind
    room: str
    start: int
    until: int | None = None
    who: str = ""
    skills: tuple[str, ...] = ()
    whom: tuple[str, ...] = ()


@dataclass(frozen=True)
class Explanation:
    """What is said of one option: its first line, then the reasons for it, then what else there was."""

    headline: str
    reasons: tuple[str, ...] = ()
    otherwise: tuple[str, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """All of it, in order."""
        return (self.headline, *self.reasons, *self.otherwise)


# -- why not there -----------------------------------------------------------------------------------


def why_not(problem: Problem, plan: Plan, *, exam: str, room: str, start: int) -> tuple[Reason, ...]:
    """Everything in the way of an exam in a room at a minute, all others staying where they are; empty: it fits."""
    day, _ = day_of_plan(problem, plan)
    i = day.number[exam]
    if day.room[i] >= 0 and not day.fixed[i]:
        day.take(i)
    return reasons(day, i, day.room_number[room], start)


def reasons(day: Day, i: int, room: int, start: int) -> tuple[Reason, ...]:
    """Everything in the way of an exam that has no place on the day now."""
    name = day.room_ids[room]
    minutes = day.minutes[i].get(room)
    if minutes is None:
        return (Reason(Kind.UNABLE, name, start),)
    end, hold = start + minutes, start + minutes + day.cleaning[i]
    found = [*_turn(day, i, name, start, end)]
    line = day.room_lines[room]
    for who in line.between(start, hold):
        free = line.next_free(start, hold - start)
        until = free if free < NEVER else None
        if who == NOBODY:
            found.append(Reason(Kind.CLOSED, name, start, until))
        else:
            found.append(Reason(Kind.TAKEN, name, start, until, day.exam_ids[who]))
    patient = day.patient_lines[day.patient[i]]
    for who in patient.between(start, end):
        found.append(Reason(Kind.PATIENT, name, start, patient.next_free(start, minutes), day.exam_ids[who]))
    if day.someone(i, start, end) == NO_ONE:
        found.append(_people(day, i, name, start, minutes))
    if day.porters(i, start, end) is None:
        found.append(Reason(Kind.PORTERS, name, start, _porters(day, i, start, minutes)))
    return tuple(dict.fromkeys(found))


def _turn(day: Day, i: int, name: str, start: int, end: int) -> list[Reason]:
    found = []
    if start < day.ready[i]:
        found.append(Reason(Kind.NOT_READY, name, start, day.ready[i]))
    for other in day.after[i]:
        over = day.start[other] + day.minutes[other][day.room[other]] if day.room[other] >= 0 else None
        if over is None or start < over:
            found.append(Reason(Kind.AFTER, name, start, over, day.exam_ids[other]))
    for other in day.followers[i]:
        if day.room[other] >= 0 and end > day.start[other]:
            found.append(Reason(Kind.BEFORE, name, start, None, day.exam_ids[other]))
    return found


def _people(day: Day, i: int, name: str, start: int, minutes: int) -> Reason:
    skills = tuple(sorted(day.problem.exams[i].skills))
    lines = [day.person_lines[t] for t in day.people_for[i]]
    if not lines:
        return Reason(Kind.NO_SKILL, name, start, None, skills=skills)
    free = min(line.next_free(start, minutes) for line in lines)
    return Reason(Kind.PEOPLE, name, start, free if free < NEVER else None, skills=skills)


def _porters(day: Day, i: int, start: int, minutes: int) -> int | None:
    """The first later start at which both ways have somebody."""
    way = day.way[i]
    if not day.porters_limited:
        return day.now + way
    at = start
    last = max((b for p in day.problem.porters or () for _, b in p.on), default=-NEVER)
    while at <= last:
        if day.porters(i, at, at + minutes) is not None:
            return at
        at = day.next_porters(i, at, minutes)
    return None


def in_words(reason: Reason, *, names: Names, wall: Wall) -> str:
    """One reason as a sentence."""
    room = names.get(reason.room, reason.room)
    at = wall(reason.start)
    until = wall(reason.until) if reason.until is not None else None
    who = names.get(reason.who, f"exam {reason.who}")
    match reason.kind:
        case Kind.UNABLE:
            return f"This exam cannot be done in {room}."
        case Kind.NOT_READY:
            return f"The patient cannot be there before {until}."
        case Kind.AFTER:
            return (
                f"It comes after {who}, which ends at {until}."
                if until
                else f"It comes after {who}, which has no place."
            )
        case Kind.BEFORE:
            return f"It would not be over when {who} begins, which comes after it."
        case Kind.CLOSED:
            return (
                f"{room} cannot be used at {at}; from {until} it can."
                if until
                else f"{room} cannot be used at {at}, nor later today."
            )
        case Kind.KEPT:
            return f"{room} at {at} is kept for {whom_words(reason.whom)} until {until}."
        case Kind.UNPUBLISHED:
            return f"{room} has no time for outpatients at {at}" + (
                f"; from {until} it has." if until else ", nor later today."
            )
        case Kind.TAKEN:
            return (
                f"{room} has {who} at {at}, and is free for so long from {until}."
                if until
                else f"{room} has {who} at {at}, and is not free for so long any more today."
            )
        case Kind.PATIENT:
            return f"The patient is in {who} until {until}."
        case Kind.NO_SKILL:
            return f"Nobody who works here has the skill {' and '.join(reason.skills)}."
        case Kind.PEOPLE:
            skilled = f" with the skill {' and '.join(reason.skills)}" if reason.skills else ""
            return f"No technologist{skilled} is free at {at}" + (
                f", until {until}." if until else ", nor later today."
            )
        case _:
            return f"No porter is free to bring the patient for {at}" + (
                f"; one is for {until}." if until else ", nor later today."
            )


# -- why this one ------------------------------------------------------------------------------------


def explain(
    problem: Problem,
    plan: Plan,
    options: Sequence[Option],
    *,
    wanted: Sequence[str] = (),
    names: Names | None = None,
    wall: Wall | None = None,
    reserved: Reserved | None = None,
    stood: Stood | None = None,
) -> tuple[Explanation, ...]:
    """What is to be said of each option, beside the others. `names` are words for rooms, people and exams by id.

    `reserved` says what of the rooms' time is kept for some; `stood`, where those stood who have just lost their place.
    """
    say = _Sayer(
        problem,
        plan,
        names or {},
        wall or _by_offset(problem),
        reserved=reserved or Reserved(),
        stood=stood or {},
    )
    return tuple(
        Explanation(
            headline=say.headline(option, wanted),
            reasons=say.why_there(option, wanted),
            otherwise=say.otherwise(option, options[k + 1] if k + 1 < len(options) else None, wanted),
        )
        for k, option in enumerate(options)
    )


def _by_offset(problem: Problem) -> Wall:
    return lambda minute: f"{problem.start + timedelta(minutes=minute):%H:%M}"


class _Sayer:
    def __init__(
        self, problem: Problem, plan: Plan, names: Names, wall: Wall, *, reserved: Reserved, stood: Stood
    ) -> None:
        self.problem, self.plan, self.names, self.wall, self.reserved = problem, plan, names, wall, reserved
        self.stood = stood
        self.day, _ = day_of_plan(problem, plan)

    def room(self, room: str) -> str:
        """A room's name."""
        return self.names.get(room, room)

    def headline(self, option: Option, wanted: Sequence[str]) -> str:
        """Where it goes and how many move for it."""
        places = [m.after for m in option.moves if m.exam in wanted and m.after]
        others = [m for m in option.moves if m.exam not in wanted]
        where = " and ".join(f"{self.room(p.room)} at {self.wall(p.start)}" for p in places)
        gone = sum(m.after is None for m in others)
        from_to = [(self._before(m), (m.after.room, m.after.start)) for m in others if m.after]
        moved = [(before[0][1], after[1]) for before, after in from_to if before and after not in before]
        placed = sum(not before for before, _ in from_to)
        words = []
        if moved:
            later = sum(max(0, after - before) for before, after in moved)
            wait = f", {later} minutes later in all" if later else ""
            words.append(
                f"{_count(len(moved), 'other exam moves', 'other exams move') if places else _count(len(moved), 'exam moves', 'exams move')}{wait}"
            )
        if placed:
            words.append(_count(placed, "exam is placed", "exams are placed"))
        if gone:
            words.append(_count(gone, "exam loses its place", "exams lose their place"))
        rest = "; ".join(words) if words else "nobody else moves"
        return f"{where}: {rest}." if where else f"{rest[0].upper()}{rest[1:]}."

    def _before(self, move: Move) -> Sequence[tuple[str, int]]:
        """Where an exam stands now, else where it stood; empty where it had no place."""
        return [(move.before.room, move.before.start)] if move.before else self.stood.get(move.exam, ())

    def why_there(self, option: Option, wanted: Sequence[str]) -> tuple[str, ...]:
        """Why the exam could not simply have been where it would be best: who or what is in the way there."""
        found: list[str] = []
        for move in option.moves:
            if move.exam not in wanted or move.after is None:
                continue
            i = self.day.number[move.exam]
            room = self.day.room_number[move.after.room]
            first = self.day.ideal(i, self.day.ready[i])
            held = self.day.take(i) if self.day.room[i] >= 0 else None
            there = first if move.after.start > first else move.after.start
            told = [self._as_reserved(i, r) for r in reasons(self.day, i, room, there)]
            if move.after.start > first:
                told = [*self._kept(i, first), *(r for r in told if r.kind is not Kind.KEPT)]
            if held:
                self.day.put(i, held)
            found += [in_words(r, names=self.names, wall=self.wall) for r in told[:REASONS_MAX]]
        return tuple(dict.fromkeys(found))[:REASONS_MAX]

    def _as_reserved(self, i: int, reason: Reason) -> Reason:
        """Where a room is open and cannot be used all the same: for whom it is."""
        if reason.kind is not Kind.CLOSED or not self.reserved.is_open(reason.room, reason.start):
            return reason
        minutes = self.day.minutes[i][self.day.room_number[reason.room]]
        kept = self.reserved.kept_from(
            self.day.exam_ids[i], reason.room, reason.start, reason.start + minutes
        )
        if kept is None:
            return replace(reason, kind=Kind.UNPUBLISHED)
        if kept.until(reason.start) <= self.day.now:
            return reason
        return replace(reason, kind=Kind.KEPT, until=kept.until(reason.start), whom=tuple(sorted(kept.whom)))

    def _kept(self, i: int, start: int) -> Iterator[Reason]:
        """Rooms that it could have had at a minute, were they not kept for others; each room once."""
        seen = set[str]()
        for number, minutes in self.day.minutes[i].items():
            room = self.day.room_ids[number]
            kept = self.reserved.kept_from(self.day.exam_ids[i], room, start, start + minutes)
            if (
                kept
                and kept.until(start) > self.day.now
                and self.reserved.is_open(room, start)
                and self.room(room) not in seen
            ):
                seen.add(self.room(room))
                yield Reason(Kind.KEPT, room, start, kept.until(start), whom=tuple(sorted(kept.whom)))

    def otherwise(self, option: Option, other: Option | None, wanted: Sequence[str]) -> tuple[str, ...]:
        """What it would be if nobody moved, and what the next best is."""
        found = []
        moves = [m for m in option.moves if m.exam in wanted and m.after]
        if len(moves) == 1 and len(option.moves) > 1 and moves[0].after:
            i = self.day.number[moves[0].exam]
            held = self.day.take(i) if self.day.room[i] >= 0 else None
            alone = self.day.cheapest(i)
            if held:
                self.day.put(i, held)
            if alone is None:
                found.append("Without anybody moving there is no place for it today.")
            else:
                later = alone.start - moves[0].after.start
                words = f", {later} minutes later" if later > 0 else ""
                found.append(
                    f"Without anybody moving: {self.room(self.day.room_ids[alone.room])} at {self.wall(alone.start)}{words}."
                )
        if other is not None:
            headline = self.headline(other, wanted)
            found.append(f"The next best: {headline}")
        return tuple(found)


def _count(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"
