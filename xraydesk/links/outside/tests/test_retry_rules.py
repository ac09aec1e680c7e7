"""What Retry-After says, in both of its ways."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from xraydesk.links.outside.retry_rules import RETRY_AFTER_SECONDS_MAX, retry_after_seconds

AT = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("99999999999", RETRY_AFTER_SECONDS_MAX),
        ("Mon, 02 Mar 2026 10:01:30 GMT", 90),
        ("Mon, 02 Mar 2026 10:01:30 -0000", 90),
        ("Mon, 02 Mar 2026 09:00:00 GMT", 0),
        ("Tue, 03 Mar 2026 10:00:00 GMT", RETRY_AFTER_SECONDS_MAX),
        ("soon", 0),
        ("-5", 0),
        ("", 0),
        ("٣", 0),
    ],
)
def test_how_long_a_server_asks_to_be_left_alone(told: str, seconds: int) -> None:
    assert retry_after_seconds(told, at=AT) == seconds
