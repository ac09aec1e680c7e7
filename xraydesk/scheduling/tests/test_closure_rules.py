"""A window for maintenance moves as few patients as can be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from xraydesk.scheduling.closure_rules import Taken, windows
from xraydesk.scheduling.engine.spans import Span

DAY = datetime(2026, 3, 2, 8, tzinfo=UTC)


def at(minute: int) -> datetime:
    return DAY + timedelta(minutes=minute)


def span(start: int, end: int) -> Span:
    return Span(at(start), at(end))


def best(
    *starts: int,
    length: int = 60,
    taken: tuple[Taken, ...] = (),
    opened: tuple[Span, ...] = (),
    count: int = 3,
) -> list[tuple[int, list[int]]]:
    found = windows(
        map(at, starts), length=timedelta(minutes=length), taken=taken, opened=opened, count=count
    )
    return [(int((w.span.start - DAY) / timedelta(minutes=1)), [t.key for t in w.displaced]) for w in found]


def test_the_fewest_move_and_then_it_is_the_soonest() -> None:
    taken = (Taken(1, span(0, 20)), Taken(2, span(50, 70)), Taken(3, span(100, 110)))
    assert best(0, 30, 60, 90, 120, taken=taken) == [(120, []), (30, [2])]


def test_what_only_touches_does_not_move() -> None:
    assert best(60, taken=(Taken(1, span(0, 60)), Taken(2, span(120, 130)))) == [(60, [])]


def test_whoever_was_told_a_time_counts_more_than_who_was_not() -> None:
    taken = (Taken(1, span(0, 10), told=True), Taken(2, span(100, 110)))
    assert best(0, 100, taken=taken) == [(100, [2]), (0, [1])]


def test_time_at_which_the_room_is_closed_anyhow_is_better() -> None:
    opened = (span(0, 60), span(90, 300))
    assert best(0, 60, 200, opened=opened) == [(60, []), (0, []), (200, [])]


def test_windows_lie_apart_and_are_no_more_than_wanted() -> None:
    assert best(*range(0, 300, 15)) == [(0, []), (60, []), (120, [])]
    assert best(0, 15, count=3) == [(0, [])]
    assert best() == []


@given(
    st.lists(st.tuples(st.integers(0, 600), st.integers(1, 90)), max_size=12),
    st.integers(15, 120),
)
def test_nobody_else_moves_and_no_window_would_move_fewer(exams: list[tuple[int, int]], length: int) -> None:
    taken = tuple(Taken(n, span(s, s + d)) for n, (s, d) in enumerate(exams))
    starts = range(0, 660, 15)

    def touched(start: int) -> set[int]:
        return {n for n, (s, d) in enumerate(exams) if s < start + length and start < s + d}

    found = best(*starts, length=length, taken=taken)
    for start, displaced in found:
        assert set(displaced) == touched(start)
    assert len(found[0][1]) == min(len(touched(start)) for start in starts)
