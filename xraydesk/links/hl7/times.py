"""HL7 times, in the precision and with the offset that they came with (HL7 2.5.1 §2.A.22, DTM and TS)."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

_TIME = re.compile(
    r"(?P<year>\d{4})(?:(?P<month>\d\d)(?:(?P<day>\d\d)(?:(?P<hour>\d\d)(?:(?P<minute>\d\d)"
    r"(?:(?P<second>\d\d)(?:\.\d+)?)?)?)?)?)?\s*(?P<offset>[+-]\d{4})?"
)
OFFSET_MINUTES_MAX = 14 * 60


def read_time(written: str, zone: str) -> datetime | None:
    """The moment, in UTC, of a time that names at least a day; None where it is none.

    A time without an offset is wall time of `zone`; so is one whose offset no place on
    earth has. A wall time that occurs twice means its first occurrence.
    """
    naive, offset = _parts(written)
    if naive is None:
        return None
    return naive.replace(tzinfo=offset or ZoneInfo(zone)).astimezone(UTC)


def read_time_as_written(written: str) -> datetime | None:
    """The time with the offset it came with, or none, as `xraydesk read` prints it."""
    naive, offset = _parts(written)
    return naive.replace(tzinfo=offset) if naive else None


def read_date(written: str) -> date | None:
    """The day of a date or time; None where it names no whole day."""
    naive, _ = _parts(written)
    return naive.date() if naive else None


def write_time(at: datetime) -> str:
    """A moment as HL7 writes it, in seconds, with its offset."""
    return at.strftime("%Y%m%d%H%M%S%z")


def _parts(written: str) -> tuple[datetime | None, timezone | None]:
    found = _TIME.fullmatch(written.strip())
    if not found or not found["day"]:
        return None, None
    numbers = {k: int(v) for k, v in found.groupdict().items() if v and k != "offset"}
    numbers["second"] = min(numbers.get("second", 0), 59)  # a leap second
    try:
        naive = datetime(**numbers)  # type: ignore[arg-type]  # noqa: DTZ001 - the zone comes next
    except ValueError:
        return None, None
    return naive, _offset(found["offset"])


def _offset(written: str | None) -> timezone | None:
    if not written:
        return None
    minutes = int(written[1:3]) * 60 + int(written[3:5])
    if minutes > OFFSET_MINUTES_MAX:
        return None
    return timezone(timedelta(minutes=-minutes if written[0] == "-" else minutes))
