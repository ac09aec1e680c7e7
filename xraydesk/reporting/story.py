"""One exam's day as its facts tell it; pure.

Every measure is taken from these stories and from nothing else, so that a number on a page and the exams
behind it are the same thing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from xraydesk.facts.kinds import FactKind


@dataclass(frozen=True)
class Told:
    """One fact, as far as measures need it. `at` is aware."""

    kind: str
    at: datetime
    accession: str
    room: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Story:
    """What happened to one exam, and when; None where it did not happen, or was taken back.

    `booked_for` is the time of the place in force, `due_at` the time by which a STAT or urgent exam is to
    begin. `images_at` is the first image, `last_image_at` the last one that came before they could be read
    (`available_at`) and were opened by who reads (`opened_at`), `read_at` the first final or corrected report.
    """

    accession: str
    priority: str = "routine"
    patient_class: str = ""
    procedure: str = ""
    room: str = ""
    received_at: datetime | None = None
    due_at: datetime | None = None
    booked_at: datetime | None = None
    booked_for: datetime | None = None
    arrived_at: datetime | None = None
    begun_at: datetime | None = None
    ended_at: datetime | None = None
    images_at: datetime | None = None
    last_image_at: datetime | None = None
    available_at: datetime | None = None
    opened_at: datetime | None = None
    preliminary_at: datetime | None = None
    read_at: datetime | None = None
    discontinued_at: datetime | None = None
    cancelled_at: datetime | None = None
    no_show_at: datetime | None = None
    fetch_due_at: datetime | None = None
    fetched_at: datetime | None = None
    moved: int = 0
    held: bool = False
    joined: bool = False
    """It was done already, as another exam: its order is told of there, and it counts for nothing."""

    @property
    def happened_at(self) -> datetime | None:
        """The moment that says which day it belongs to: begun, else booked for, else received."""
        return self.begun_at or self.booked_for or self.received_at

    def minutes(self, start: str, end: str) -> float | None:
        """Minutes between two of its moments, named; None where one is missing. Never below zero."""
        first: datetime | None = getattr(self, start)
        last: datetime | None = getattr(self, end)
        if first is None or last is None:
            return None
        return max(0.0, (last - first) / timedelta(minutes=1))


def stories(facts: Iterable[Told]) -> dict[str, Story]:
    """The stories of all exams in a run of facts, in order of time; what later facts take back is taken back."""
    found: dict[str, Story] = {}
    for fact in facts:
        if not fact.accession:
            continue
        story = found.get(fact.accession)
        if story is None:
            story = found[fact.accession] = Story(fact.accession)
        follow = _FOLLOW.get(fact.kind)
        if follow is not None:
            follow(story, fact)
    return {accession: story for accession, story in found.items() if not story.joined}


def _asked(story: Story, fact: Told) -> None:
    data = fact.data
    story.priority = str(data.get("priority") or story.priority)
    story.patient_class = str(data.get("class") or story.patient_class)
    story.procedure = str(data.get("procedure") or story.procedure)
    if data.get("due"):
        story.due_at = _moment(data["due"])


def _received(story: Story, fact: Told) -> None:
    story.received_at = story.received_at or fact.at
    _asked(story, fact)


def _booked(story: Story, fact: Told) -> None:
    place = fact.data.get("to") or fact.data
    story.booked_at = story.booked_at or fact.at
    story.booked_for = _moment(place.get("start")) or story.booked_for
    story.room = fact.room or story.room
    story.no_show_at = None
    if fact.kind == FactKind.EXAM_MOVED:
        story.moved += 1


def _joined(story: Story, fact: Told) -> None:
    story.joined = fact.kind == FactKind.EXAM_JOINED


def _released(story: Story, fact: Told) -> None:
    story.booked_for = None


def _taken(story: Story, fact: Told) -> None:
    story.moved += 1
    story.room = fact.room or story.room


def _begun(story: Story, fact: Told) -> None:
    story.begun_at = story.begun_at or fact.at
    story.arrived_at = story.arrived_at or fact.at
    story.room = fact.room or story.room
    story.discontinued_at = None


def _ended(story: Story, fact: Told) -> None:
    story.ended_at = story.ended_at or fact.at
    story.room = fact.room or story.room


def _reopened(story: Story, fact: Told) -> None:
    story.begun_at = story.ended_at = story.discontinued_at = None


def _discontinued(story: Story, fact: Told) -> None:
    story.discontinued_at = fact.at


def _cancelled(story: Story, fact: Told) -> None:
    story.cancelled_at = fact.at


def _arrived(story: Story, fact: Told) -> None:
    story.arrived_at = story.arrived_at or fact.at
    story.no_show_at = None


def _not_arrived(story: Story, fact: Told) -> None:
    story.arrived_at = None


def _no_show(story: Story, fact: Told) -> None:
    story.no_show_at = fact.at


def _no_show_undone(story: Story, fact: Told) -> None:
    story.no_show_at = None


def _image(story: Story, fact: Told) -> None:
    story.images_at = story.images_at or fact.at


def _available(story: Story, fact: Told) -> None:
    story.last_image_at = _moment(fact.data.get("last")) or story.last_image_at
    story.available_at = fact.at


def _opened(story: Story, fact: Told) -> None:
    story.opened_at = story.opened_at or fact.at


def _priority(story: Story, fact: Told) -> None:
    story.priority = str(fact.data.get("to") or story.priority)


def _held(story: Story, fact: Told) -> None:
    story.held = True


def _report(story: Story, fact: Told) -> None:
    match fact.data.get("state"):
        case "preliminary":
            story.preliminary_at = story.preliminary_at or fact.at
        case "final" | "corrected":
            story.read_at = story.read_at or fact.at
        case "cancelled":
            story.read_at = story.preliminary_at = None
        case _:
            pass


def _fetch_asked(story: Story, fact: Told) -> None:
    if fact.data.get("way") == "fetch":
        story.fetch_due_at = _moment(fact.data.get("due")) or story.fetch_due_at


def _delivered(story: Story, fact: Told) -> None:
    if fact.data.get("way") == "fetch":
        story.fetched_at = story.fetched_at or fact.at


def _moment(text: object) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) and text else None


_FOLLOW: dict[str, Callable[[Story, Told], None]] = {
    FactKind.ORDER_RECEIVED: _received,
    FactKind.UNSCHEDULED_STEP: _received,
    FactKind.ORDER_JOINED: _asked,
    FactKind.EXAM_JOINED: _joined,
    FactKind.ORDER_PARTED: _asked,
    FactKind.EXAM_PARTED: _joined,
    FactKind.ORDER_CHANGED: _asked,
    FactKind.ORDER_CANCELLED: _cancelled,
    FactKind.EXAM_CANCELLED: _cancelled,
    FactKind.EXAM_HELD: _held,
    FactKind.PRIORITY_CHANGED: _priority,
    FactKind.EXAM_BOOKED: _booked,
    FactKind.EXAM_MOVED: _booked,
    FactKind.BOOKING_RELEASED: _released,
    FactKind.EXAM_TAKEN: _taken,
    FactKind.NO_SHOW: _no_show,
    FactKind.NO_SHOW_UNDONE: _no_show_undone,
    FactKind.PATIENT_ARRIVED: _arrived,
    FactKind.ARRIVAL_UNDONE: _not_arrived,
    FactKind.EXAM_BEGUN: _begun,
    FactKind.EXAM_ENDED: _ended,
    FactKind.EXAM_DISCONTINUED: _discontinued,
    FactKind.EXAM_REOPENED: _reopened,
    FactKind.IMAGE_MATCHED: _image,
    FactKind.IMAGES_AVAILABLE: _available,
    FactKind.IMAGES_OPENED: _opened,
    FactKind.REPORT_RECEIVED: _report,
    FactKind.TRANSPORT_ASKED: _fetch_asked,
    FactKind.TRANSPORT_CHANGED: _fetch_asked,
    FactKind.PATIENT_DELIVERED: _delivered,
}
KINDS = tuple(str(kind) for kind in _FOLLOW)
"""The kinds of fact that a story is made of; others need not be read."""
