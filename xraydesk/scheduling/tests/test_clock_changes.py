"""Templates keep the time on the wall in every zone, on the days before, of and after each change of its clock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.properties import tried
from xraydesk.lib import clock
from xraydesk.rooms.models import Room
from xraydesk.scheduling.engine.ahead import Ask, Search
from xraydesk.scheduling.engine.department import Department, Need, RoomTimes
from xraydesk.scheduling.engine.hours import hours_between, slot_starts
from xraydesk.scheduling.engine.spans import Span
from xraydesk.scheduling.queries import kept_times
from xraydesk.siteplan.hours import WEEKDAYS

YEAR = 2026
MORNING = {day: ((time(8), time(12)),) for day in WEEKDAYS}
ALWAYS = {day: ((time(0), time(0)),) for day in WEEKDAYS}
SLOT_MINUTES = 20
GRID = [time(8 + m // 60, m % 60) for m in range(0, 240, SLOT_MINUTES)]
KEPT_FROM, KEPT_TO = time(10), time(10, 40)


@cache
def changes() -> tuple[tuple[str, date, bool], ...]:
    """Every zone's changes of the year: zone, the day on which the clock is changed, whether it is put forward."""
    found = []
    for name in sorted(available_timezones()):
        zone = ZoneInfo(name)
        before = datetime(YEAR - 1, 12, 31, 12, tzinfo=zone).utcoffset()
        for number in range(365):
            day = date(YEAR, 1, 1) + timedelta(days=number)
            offset = datetime.combine(day, time(12), tzinfo=zone).utcoffset()
            assert before is not None
            assert offset is not None
            if offset != before:
                found.append((name, day, offset > before))
            before = offset
    return tuple(found)


def around(zone: str, day: date) -> Iterator[tuple[date, Span]]:
    """The local days before, of and after a change, as moments."""
    for number in (-1, 0, 1):
        one = day + timedelta(days=number)
        yield one, Span(*clock.day_bounds(one, zone))


def walls(moments: Iterator[datetime] | tuple[datetime, ...], zone: str) -> list[time]:
    return [clock.in_zone(moment, zone).time() for moment in moments]


def test_both_changes_of_many_zones_are_looked_at() -> None:
    assert len({zone for zone, _, _ in changes()}) > 100
    assert {forward for _, _, forward in changes()} == {True, False}
    assert ("America/New_York", date(2026, 3, 8), True) in changes()
    assert ("Australia/Lord_Howe", date(2026, 4, 5), False) in changes()


def test_published_places_begin_at_the_same_times_on_the_wall() -> None:
    """Row 45: 8:00, 8:20 and so on, whether the clock was put forward or back that night."""
    for zone, day, _ in changes():
        for one, span in around(zone, day):
            slots = slot_starts(MORNING, minutes=SLOT_MINUTES, zone=zone, since=span.start, until=span.end)
            assert walls(slots, zone) == GRID, (zone, one)
            (opened,) = hours_between(MORNING, zone=zone, since=span.start, until=span.end)
            assert walls((opened.start, opened.end), zone) == [time(8), time(12)], (zone, one)


def test_round_the_clock_what_is_skipped_is_left_out_and_what_comes_twice_is_there_once() -> None:
    """Row 45: no place at a time that no clock shows, and none twice at one that it shows twice."""
    for zone, day, forward in changes():
        for one, span in around(zone, day):
            slots = slot_starts(ALWAYS, minutes=30, zone=zone, since=span.start, until=span.end)
            shown = walls(slots, zone)
            assert len(shown) == len(set(shown)), (zone, one)
            assert all(wall.minute in (0, 30) for wall in shown), (zone, one)
            if not (forward and one in (day, day - timedelta(days=1))):
                assert len(shown) == 48, (zone, one)


def test_what_is_kept_and_what_is_offered_keep_the_wall() -> None:
    """Row 45: outpatients are offered the same times, and not those that are kept, before and after each change."""
    kept = [
        {
            "whom": ["stat"],
            "hours": {day: [[f"{KEPT_FROM:%H:%M}", f"{KEPT_TO:%H:%M}"]] for day in WEEKDAYS},
            "release_minutes": 30,
        }
    ]
    expected = [wall for wall in GRID if not KEPT_FROM <= wall < KEPT_TO]
    for zone, day, _ in changes():
        days = list(around(zone, day))
        whole = Span(days[0][1].start, days[-1][1].end)
        between = {"zone": zone, "since": whole.start, "until": whole.end}
        room = RoomTimes(
            room_id=1,
            code="XR1",
            kind="general",
            open=hours_between(ALWAYS, **between),
            kept=kept_times(Room(kept=kept), zone, whole),
            published=hours_between(MORNING, **between),
            slots=slot_starts(MORNING, minutes=SLOT_MINUTES, **between),
        )
        need = Need(now=whole.start - timedelta(days=1), until=whole.end, minutes=15, ahead=True)
        search = Search(Department(zone, (room,)), [Ask("A", "A", need)])
        offers = search.offers(since=whole.start, until=whole.end, count=200, sooner=False)
        for one, span in days:
            todays = [o.start for o in offers if span.start <= o.start < span.end]
            assert walls(tuple(todays), zone) == expected, (zone, one)


@settings(max_examples=tried(200), deadline=None)
@given(
    st.sampled_from(sorted(available_timezones())),
    st.dates(date(2012, 1, 2), date(2035, 12, 31)),
    st.integers(0, 23),
    st.integers(1, 120),
)
@pytest.mark.parametrize("to", [time(0), time(23, 30)])
def test_every_place_begins_on_the_grid_of_its_own_day(
    to: time, zone: str, day: date, hour: int, minutes: int
) -> None:
    """Row 45: of any zone, any day and any length of place."""
    since, until = clock.day_bounds(day, zone)
    opens = time(hour)
    slots = slot_starts(
        dict.fromkeys(WEEKDAYS, ((opens, to),)), minutes=minutes, zone=zone, since=since, until=until
    )
    assert list(slots) == sorted(set(slots))
    for moment in slots:
        wall = clock.in_zone(moment, zone)
        assert wall.date() == day
        assert (wall.hour * 60 + wall.minute - hour * 60) % minutes == 0
        assert clock.at_wall_time(day, wall.time(), zone) == moment
