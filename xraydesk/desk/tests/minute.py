"""The minute in which a test begins; it stays the same while the test runs, whatever the clock does meanwhile."""

from __future__ import annotations

from datetime import datetime

from xraydesk.lib import clock

_begun: list[datetime] = []


def begin() -> None:
    """A test begins."""
    _begun[:] = [clock.now().replace(second=0, microsecond=0)]


def begun() -> datetime:
    """The whole minute in which this test began."""
    return _begun[0]
