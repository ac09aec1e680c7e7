"""Wall time and moments."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import available_timezones

from hypothesis import given
from hypothesis import strategies as st

from xraydesk.lib import clock

zones = st.sampled_from(sorted(available_timezones() - {"localtime", "Factory"}))
days = st.dates(date(1990, 1, 1), date(2035, 12, 30))


def test_now_is_aware_and_utc() -> None:
    assert clock.now().tzinfo is UTC


def test_a_time_that_the_change_skips_lands_after_the_gap() -> None:
    at = clock.at_wall_time(date(2026, 3, 8), time(2, 30), "America/New_York")
    assert at == datetime(2026, 3, 8, 7, 30, tzinfo=UTC)
    assert clock.in_zone(at, "America/New_York").time() == time(3, 30)


def test_a_time_that_comes_twice_means_the_first() -> None:
    at = clock.at_wall_time(date(2026, 11, 1), time(1, 30), "America/New_York")
    assert at == datetime(2026, 11, 1, 5, 30, tzinfo=UTC)


def test_the_day_of_a_clock_change_has_23_or_25_hours() -> None:
    spring = clock.day_bounds(date(2026, 3, 8), "America/New_York")
    autumn = clock.day_bounds(date(2026, 11, 1), "America/New_York")
    assert spring[1] - spring[0] == timedelta(hours=23)
    assert autumn[1] - autumn[0] == timedelta(hours=25)


@given(zones, days)
def test_every_moment_of_a_day_lies_in_it(zone: str, day: date) -> None:
    first, after = clock.day_bounds(day, zone)
    if after > first:  # a zone may skip a whole day when it crosses the date line
        assert clock.local_day(after - timedelta(microseconds=1), zone) <= day
        assert clock.local_day(first, zone) >= day
