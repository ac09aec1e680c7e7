"""How fast a destination may be sent images."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tests.factories import AT
from xraydesk.imaging.sending_rules import RANKS, Sent, free_at
from xraydesk.orders.states import Priority


def after(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


def test_a_stat_is_before_all_others_and_every_priority_has_its_place() -> None:
    assert sorted(Priority, key=RANKS.__getitem__) == [Priority.STAT, Priority.URGENT, Priority.ROUTINE]


def test_a_link_is_free_when_what_was_sent_would_have_come_through_at_the_limit() -> None:
    assert free_at([], kilobytes_per_second=100) is None
    one = Sent(AT, 500_000)
    assert free_at([one], kilobytes_per_second=100) == after(5)
    assert free_at([one, Sent(after(1), 100_000)], kilobytes_per_second=100) == after(6)
    assert free_at([one, Sent(after(60), 100_000)], kilobytes_per_second=100) == after(61)


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 2_000_000)), min_size=1, max_size=30),
    st.integers(1, 5000),
)
def test_whoever_waits_until_the_link_is_free_sends_no_more_than_the_limit(
    images: list[tuple[int, int]], limit: int
) -> None:
    sent: list[Sent] = []
    now = AT
    for pause, size in images:
        now = max(now, free_at(sent, kilobytes_per_second=limit) or now) + timedelta(seconds=pause)
        sent.append(Sent(now, size))
    seconds = (sent[-1].at - sent[0].at).total_seconds()
    # What went before the last image; a microsecond is what times are rounded to.
    before_last = sum(one.size_bytes for one in sent[:-1])
    assert before_last <= limit * 1000 * (seconds + 1e-6 * len(sent))
