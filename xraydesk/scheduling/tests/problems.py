"""Planning problems of every shape, small, for Hypothesis; and larger ones from a seed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
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


# Strategies are made once: a new one is examined before it is drawn from, which took more than half of the time.
_EITHER = st.booleans()
_MINUTE = st.integers(0, 100)
_DUE = st.none() | _MINUTE
_MINUTES = st.integers(1, 20)
_SKILLS = st.frozensets(st.sampled_from(SKILLS))
_NEEDED = st.frozensets(st.sampled_from(SKILLS), max_size=1)
_WEIGHT = st.sampled_from([0, 0.5, 1, 20])
_CLEANING = st.sampled_from([0, 3])
_ORIGIN = st.sampled_from([None, None, "W1", "W2"])
_PER_MINUTE = st.sampled_from([0, 0.2, 1])
_PER_ROOM = st.sampled_from([0, 5])
_UNPLANNED_COST = st.sampled_from([1000, 20, 0])


def _apart(edges: list[int], touching: bool) -> tuple[Interval, ...]:
    """Stretches in order, some of which touch."""
    edges.sort()
    pairs = [(a * 4, b * 4) for a, b in zip(edges[::2], edges[1::2], strict=False)]
    if touching:
        pairs.append((pairs[-1][1], pairs[-1][1] + 20))
    return tuple(pairs)


def _overlapping(ends: list[tuple[int, int]]) -> tuple[Interval, ...]:
    """Stretches in any order, some of which overlap or lie in each other."""
    return tuple((4 * min(pair), 4 * max(pair)) for pair in ends)


_EDGE = st.integers(0, 30)
_APART = st.builds(_apart, st.lists(_EDGE, min_size=2, max_size=4, unique=True), _EITHER)
_OVERLAPPING = st.lists(
    st.tuples(_EDGE, _EDGE).filter(lambda pair: pair[0] != pair[1]), min_size=1, max_size=4
).map(_overlapping)
_ANY_HOURS = _APART | _OVERLAPPING


@st.composite
def problems(
    draw: st.DrawFn, *, exams_max: int = 7, overlapping: bool = False, begun: bool = False
) -> Problem:
    """A small problem that keeps the format: technologists and porters absent, none or few; chains, bookings, fixed exams.

    `overlapping`: hours may overlap or lie in each other. `begun`: a fixed exam may have to be brought back by a
    porter, and come after one that is not fixed; there may be no plan at all then.
    """
    hours = _ANY_HOURS if overlapping else _APART
    rooms = tuple(Room(f"R{n}", draw(hours)) for n in range(draw(st.integers(1, 3))))
    people = None
    if draw(_EITHER):
        people = tuple(
            Technologist(f"T{n}", draw(hours), draw(_SKILLS)) for n in range(draw(st.integers(0, 3)))
        )
    porters = None
    if draw(_EITHER):
        porters = tuple(Porter(f"P{n}", draw(hours)) for n in range(draw(st.integers(0, 2))))
    travel = {"W1": draw(st.integers(0, 4)), "W2": 3}
    exams: list[Exam] = []
    for n in range(draw(st.integers(1, exams_max))):
        exams.append(_exam(draw, n, rooms, people, [e.id for e in exams]))
    if draw(_EITHER):
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
        unplanned_cost=draw(_UNPLANNED_COST),
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


def _exam(
    draw: st.DrawFn,
    n: int,
    rooms: tuple[Room, ...],
    people: tuple[Technologist, ...] | None,
    earlier: list[str],
) -> Exam:
    names = tuple(room.id for room in rooms)
    able = draw(_some_of(names))
    booked = None
    if draw(_EITHER):
        hint = draw(_one_of(tuple(t.id for t in people))) if people else None
        booked = Booked(
            draw(_one_of(names)), draw(_MINUTE), hint, per_minute=draw(_PER_MINUTE), per_room=draw(_PER_ROOM)
        )
    return Exam(
        id=f"E{n}",
        patient=draw(_one_of(("A", "B", f"own {n}"))),
        minutes={room: draw(_MINUTES) for room in sorted(able)},
        ready=draw(st.integers(0, 60)),
        due=draw(_DUE),
        weight=draw(_WEIGHT),
        cleaning=draw(_CLEANING),
        skills=draw(_NEEDED),
        origin=draw(_ORIGIN),
        after=(draw(_one_of(tuple(earlier))),) if earlier and draw(_EITHER) and draw(_EITHER) else (),
        booked=booked,
    )


@cache
def _one_of(names: tuple[str, ...]) -> st.SearchStrategy[str]:
    return st.sampled_from(names)


@cache
def _some_of(names: tuple[str, ...]) -> st.SearchStrategy[frozenset[str]]:
    return st.frozensets(st.sampled_from(names), min_size=1)


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
