"""How long a server asks to be left alone (Retry-After, RFC 9110 §10.2.3). Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

RETRY_AFTER_SECONDS_MAX = 600
"""Who asks for longer is tried again after so long."""


def retry_after_seconds(told: str, *, at: datetime) -> int:
    """Seconds to wait before the next try, told as a number of them or as a moment; 0 where nothing that can be read is told."""
    text = told.strip()
    if text.isascii() and text.isdecimal():
        return min(int(text[:9]), RETRY_AFTER_SECONDS_MAX)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return 0
    # "-0000" stands for UTC without saying where the clock stands.
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0, min(int((until - at).total_seconds()), RETRY_AFTER_SECONDS_MAX))
