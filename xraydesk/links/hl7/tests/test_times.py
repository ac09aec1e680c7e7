"""HL7's times, with and without offsets."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from xraydesk.links.hl7.times import read_date, read_time, read_time_as_written, write_time

ZONE = "America/New_York"


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("20260302103015.5", datetime(2026, 3, 2, 15, 30, 15, tzinfo=UTC)),
        ("202603021030", datetime(2026, 3, 2, 15, 30, tzinfo=UTC)),
        ("2026030210", datetime(2026, 3, 2, 15, tzinfo=UTC)),
        ("20260302", datetime(2026, 3, 2, 5, tzinfo=UTC)),
        ("202603021030+0215", datetime(2026, 3, 2, 8, 15, tzinfo=UTC)),
        ("202603021030-0800", datetime(2026, 3, 2, 18, 30, tzinfo=UTC)),
        ("202603021030+9900", datetime(2026, 3, 2, 15, 30, tzinfo=UTC)),
        ("202611010130", datetime(2026, 11, 1, 5, 30, tzinfo=UTC)),
        ("20260302103060", datetime(2026, 3, 2, 15, 30, 59, tzinfo=UTC)),
        ("202603", None),
        ("20261302", None),
        ("Aug 15, 1942", None),
        ("", None),
    ],
)
def test_a_time_is_read_in_its_offset_or_the_sites_zone(written: str, moment: datetime | None) -> None:
    """Row 22: no offset, a foreign one, and what is no time."""
    assert read_time(written, ZONE) == moment


def test_a_time_as_written_keeps_its_offset() -> None:
    assert read_time_as_written("202603021030") == datetime(2026, 3, 2, 10, 30)
    offset = timezone(timedelta(hours=2, minutes=15))
    assert read_time_as_written("202603021030+0215") == datetime(2026, 3, 2, 10, 30, tzinfo=offset)
    assert read_time_as_written("x") is None


def test_a_date_is_the_day_of_a_date_or_time() -> None:
    assert read_date("198808181126+0215") == date(1988, 8, 18)
    assert read_date("1988") is None


def test_a_moment_is_written_with_its_offset() -> None:
    assert write_time(datetime(2026, 3, 2, 15, 30, tzinfo=UTC)) == "20260302153000+0000"
