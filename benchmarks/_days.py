"""Days to plan, made from a seed: a morning from nothing, STATs into a day under way, a room out of order, too much work, few porters.

No real patient, ward or person is in them. The kinds differ in how full they are and what is scarce;
each seed draws rooms, hours, skills and people anew.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from random import Random

from xraydesk.scheduling.engine.dispatch import dispatch
from xraydesk.scheduling.engine.firstcome import first_come
from xraydesk.scheduling.engine.problem import (
    Booked,
    Exam,
    Fixed,
    Interval,
    Placed,
    Porter,
    Problem,
    Room,
    Technologist,
)

START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
KINDS = ("morning", "stat", "breakdown", "overload", "porters", "full-stat", "full-breakdown")
SKILLS = (("general", 0.68), ("peds", 0.13), ("ortho", 0.1), ("fluoro", 0.09))
LENGTHS = {
    "general": (8, 9, 10, 10, 12, 12, 14, 20),
    "peds": (8, 10, 15, 25),
    "ortho": (12, 14, 18, 22),
    "fluoro": (20, 22, 25),
}
ROSTER: tuple[tuple[str, ...], ...] = (
    (), ("fluoro",), ("ortho",), ("peds",), ("fluoro", "ortho", "peds"), (), ("ortho",), ("fluoro", "ortho"),
    ("peds",), (), ("fluoro",), ("fluoro", "ortho", "peds"), ("ortho",), ("peds",),
)  # fmt: skip


def made(kind: str, exams: int, seed: int) -> Problem:
    """One day of a kind with about so many exams."""
    random = Random(f"{kind}-{exams}-{seed}")
    if kind in ("morning", "overload", "porters"):
        return _Day(random, kind, exams).problem()
    return _under_way(random, kind, exams)


class _Day:
    """A day planned from nothing."""

    def __init__(self, random: Random, kind: str, exams: int) -> None:
        self.random, self.kind, self.exams = random, kind, exams
        self.load = {"overload": 0.8, "porters": 0.46}.get(kind, random.uniform(0.45, 0.55))
        if kind.startswith("full"):
            self.load = random.uniform(0.5, 0.6)
        elif kind in ("stat", "breakdown"):
            self.load = random.uniform(0.4, 0.5)
        self.sites = (
            ["main"] if exams < 450 else ["main", "north"] if exams < 900 else ["harbour", "main", "north"]
        )
        count = max(2, round(exams / random.choice((12, 16, 20) if exams < 150 else (22, 28, 33))))
        count = max(count, len(self.sites) * 2)
        self.close = 15 * max(10, round(exams * 12.5 / count / self.load / 15))
        self.rooms_at: dict[str, list[str]] = {s: [] for s in self.sites}
        self.rooms: list[Room] = []
        self.slow: dict[str, float] = {}
        self.able: dict[str, set[str]] = {}
        for n in range(count):
            site = self.sites[n % len(self.sites)]
            name = f"{site[0].upper()}{n // len(self.sites) + 1}"
            self.rooms_at[site].append(name)
            self.slow[name] = random.choice((0.85, 1.0, 1.0, 1.1, 1.2))
            self.rooms.append(Room(name, self._hours()))
            k = len(self.rooms_at[site])
            self.able[name] = (
                {"general"} if k % 5 == 2 else {"general", "ortho"} if k % 5 != 0 else {"peds", "general"}
            )
            if k % 6 == 2:
                self.able[name].add("fluoro")
            if k % 3 == 1 or random.random() < 0.3:
                self.able[name].add("peds")
        for site in self.sites:
            for skill, _ in SKILLS:
                if not any(skill in self.able[r] for r in self.rooms_at[site]):
                    self.able[random.choice(self.rooms_at[site])].add(skill)

    def _hours(self) -> tuple[Interval, ...]:
        draw = self.random.random()
        if draw < 0.55:
            return ((0, self.close),)
        if draw < 0.7:
            return ((15 * self.random.randint(4, max(4, self.close // 45)), self.close),)
        noon = self.close // 2 + 5 * self.random.randint(-8, 8)
        return ((0, noon), (noon + self.random.choice((30, 45)), self.close))

    def people(self) -> tuple[Technologist, ...] | None:
        if self.kind == "overload" and self.random.random() < 0.3:
            return None
        found: list[Technologist] = []
        every = self.kind in ("overload",) or self.exams <= 50
        for site in self.sites:
            need = (
                len(self.rooms_at[site]) * self.random.uniform(1.2, 1.5)
                if not every
                else len(self.rooms_at[site]) + 1
            )
            for k in range(max(3, round(need))):
                skills = {"general", *ROSTER[(k + (4 if every else 0)) % len(ROSTER)]}
                if len(self.sites) > 1:
                    skills.add(site)
                found.append(
                    Technologist(f"T{len(found) + 1}", self._shift(k, every=every), frozenset(skills))
                )
        return tuple(found)

    def _shift(self, k: int, *, every: bool) -> tuple[Interval, ...]:
        end, part = self.close, 15 * round(self.close * 0.66 / 15)
        if every:
            return ((0, end),)
        first, last = ((0, part), (end - part, end), (15 * round(end / 90), part + 15 * round(end / 90)))[
            k % 3
        ]
        if k % 5 in (1, 4):
            noon = (first + last) // 2
            return ((first, noon), (noon + 30, last))
        return ((first, last),)

    def porters(self, work: int) -> tuple[Porter, ...]:
        busy = {"porters": 0.84, "overload": 0.5}.get(self.kind, 0.5)
        count = max(2, round(work / busy / (self.close + 30)))
        on: list[tuple[Interval, ...]] = [((0, self.close + 30),)] * count
        if self.exams > 60:
            half = (self.close + 30) // 2
            for k in range(count // 3):
                on[k] = (
                    ((60, self.close + 30),)
                    if self.kind != "porters"
                    else ((0, half - 15), (half + 15, self.close + 30))
                )
        return tuple(Porter(f"P{k + 1}", spans) for k, spans in enumerate(on))

    def problem(self) -> Problem:
        random = self.random
        wards = {f"W{k + 1}": random.randint(3, 10) for k in range(11 if self.exams > 100 else 5)}
        exams: list[Exam] = []
        patient = 0
        while len(exams) < self.exams:
            patient += 1
            site = random.choice(self.sites)
            ward = (
                random.choice(list(wards))
                if random.random() < {"porters": 0.57, "overload": 0.3}.get(self.kind, 0.22)
                else None
            )
            first = random.randint(0, max(1, int(self.close * 0.78)))
            kind = random.choices(("routine", "urgent", "stat"), (86, 12, 2))[0]
            before: tuple[str, ...] = ()
            for _ in range(random.choices((1, 2, 3), (88, 10, 2))[0]):
                exam = self._exam(f"E{len(exams) + 1}", f"P{patient}", (site, kind, ward), first, before)
                exams.append(exam)
                before = (exam.id,) if random.random() < 0.5 else ()
        work = sum(4 * wards[e.origin] for e in exams if e.origin)
        return Problem(
            start=START, exams=tuple(exams), rooms=tuple(self.rooms), technologists=self.people(),
            porters=self.porters(work), travel=wards,
            unplanned_cost=random.choice((120, 160, 200)) if self.kind == "overload" else 1000,
        )  # fmt: skip

    def _exam(
        self, name: str, patient: str, told: tuple[str, str, str | None], first: int, after: tuple[str, ...]
    ) -> Exam:
        random = self.random
        site, priority, ward = told
        skill = random.choices([s for s, _ in SKILLS], [w for _, w in SKILLS])[0]
        minutes = random.choice(LENGTHS[skill])
        able = [r for r in self.rooms_at[site] if skill in self.able[r]]
        if len(able) > 7:
            able = random.sample(able, random.choice((5, 6, 7)))
        booked = None
        ready = first
        if priority == "routine" and ward is None:
            ready = 5 * (first // 5)
            due = ready + random.choice((10, 15, 15, 20, 20, 25, 25, 30))
            if random.random() < 0.25:
                booked = Booked(
                    random.choice(able), ready + random.choice((5, 10, 10, 15)),
                    per_minute=random.choice((0, 0.1, 0.2, 0.5)), per_room=random.choice((0, 1, 3)),
                )  # fmt: skip
            weight = random.choice((1, 1, 1, 1.5, 2))
        elif priority == "routine":
            ready = random.choice((0, first))
            due = ready + random.choice((60, 75, 90, 105, 120, 135))
            weight = random.choice((0.5, 1, 1, 1.5))
        elif priority == "urgent":
            due, weight = ready + random.choice((30, 45, 60)), random.choice((4, 5, 6))
        else:
            due, weight = ready + random.choice((15, 20, 30)), random.choice((20, 30, 50))
        skills = frozenset({skill, site} if len(self.sites) > 1 else {skill})
        return Exam(
            name, patient, {r: max(8, round(minutes * self.slow[r])) for r in able}, priority, ready, due, weight,
            random.choice((0, 0, 2, 2, 3, 5)) if skill != "fluoro" else random.choice((3, 5, 8)), skills, ward, after, booked,
        )  # fmt: skip


def _under_way(random: Random, kind: str, exams: int) -> Problem:
    """A day that was planned, about a third of it gone: who has begun is fixed, who is done is gone, and then something happens."""
    morning = _Day(random, kind, round(exams * 1.35)).problem()
    days = (dispatch(morning).plan(), first_come(morning))
    plan = days[0] if random.random() < 0.8 else days[1]
    end = max(b for r in morning.rooms for _, b in r.open)
    now = round(end * random.uniform(0.24, 0.38))
    placed = {p.exam: p for p in plan.placed}
    minutes = {e.id: e.minutes for e in morning.exams}
    gone = {n for n, p in placed.items() if p.start + minutes[n][p.room] <= now}
    kept = [
        _in_force(random, e, placed[e.id], now, gone)
        for e in morning.exams
        if e.id in placed and e.id not in gone
    ]
    if kind.startswith("full"):
        kept = [_longer(random, e, kept) if e.fixed and random.random() < 0.3 else e for e in kept]
    porters = tuple(
        replace(q, on=((now + random.randint(0, 25), q.on[-1][1]),)) for q in morning.porters or ()
    )
    problem = replace(morning, exams=tuple(kept), porters=porters, now=now)
    if kind.endswith("stat"):
        return replace(problem, exams=(*problem.exams, *_new(random, problem, 2 + exams // 50)))
    return _broken(random, problem)


def _in_force(random: Random, exam: Exam, place: Placed, now: int, gone: set[str]) -> Exam:
    after = tuple(o for o in exam.after if o not in gone)
    told = replace(
        exam,
        after=after,
        due=exam.due if exam.due is not None and exam.due > place.start and random.random() < 0.5 else None,
    )
    booked = Booked(
        place.room, place.start, place.technologist,
        random.choice((0, 0, 0.05, 0.1, 0.2, 0.3, 0.5)), random.choice((0, 0, 1, 2, 5)),
    )  # fmt: skip
    if exam.priority != "routine":
        told, booked = (
            replace(told, due=max(exam.due or 0, place.start + 15)),
            replace(booked, per_minute=0, per_room=0),
        )
    if place.start <= now:
        return replace(told, booked=booked, fixed=Fixed(place.room, place.start, place.technologist))
    return replace(told, ready=min(exam.ready, place.start), booked=booked)


def _longer(random: Random, exam: Exam, exams: list[Exam]) -> Exam:
    """A running exam takes longer than it was booked for, as far as no other running one is in its way."""
    assert exam.fixed is not None
    room = exam.fixed.room
    return replace(exam, minutes={**exam.minutes, room: exam.minutes[room] + random.randint(4, 16)})


def _new(random: Random, problem: Problem, count: int) -> list[Exam]:
    like = [e for e in problem.exams if not e.fixed and "general" in e.skills]
    found = []
    for k in range(count):
        model = random.choice(like)
        urgent = random.random() < 0.3
        ready = problem.now + random.choice((0, 0, 5, 10, 20, 60))
        found.append(
            replace(
                model, id=f"N{k + 1}", patient=f"Q{k + 1}", priority="urgent" if urgent else "stat", ready=ready,
                due=ready + random.choice((20, 30)), weight=random.choice((4, 5, 6) if urgent else (20, 30, 50)),
                after=(), booked=None, origin=random.choice([None, None, *problem.travel]),
            )
        )  # fmt: skip
    return found


def _broken(random: Random, problem: Problem) -> Problem:
    """One room, in which nothing runs that could not end, closes for two to four hours from now."""
    held: dict[str, int] = {}
    for e in problem.exams:
        if e.fixed:
            held[e.fixed.room] = max(
                held.get(e.fixed.room, 0), e.fixed.start + e.minutes[e.fixed.room] + e.cleaning
            )
    room = random.choice(problem.rooms)
    first = max(problem.now, held.get(room.id, 0))
    last = first + random.choice((120, 150, 180, 240))
    opened = []
    for a, b in room.open:
        opened += [(a, min(b, first))] if a < min(b, first) else []
        opened += [(max(a, last), b)] if max(a, last) < b else []
    rooms = tuple(replace(r, open=tuple(opened)) if r is room else r for r in problem.rooms)
    return replace(problem, rooms=rooms)
