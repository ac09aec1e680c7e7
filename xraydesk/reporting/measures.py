"""Every measure, once: in words, and in code over the stories of a day; pure.

A measure takes from each story a value, or nothing where the exam does not count. What it counts is what
opens behind its number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from statistics import median

from xraydesk.reporting.story import Story

LATE_AFTER_MINUTES = 10
"""An exam is late when its booked time is so long past and it has not begun."""


class Kind(StrEnum):
    """How the values of a day become one number."""

    COUNT = "count"
    MEDIAN = "median"
    SHARE = "share"


@dataclass(frozen=True)
class Window:
    """One local day, or its part until now. Half open, aware."""

    first: datetime
    after: datetime
    now: datetime

    def holds(self, at: datetime | None) -> bool:
        """True where a moment lies in the day and not after now."""
        return at is not None and self.first <= at < self.after and at <= self.now


@dataclass(frozen=True)
class Measure:
    """A measure: its key in addresses, its name, its definition in words, and its value for one exam.

    COUNT measures give 1, MEDIAN ones minutes, SHARE ones 1 or 0; None leaves the exam out.
    """

    key: str
    name: str
    words: str
    kind: Kind
    of: Callable[[Story, Window], float | None]
    unit: str = ""
    groups: tuple[str, ...] = ("",)
    """Priorities that it is told apart for, besides all of them."""


@dataclass(frozen=True)
class Value:
    """A measure's number for a day. `behind` are the exams that count, with each one's value."""

    measure: Measure
    group: str
    number: float | None
    behind: tuple[tuple[str, float], ...]

    @property
    def met(self) -> int:
        """Of a share: how many exams met it."""
        return sum(1 for _, value in self.behind if value)

    @property
    def text(self) -> str:
        """As it is shown: `65`, `17 min`, `2 of 3`; a dash where there is nothing to tell."""
        if self.measure.kind is Kind.COUNT:
            return str(len(self.behind))
        if self.number is None:
            return "–"
        if self.measure.kind is Kind.SHARE:
            return f"{self.met} of {len(self.behind)}"
        return minutes_text(self.number)


def minutes_text(minutes: float) -> str:
    """`17 min`, `3 h 05`."""
    whole = round(minutes)
    return f"{whole} min" if whole < 120 else f"{whole // 60} h {whole % 60:02}"


def value_of(measure: Measure, stories: Iterable[Story], window: Window, group: str = "") -> Value:
    """A measure's number for a day, over all exams or those of one priority."""
    behind = []
    for story in stories:
        if group and story.priority != group:
            continue
        one = measure.of(story, window)
        if one is not None:
            behind.append((story.accession, one))
    numbers = [one for _, one in behind]
    return Value(
        measure, group, _number(measure.kind, numbers), tuple(sorted(behind, key=lambda b: (-b[1], b[0])))
    )


def _number(kind: Kind, numbers: Sequence[float]) -> float | None:
    if kind is Kind.COUNT:
        return float(len(numbers))
    if not numbers:
        return None
    return median(numbers) if kind is Kind.MEDIAN else 100 * sum(1 for one in numbers if one) / len(numbers)


def _in_day(name: str) -> Callable[[Story, Window], float | None]:
    return lambda story, window: 1.0 if window.holds(getattr(story, name)) else None


def _minutes(start: str, end: str) -> Callable[[Story, Window], float | None]:
    """Minutes between two moments, for exams whose second one lies in the day."""

    def of(story: Story, window: Window) -> float | None:
        return story.minutes(start, end) if window.holds(getattr(story, end)) else None

    return of


def _wait(story: Story, window: Window) -> float | None:
    """From being here, or from the booked time where that is later, to the beginning: nobody waits by coming early."""
    if not window.holds(story.begun_at) or story.arrived_at is None or story.begun_at is None:
        return None
    since = max(story.arrived_at, story.booked_for) if story.booked_for else story.arrived_at
    return max(0.0, (story.begun_at - since) / timedelta(minutes=1))


def _stat_in_time(story: Story, window: Window) -> float | None:
    """STATs whose time has come: begun by it or not."""
    if story.priority != "stat" or story.due_at is None or story.cancelled_at or story.no_show_at:
        return None
    if window.holds(story.begun_at) and story.begun_at is not None:
        return float(story.begun_at <= story.due_at)
    return 0.0 if story.begun_at is None and window.holds(story.due_at) else None


def _late_now(story: Story, window: Window) -> float | None:
    """Minutes over its time, of exams that wait for their beginning now."""
    if story.begun_at or story.cancelled_at or story.no_show_at or story.booked_for is None:
        return None
    if not window.first <= story.booked_for < window.after:
        return None
    over = (min(window.now, window.after) - story.booked_for) / timedelta(minutes=1)
    return over if over > LATE_AFTER_MINUTES else None


def _fetched_late(story: Story, window: Window) -> float | None:
    if not window.holds(story.fetched_at) or story.fetch_due_at is None or story.fetched_at is None:
        return None
    return max(0.0, (story.fetched_at - story.fetch_due_at) / timedelta(minutes=1))


PRIORITIES = ("stat", "urgent", "routine")
MEASURES: tuple[Measure, ...] = (
    Measure("exams", "exams done", "Exams that ended on this day.", Kind.COUNT, _in_day("ended_at")),
    Measure(
        "ordered",
        "orders",
        "Exams ordered on this day, or begun without an order.",
        Kind.COUNT,
        _in_day("received_at"),
    ),
    Measure(
        "wait",
        "median wait",
        "Minutes from being here, or from the booked time where that is later, to the beginning; exams begun on this day.",
        Kind.MEDIAN,
        _wait,
        "min",
        ("", *PRIORITIES),
    ),
    Measure(
        "stat-in-time",
        "STATs begun in time",
        "STAT exams begun by the time the site sets, of those begun on this day or due on it and not begun.",
        Kind.SHARE,
        _stat_in_time,
        "%",
    ),
    Measure(
        "late",
        "late",
        f"Exams booked for this day, not begun, whose time is more than {LATE_AFTER_MINUTES} minutes past; their minutes over.",
        Kind.COUNT,
        _late_now,
    ),
    Measure(
        "no-shows",
        "no-shows",
        "Exams whose patient was marked on this day as not having come.",
        Kind.COUNT,
        _in_day("no_show_at"),
    ),
    Measure("cancelled", "cancelled", "Exams cancelled on this day.", Kind.COUNT, _in_day("cancelled_at")),
    Measure(
        "discontinued",
        "discontinued",
        "Exams begun and broken off on this day, and not begun again.",
        Kind.COUNT,
        _in_day("discontinued_at"),
    ),
    Measure(
        "order-to-images",
        "order to images",
        "Minutes from the order to the first image; images that came on this day.",
        Kind.MEDIAN,
        _minutes("received_at", "images_at"),
        "min",
        ("", *PRIORITIES),
    ),
    Measure(
        "image-to-available",
        "last image to available",
        "Minutes from the last image to all of them being where they are read; exams of which that was so on this day.",
        Kind.MEDIAN,
        _minutes("last_image_at", "available_at"),
        "min",
        ("", *PRIORITIES),
    ),
    Measure(
        "image-to-opened",
        "last image to opened",
        "Minutes from the last image to whoever reads having said that they opened them; images opened on this day.",
        Kind.MEDIAN,
        _minutes("last_image_at", "opened_at"),
        "min",
        ("", *PRIORITIES),
    ),
    Measure(
        "images-to-report",
        "images to report",
        "Minutes from the first image to the first final report; reports of this day.",
        Kind.MEDIAN,
        _minutes("images_at", "read_at"),
        "min",
        ("", *PRIORITIES),
    ),
    Measure(
        "order-to-report",
        "order to report",
        "Minutes from the order to the first final report; reports of this day.",
        Kind.MEDIAN,
        _minutes("received_at", "read_at"),
        "min",
        ("", *PRIORITIES),
    ),
    Measure(
        "transport-delay",
        "transport delay",
        "Minutes that fetched patients came after they were to be here, nobody early counting less than none; fetches of this day.",
        Kind.MEDIAN,
        _fetched_late,
        "min",
    ),
)
BY_KEY = {measure.key: measure for measure in MEASURES}


@dataclass(frozen=True)
class RoomUse:
    """One room's day: minutes open until now, minutes with an exam under way, exams done, exams that moved."""

    room: str
    open_minutes: float
    busy_minutes: float
    exams: tuple[str, ...]
    moved: int

    @property
    def percent(self) -> int | None:
        """Busy of open minutes; None where it was closed. What is done outside the hours counts, so it may pass 100."""
        return round(100 * self.busy_minutes / self.open_minutes) if self.open_minutes else None


def busy_minutes(stories: Sequence[Story], window: Window) -> float:
    """Minutes of the day in which at least one of the exams was under way; overlaps count once."""
    spans = sorted(
        (
            max(s.begun_at, window.first),
            min(s.ended_at or s.discontinued_at or window.now, window.after, window.now),
        )
        for s in stories
        if s.begun_at is not None
    )
    total, reached = timedelta(0), window.first
    for start, end in spans:
        if end > max(start, reached):
            total += end - max(start, reached)
            reached = end
    return total / timedelta(minutes=1)


def room_use(room: str, stories: Iterable[Story], window: Window, *, open_minutes: float) -> RoomUse:
    """How one room was used on a day."""
    here = [s for s in stories if s.room == room]
    done = tuple(s.accession for s in here if window.holds(s.ended_at))
    return RoomUse(room, open_minutes, busy_minutes(here, window), done, sum(s.moved for s in here))


def by_hour(
    stories: Iterable[Story], measure: Measure, window: Window, *, at: str
) -> list[tuple[int, float | None]]:
    """A measure for each hour since the day began, told apart by one of the exams' moments (`begun_at` and the like)."""
    hours: dict[int, list[Story]] = {}
    for story in stories:
        moment = getattr(story, at)
        if window.holds(moment):
            hours.setdefault(int((moment - window.first) / timedelta(hours=1)), []).append(story)
    return [(hour, value_of(measure, those, window).number) for hour, those in sorted(hours.items())]
