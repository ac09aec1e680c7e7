"""What a date in a FHIR search means."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from xraydesk.links.fhir.conditions import END_OF_TIME, compared


@pytest.mark.parametrize("value", ["9999", "9999-12", "9999-12-31"])
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/New_York"])
def test_the_last_year_stands_for_ever(value: str, zone: str) -> None:
    assert compared(f"le{value}", zone) == (("lt", END_OF_TIME),)
    ((how, first),) = compared(f"ge{value}", zone)
    assert (how, first.year) == ("gte", 9999)


def test_a_day_is_the_sites() -> None:
    assert compared("ge2026-03-02", "America/New_York") == (("gte", datetime(2026, 3, 2, 5, tzinfo=UTC)),)
