"""The stories of days, read from the facts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from functools import cached_property

from xraydesk.access.models import Site
from xraydesk.facts.models import Fact
from xraydesk.lib import clock
from xraydesk.reporting.measures import BY_KEY, Measure, RoomUse, Value, Window, room_use, value_of
from xraydesk.reporting.story import KINDS, Story, Told, stories
from xraydesk.scheduling.engine.hours import hours_between
from xraydesk.siteplan.reading import from_json

DAYS_MAX = 31
"""No more days are read at once."""


def window_of(day: date, zone: str, *, at: datetime) -> Window:
    """A local day until `at`; the whole of it where it is past."""
    first, after = clock.day_bounds(day, zone)
    return Window(first, after, min(max(at, first), after))


@dataclass(frozen=True)
class Days:
    """Some days of one site, the first and the last included, with the stories of every exam that something happened to."""

    site: Site
    first: date
    last: date
    at: datetime
    found: tuple[Story, ...]

    @property
    def all(self) -> list[date]:
        """The days, in order."""
        return [self.first + timedelta(days=n) for n in range((self.last - self.first).days + 1)]

    @cached_property
    def _by_day(self) -> dict[date, list[Story]]:
        """Stories by each day that one of their moments lies in: an exam may count in two."""
        found: dict[date, list[Story]] = {day: [] for day in self.all}
        zone = self.site.timezone
        for story in self.found:
            for day in {clock.local_day(moment, zone) for moment in _moments(story)}:
                if day in found:
                    found[day].append(story)
        return found

    def of(self, day: date) -> list[Story]:
        """The stories that touch a day."""
        return self._by_day.get(day, [])

    def window(self, day: date) -> Window:
        """A day until now."""
        return window_of(day, self.site.timezone, at=self.at)

    def value(self, key: str, day: date, group: str = "") -> Value:
        """A measure's number for a day; raises KeyError for a measure that there is not."""
        return value_of(BY_KEY[key], self.of(day), self.window(day), group)

    def values(self, measure: Measure, group: str = "") -> list[tuple[date, Value]]:
        """A measure's numbers, day by day."""
        return [(day, value_of(measure, self.of(day), self.window(day), group)) for day in self.all]

    def rooms(self, day: date) -> list[RoomUse]:
        """How each room of the site file was used on a day, in its order."""
        if not self.site.plan:
            return []
        window = self.window(day)
        return [
            room_use(room.code, self.of(day), window, open_minutes=self._open_minutes(room.hours, window))
            for room in from_json(self.site.plan).rooms
        ]

    def _open_minutes(self, hours: object, window: Window) -> float:
        spans = hours_between(hours, zone=self.site.timezone, since=window.first, until=window.now)  # type: ignore[arg-type]
        return sum((end - start) / timedelta(minutes=1) for start, end in spans)


_MOMENTS = tuple(f.name for f in fields(Story) if f.name.endswith("_at") or f.name == "booked_for")


def _moments(story: Story) -> list[datetime]:
    return [moment for name in _MOMENTS if (moment := getattr(story, name)) is not None]


def read_days(*, site: Site, first: date, last: date, at: datetime) -> Days:
    """The days from `first` to `last`, two queries. Raises ValueError for more than DAYS_MAX, or none."""
    if not 0 <= (last - first).days < DAYS_MAX:
        raise ValueError(f"between 1 and {DAYS_MAX} days")
    since, _ = clock.day_bounds(first, site.timezone)
    _, until = clock.day_bounds(last, site.timezone)
    touched = (
        Fact.objects.filter(site=site, kind__in=KINDS, at__gte=since, at__lt=until)
        .exclude(accession="")
        .values("accession")
    )
    booked = Fact.objects.filter(site=site, kind__in=KINDS, accession__in=touched, at__lte=at)
    rows = booked.order_by("at", "id").values_list("kind", "at", "accession", "room", "data")
    return Days(site, first, last, at, tuple(stories(Told(*row) for row in rows).values()))


def last_days(*, site: Site, day: date, count: int, at: datetime) -> Days:
    """A day and the ones before it, `count` in all."""
    return read_days(site=site, first=day - timedelta(days=count - 1), last=day, at=at)


def accessions(values: Sequence[tuple[str, float]]) -> list[str]:
    """The exams behind a number."""
    return [accession for accession, _ in values]
