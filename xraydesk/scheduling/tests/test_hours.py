"""Rooms open and people come by the clock on the wall, whatever a clock change does."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

from hypothesis import given
from hypothesis import strategies as st

from xraydesk.lib import clock
from xraydesk.scheduling.engine.hours import hours_between, wall_spans
from xraydesk.scheduling.engine.spans import Span
from xraydesk.siteplan.hours import WEEKDAYS

ZONES = sorted(available_timezones())
DAYTIME = {day: ((time(7), time(19)),) for day in WEEKDAYS}
ALWAYS = {day: ((time(0), time(0)),) for day in WEEKDAYS}


# Later than 2011, when Samoa left out a whole day.
@given(st.sampled_from(ZONES), st.dates(date(2012, 1, 2), date(2035, 12, 31)))
def test_a_room_opens_and_closes_at_its_wall_time_in_every_zone(zone: str, day: date) -> None:
    """Row 45: wall time is kept across every clock change of every zone."""
    since, until = clock.day_bounds(day, zone)[0], clock.day_bounds(day + timedelta(days=2), zone)[1]
    found = hours_between(DAYTIME, zone=zone, since=since, until=until)
    walls = [(s.start.astimezone(ZoneInfo(zone)), s.end.astimezone(ZoneInfo(zone))) for s in found]
    for opens, closes in walls:
        assert (opens.time(), closes.time()) == (time(7), time(19))
        assert opens.date() == closes.date()


@given(st.sampled_from(ZONES), st.dates(date(2012, 1, 2), date(2035, 12, 31)))
def test_a_room_that_never_closes_is_open_in_one_piece(zone: str, day: date) -> None:
    """Row 45: hours that touch at midnight are one, on days of 23 and 25 hours too."""
    since, until = clock.day_bounds(day, zone)[0], clock.day_bounds(day + timedelta(days=3), zone)[1]
    assert hours_between(ALWAYS, zone=zone, since=since, until=until) == (Span(since, until),)


def test_a_night_shift_ends_on_the_next_day() -> None:
    nights = {"mon": ((time(19), time(7)),)}
    since, until = datetime(2026, 3, 3, tzinfo=UTC), datetime(2026, 3, 4, tzinfo=UTC)
    assert hours_between(nights, zone="UTC", since=since, until=until) == (
        Span(since, datetime(2026, 3, 3, 7, tzinfo=UTC)),
    )


def test_hours_that_the_clock_change_skips_are_left_out() -> None:
    """Row 45: on 8 March 2026 no clock in New York shows a time from 2:00 to 3:00."""
    gap = {"sun": ((time(2), time(3)),)}
    since = datetime(2026, 3, 8, tzinfo=UTC)
    assert hours_between(gap, zone="America/New_York", since=since, until=since + timedelta(days=1)) == ()


def test_a_closure_in_wall_time_is_as_long_as_the_clock_on_the_wall_makes_it() -> None:
    """Row 45: from 1:00 to 4:00 are two hours where the clock is put forward."""
    night = (datetime(2026, 3, 8, 1), datetime(2026, 3, 8, 4))
    assert wall_spans([night], zone="America/New_York") == (
        Span(datetime(2026, 3, 8, 6, tzinfo=UTC), datetime(2026, 3, 8, 8, tzinfo=UTC)),
    )


def test_a_day_without_hours_is_closed() -> None:
    since = datetime(2026, 3, 3, tzinfo=UTC)
    assert hours_between({}, zone="UTC", since=since, until=since + timedelta(days=7)) == ()
