"""Judging a plan, independently of whatever made it: its cost, or the first rule that it breaks.

Written to be read beside the rules. It shares nothing with the planner but the formats.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from xraydesk.scheduling.engine.problem import (
    FETCH_EARLY_MINUTES,
    RETURN_LATE_MINUTES,
    Exam,
    Interval,
    Job,
    Placed,
    Plan,
    Problem,
)

TOLERANCE = 1e-6
"""A claimed cost may differ by so much of itself: sums of decimals depend on their order."""


class Broken(Exception):
    """The plan breaks a rule; the sentence says which, and which exam."""


def check(problem: Problem, plan: Plan) -> float:
    """The cost of a plan that keeps every rule and says its cost rightly. Raises Broken with the first rule that it breaks."""
    wrong = broken_rule(problem, plan)
    if wrong:
        raise Broken(wrong)
    cost = cost_of(problem, plan)
    if abs(plan.cost - cost) > TOLERANCE * max(1.0, abs(cost)):
        raise Broken(f"The plan claims to cost {plan.cost:g}, and costs {cost:g}.")
    if plan.lower_bound is not None and plan.lower_bound > cost + TOLERANCE * max(1.0, abs(cost)):
        raise Broken(f"The lower bound {plan.lower_bound:g} is above the cost of this very plan, {cost:g}.")
    return cost


def broken_rule(problem: Problem, plan: Plan) -> str:
    """The first rule that a plan breaks, as a sentence; empty where it keeps them all. Claimed costs aside."""
    return next(broken_rules(problem, plan), "")


def broken_rules(problem: Problem, plan: Plan) -> Iterator[str]:
    """Every rule that a plan breaks, one sentence each; what can only be judged where those hold comes after them."""
    return _Checker(problem, plan).broken()


def cost_of(problem: Problem, plan: Plan) -> float:
    """What a plan costs, whatever rules it breaks; its exams must be the problem's."""
    exams = {e.id: e for e in problem.exams}
    total = 0.0
    for placed in plan.placed:
        exam = exams[placed.exam]
        if exam.due is not None:
            total += exam.weight * max(0, placed.start - exam.due)
        if exam.booked is not None:
            total += exam.booked.per_minute * abs(placed.start - exam.booked.start)
            if placed.room != exam.booked.room:
                total += exam.booked.per_room
    return total + sum(problem.unplanned_cost * exams[name].weight for name in plan.unplanned)


class _Checker:
    def __init__(self, problem: Problem, plan: Plan) -> None:
        self.problem, self.plan = problem, plan
        self.exams = {e.id: e for e in problem.exams}
        self.rooms = {r.id: r for r in problem.rooms}
        self.technologists = {t.id: t for t in problem.technologists or ()}
        self.porters = {p.id: p for p in problem.porters or ()}
        self.placed = {p.exam: p for p in plan.placed}

    def broken(self) -> Iterator[str]:
        """Every rule that is broken, one sentence each; later rules are only looked at where the earlier ones hold."""
        for rules in (self._each_once, self._one_by_one, self._together):
            found = False
            for sentence in rules():
                found = True
                yield sentence
            if found:
                return

    # -- who is in the plan ----------------------------------------------------------------------

    def _each_once(self) -> Iterator[str]:
        seen: set[str] = set()
        for name in (*(p.exam for p in self.plan.placed), *self.plan.unplanned):
            if name not in self.exams:
                yield f"Exam {name} is not in the problem."
            elif name in seen:
                yield f"Exam {name} stands twice in the plan."
            seen.add(name)
        for name, exam in self.exams.items():
            if name not in seen:
                yield f"Exam {name} is neither planned nor left out."
            elif exam.fixed and name not in self.placed:
                yield f"Exam {name} is fixed and was left out."

    # -- each exam by itself ---------------------------------------------------------------------

    def _one_by_one(self) -> Iterator[str]:
        for placed in self.plan.placed:
            exam = self.exams[placed.exam]
            yield from self._room_of(exam, placed)
            if placed.room not in exam.minutes:
                continue
            yield from self._technologist_of(exam, placed)
            yield from self._times_of(exam, placed)
            yield from self._porters_of(exam, placed)

    def _room_of(self, exam: Exam, placed: Placed) -> Iterator[str]:
        if placed.room not in self.rooms:
            yield f"Exam {exam.id} is in room {placed.room}, which is not in the problem."
        elif placed.room not in exam.minutes:
            yield f"Exam {exam.id} cannot be done in room {placed.room}."
        elif not _within(self.rooms[placed.room].open, placed.start, _end(exam, placed) + exam.cleaning):
            yield f"Exam {exam.id} is in room {placed.room} when it is not open for all of it."

    def _technologist_of(self, exam: Exam, placed: Placed) -> Iterator[str]:
        name = placed.technologist
        if self.problem.technologists is None:
            if name is not None:
                yield f"Exam {exam.id} names technologist {name}, and technologists are not limited."
            return
        if name is None:
            yield f"Exam {exam.id} has no technologist."
        elif name not in self.technologists:
            yield f"Exam {exam.id} has technologist {name}, who is not in the problem."
        else:
            who = self.technologists[name]
            lacking = sorted(exam.skills - who.skills)
            if lacking and exam.fixed is None:
                yield f"Exam {exam.id} needs the skill {lacking[0]}, which technologist {name} does not have."
            if not _within(who.on, placed.start, _end(exam, placed)):
                yield f"Exam {exam.id} has technologist {name}, who is not on for all of it."

    def _times_of(self, exam: Exam, placed: Placed) -> Iterator[str]:
        fixed = exam.fixed
        if fixed is None:
            if placed.start < exam.ready:
                yield f"Exam {exam.id} starts at {placed.start}, before it is ready at {exam.ready}."
            if placed.start < self.problem.now:
                yield f"Exam {exam.id} starts at {placed.start}, before now."
        elif (placed.room, placed.start) != (fixed.room, fixed.start):
            yield f"Exam {exam.id} is fixed in room {fixed.room} at {fixed.start} and was planned elsewhere."
        elif self.problem.technologists is not None and placed.technologist != fixed.technologist:
            yield f"Exam {exam.id} is fixed with technologist {fixed.technologist} and was given another."
        for other in exam.after:
            before = self.placed.get(other)
            if before is None:
                yield f"Exam {exam.id} comes after exam {other}, which was left out."
            elif before.room in self.exams[other].minutes and placed.start < _end(self.exams[other], before):
                yield f"Exam {exam.id} starts before exam {other} has ended, which it comes after."

    def _porters_of(self, exam: Exam, placed: Placed) -> Iterator[str]:
        wants_fetch, wants_return = exam.origin is not None and not exam.fixed, exam.origin is not None
        for job, wanted, word in (
            (placed.fetch, wants_fetch, "fetch"),
            (placed.back, wants_return, "return"),
        ):
            if wanted and job is None:
                yield f"Exam {exam.id} has no {word}."
            elif job is not None and not wanted:
                yield f"Exam {exam.id} has a {word} that it does not need."
        length = 2 * self.problem.travel[exam.origin] if exam.origin is not None else 0
        end = _end(exam, placed)
        if placed.fetch and wants_fetch:
            ends = placed.fetch.start + length
            if ends > placed.start:
                yield f"Exam {exam.id} is fetched by {ends}, after it starts."
            elif ends < placed.start - FETCH_EARLY_MINUTES:
                yield f"Exam {exam.id} is fetched more than {FETCH_EARLY_MINUTES} minutes before it starts."
            yield from self._porter_of(exam, placed.fetch, length, "fetch")
        if placed.back and wants_return:
            if placed.back.start < end:
                yield f"Exam {exam.id} is taken back at {placed.back.start}, before it has ended."
            elif placed.back.start > end + RETURN_LATE_MINUTES:
                yield f"Exam {exam.id} is taken back more than {RETURN_LATE_MINUTES} minutes after it has ended."
            yield from self._porter_of(exam, placed.back, length, "return")

    def _porter_of(self, exam: Exam, job: Job, length: int, word: str) -> Iterator[str]:
        if job.start < self.problem.now:
            yield f"The {word} of exam {exam.id} starts before now."
        if self.problem.porters is None:
            if job.porter is not None:
                yield f"The {word} of exam {exam.id} names a porter, and porters are not limited."
        elif job.porter is None:
            yield f"The {word} of exam {exam.id} has no porter."
        elif job.porter not in self.porters:
            yield f"The {word} of exam {exam.id} has porter {job.porter}, who is not in the problem."
        elif not _within(self.porters[job.porter].on, job.start, job.start + length):
            yield f"The {word} of exam {exam.id} has porter {job.porter}, who is not on for all of it."

    # -- nobody and nothing twice at once ----------------------------------------------------------

    def _together(self) -> Iterator[str]:
        both = [(self.exams[p.exam], p) for p in self.plan.placed]
        yield from _overlaps("room", ((p.room, p.start, _end(e, p) + e.cleaning, e.id) for e, p in both))
        yield from _overlaps("patient", ((e.patient, p.start, _end(e, p), e.id) for e, p in both))
        if self.problem.technologists is not None:
            yield from _overlaps(
                "technologist", ((str(p.technologist), p.start, _end(e, p), e.id) for e, p in both)
            )
        if self.problem.porters is not None:
            yield from _overlaps("porter", self._jobs())

    def _jobs(self) -> Iterator[tuple[str, int, int, str]]:
        for placed in self.plan.placed:
            exam = self.exams[placed.exam]
            for job in (placed.fetch, placed.back):
                if job is not None and exam.origin is not None:
                    length = 2 * self.problem.travel[exam.origin]
                    yield str(job.porter), job.start, job.start + length, exam.id


def _end(exam: Exam, placed: Placed) -> int:
    """When the exam's minutes have ended."""
    return placed.start + exam.minutes[placed.room]


def _within(intervals: Iterable[Interval], start: int, end: int) -> bool:
    return any(a <= start and end <= b for a, b in intervals)


def _overlaps(kind: str, holds: Iterable[tuple[str, int, int, str]]) -> Iterator[str]:
    """Pairs of exams that hold one thing at once; a hold of no length holds nothing."""
    by_name: dict[str, list[tuple[int, int, str]]] = {}
    for name, start, end, exam in holds:
        if end > start:
            by_name.setdefault(name, []).append((start, end, exam))
    for name, spans in by_name.items():
        spans.sort()
        latest, who = spans[0][1], spans[0][2]
        for start, end, exam in spans[1:]:
            if start < latest:
                yield f"Exams {who} and {exam} both have {kind} {name} at {start}."
            if end > latest:
                latest, who = end, exam
