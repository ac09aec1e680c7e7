"""Planning problems of every shape, small, for Hypothesis; and larger ones from a seed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from random import Random
from typing import Any

from hypothesis import strategies as st

from xraydesk.scheduling.engine.problem import (
    Booked,
    Exam,
    Fixed,
    Interval,
    Porter,
    Problem,
    Room,
    Technologist,
)

START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SKILLS = ("general", "peds")


@st.composite
def intervals(draw: st.DrawFn, *, most: int = 2, overlapping: bool = False) -> tuple[Interval, ...]:
    """Stretches in order, some of which touch; where asked for, also some that overlap or lie in each other."""
    if overlapping and draw(st.booleans()):
        edge = st.integers(0, 30)
        pairs = draw(st.lists(st.tuples(edge, edge).filter(lambda p: p[0] != p[1]), min_size=1, max_size=4))
        return tuple((4 * min(p), 4 * max(p)) for p in pairs)
    edges = sorted(draw(st.lists(st.integers(0, 30), min_size=2, max_size=2 * most, unique=True)))
    pairs = [(a * 4, b * 4) for a, b in zip(edges[::2], edges[1::2], strict=False)]
    if draw(st.booleans()) and pairs:
        pairs.append((pairs[-1][1], pairs[-1][1] + 20))
    return tuple(pairs)


@st.composite
def problems(
    draw: st.DrawFn, *, exams_max: int = 7, overlapping: bool = False, begun: bool = False
) -> Problem:
    """A small problem that keeps the format: technologists and porters absent, none or few; chains, bookings, fixed exams.

    `begun`: a fixed exam may have to be brought back by a porter, and come after one that is not fixed; there may be no
    plan at all then.
    """
    hours = intervals(overlapping=overlapping)
    rooms = tuple(Room(f"R{n}", draw(hours)) for n in range(draw(st.integers(1, 3))))
    people = None
    if draw(st.booleans()):
        people = tuple(
            Technologist(f"T{n}", draw(hours), frozenset(draw(st.sets(st.sampled_from(SKILLS)))))
            for n in range(draw(st.integers(0, 3)))
        )
    porters = None
    if draw(st.booleans()):
        porters = tuple(Porter(f"P{n}", draw(hours)) for n in range(draw(st.integers(0, 2))))
    travel = {"W1": draw(st.integers(0, 4)), "W2": 3}
    exams: list[Exam] = []
    for n in range(draw(st.integers(1, exams_max))):
        exams.append(draw(_exam(n, rooms, people, [e.id for e in exams])))
    if draw(st.booleans()):
        which = draw(st.integers(0, len(exams) - 1))
        exams[which] = _begun(exams[which], rooms, people, keep=begun)
    return Problem(
        start=START,
        exams=tuple(exams),
        rooms=rooms,
        technologists=people,
        porters=porters,
        travel=travel,
        now=draw(st.integers(0, 12)),
        unplanned_cost=draw(st.sampled_from([1000, 20, 0])),
    )


def _begun(
    exam: Exam, rooms: tuple[Room, ...], people: tuple[Technologist, ...] | None, *, keep: bool
) -> Exam:
    """The exam fixed at the first time its first room and somebody can have it; as it was where there is none.

    `keep`: it stays one that is brought from a ward, and comes after others.
    """
    room = next(r for r in rooms if r.id in exam.minutes)
    minutes = exam.minutes[room.id]
    for start in sorted({a for a, _ in room.open} | {a for t in people or () for a, _ in t.on}):
        if not _within(room.open, start, start + minutes + exam.cleaning):
            continue
        able = [t.id for t in people or () if _within(t.on, start, start + minutes)]
        if people is None or able:
            fixed = Fixed(room.id, start, able[0] if able else None)
            return replace(exam, fixed=fixed) if keep else replace(exam, fixed=fixed, origin=None, after=())
    return exam


def _within(spans: tuple[Interval, ...], first: int, last: int) -> bool:
    return any(a <= first and last <= b for a, b in spans)


@st.composite
def _exam(
    draw: st.DrawFn,
    n: int,
    rooms: tuple[Room, ...],
    people: tuple[Technologist, ...] | None,
    earlier: list[str],
) -> Exam:
    able = draw(st.sets(st.sampled_from([r.id for r in rooms]), min_size=1))
    booked = None
    if draw(st.booleans()):
        hint = draw(st.sampled_from([t.id for t in people])) if people else None
        booked = Booked(
            draw(st.sampled_from([r.id for r in rooms])),
            draw(st.integers(0, 100)),
            hint,
            per_minute=draw(st.sampled_from([0, 0.2, 1])),
            per_room=draw(st.sampled_from([0, 5])),
        )
    return Exam(
        id=f"E{n}",
        patient=draw(st.sampled_from(["A", "B", f"own {n}"])),
        minutes={room: draw(st.integers(1, 20)) for room in sorted(able)},
        ready=draw(st.integers(0, 60)),
        due=draw(st.one_of(st.none(), st.integers(0, 100))),
        weight=draw(st.sampled_from([0, 0.5, 1, 20])),
        cleaning=draw(st.sampled_from([0, 3])),
        skills=frozenset(draw(st.sets(st.sampled_from(SKILLS), max_size=1))),
        origin=draw(st.sampled_from([None, None, "W1", "W2"])),
        after=tuple(draw(st.sets(st.sampled_from(earlier), max_size=1)))
        if earlier and draw(st.booleans())
        else (),
        booked=booked,
    )


def day(*, exams: int, rooms: int, seed: int, stats: int = 0, fixed: int = 0) -> Problem:
    """A department's day from a seed: booked exams that fit, and `stats` more that have no place yet."""
    random = Random(seed)
    names = [f"XR{n}" for n in range(1, rooms + 1)]
    people = tuple(
        Technologist(f"T{n}", ((0, 720),), frozenset(SKILLS if n % 3 == 0 else SKILLS[:1]))
        for n in range(int(rooms * 1.3) + 1)
    )
    free = dict.fromkeys(names, 0)
    busy = dict.fromkeys((t.id for t in people), 0)
    made: list[Exam] = []
    for n in range(exams):
        room = min(names, key=lambda r: (free[r], random.random()))
        minutes = random.choice([8, 10, 12, 15, 20])
        person = min(busy, key=lambda t: busy[t])
        start = max(free[room], busy[person]) + random.choice([0, 0, 5, 10])
        if start + minutes > 720:
            break
        free[room] = busy[person] = start + minutes
        place: dict[str, Any] = {
            "booked": Booked(room, start, person, random.choice([0.1, 0.3, 1]), random.choice([0, 2, 5]))
        }
        if n < fixed:
            place = {"fixed": Fixed(room, start, person)}
        able = {room, *random.sample(names, min(len(names), 3))}
        made.append(
            Exam(
                f"E{n}", f"P{n}", dict.fromkeys(sorted(able), minutes), skills=frozenset({"general"}), **place
            )
        )
    for n in range(stats):
        ready = random.randrange(30, 600)
        able = set(random.sample(names, max(1, rooms // 2)))
        made.append(
            Exam(
                f"N{n}", f"S{n}", dict.fromkeys(sorted(able), 10), priority="stat", ready=ready, due=ready + 5,
                weight=20, skills=frozenset({"general"}),
            )
        )  # fmt: skip
    return Problem(
        start=START, exams=tuple(made), rooms=tuple(Room(r, ((0, 720),)) for r in names), technologists=people
    )
