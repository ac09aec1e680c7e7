"""What is open, taken and left agrees with counting minute by minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from xraydesk.scheduling.engine.spans import Span, Timeline, merged, without

BASE = datetime(2026, 3, 2, tzinfo=UTC)


def at(minute: int) -> datetime:
    return BASE + timedelta(minutes=minute)


def span(start: int, end: int) -> Span:
    return Span(at(start), at(end))


spans = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda p: span(*p)), max_size=8)


def minutes(of: tuple[Span, ...] | list[Span]) -> set[int]:
    return {m for m in range(60) if any(s.start <= at(m) < s.end for s in of)}


@given(spans)
def test_merging_keeps_the_time_and_leaves_stretches_in_order_and_apart(given_spans: list[Span]) -> None:
    whole = merged(given_spans)
    assert minutes(whole) == minutes(given_spans)
    assert all(a.end < b.start for a, b in pairwise(whole))
    assert all(s.start < s.end for s in whole)


@given(spans, spans)
def test_taking_out_leaves_the_rest_and_nothing_else(given_spans: list[Span], holes: list[Span]) -> None:
    left = without(given_spans, holes)
    assert minutes(left) == minutes(given_spans) - minutes(holes)
    assert left == merged(left)


@given(spans, st.integers(0, 60), st.integers(1, 30))
def test_a_timeline_covers_what_its_minutes_cover(given_spans: list[Span], start: int, length: int) -> None:
    line = Timeline(merged(given_spans))
    wanted = set(range(start, start + length))
    assert line.covers(at(start), at(start + length)) == (wanted <= minutes(given_spans))


def test_the_next_opening_is_one_that_is_long_enough() -> None:
    line = Timeline((span(0, 10), span(20, 25), span(40, 60)))
    assert line.opening_after(at(0), timedelta(minutes=5)) == at(20)
    assert line.opening_after(at(0), timedelta(minutes=6)) == at(40)
    assert line.opening_after(at(40), timedelta(minutes=1)) is None
