"""What a manager takes away of a day: its numbers, the days beside it, its rooms, its exams; pure tables for page, workbook and PDF."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from xraydesk.lib import clock
from xraydesk.reporting.days import Days
from xraydesk.reporting.measures import MEASURES, Kind, Measure, RoomUse, Value

DAYS_BESIDE = 14
"""So many days stand beside a day."""


@dataclass(frozen=True)
class Row:
    """One measure over the days, the newest first, for one priority or all."""

    measure: Measure
    group: str
    values: list[tuple[date, Value]]

    @property
    def name(self) -> str:
        """`median wait, stat`."""
        return f"{self.measure.name}, {self.group}" if self.group else self.measure.name

    @property
    def today(self) -> Value:
        """The day's own number."""
        return self.values[0][1]

    @property
    def yesterday(self) -> Value | None:
        """The day before's number."""
        return self.values[1][1] if len(self.values) > 1 else None


@dataclass(frozen=True)
class Summary:
    """A day with those beside it."""

    day: date
    at: datetime
    zone: str
    site_name: str
    rows: list[Row]
    rooms: list[RoomUse]
    days: Days

    def row(self, key: str, group: str = "") -> Row:
        """One measure's row; raises StopIteration where there is none."""
        return next(r for r in self.rows if r.measure.key == key and r.group == group)

    @property
    def known_rows(self) -> list[Row]:
        """The rows that have a number on any of the days; of one that nothing is known of, its first row all the same."""
        return [row for row in self.rows if not row.group or any(v.number is not None for _, v in row.values)]

    def course(self, key: str) -> list[tuple[date, float | None]]:
        """One measure from day to day, the oldest first.

        Of what is counted a day that is not over is left out: it would look like a fall.
        """
        row = self.row(key)
        going = clock.local_day(self.at, self.zone) if row.measure.kind is Kind.COUNT else None
        return [(day, value.number) for day, value in reversed(row.values) if day != going]

    def wall(self, moment: datetime | None) -> datetime | None:
        """A moment on the wall of the department, without zone, as workbooks write it."""
        return clock.in_zone(moment, self.zone).replace(tzinfo=None) if moment else None


def summarise(days: Days, day: date) -> Summary:
    """A day's numbers and those of the days before it that were read."""
    newest_first = sorted((d for d in days.all if d <= day), reverse=True)
    rows = []
    for measure in MEASURES:
        for group in measure.groups:
            values = [(d, days.value(measure.key, d, group)) for d in newest_first]
            rows.append(Row(measure, group, values))
    return Summary(
        day=day,
        at=days.at,
        zone=days.site.timezone,
        site_name=days.site.name,
        rows=rows,
        rooms=days.rooms(day),
        days=days,
    )
