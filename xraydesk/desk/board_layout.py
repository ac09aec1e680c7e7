"""Where things stand on the board, in minutes from its left edge, and what is said of them. Pure.

Pixels are the style sheet's business. The row of a block is decided when it is booked
(`scheduling.rules.row_for`) and stored; nothing here ever repacks rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from xraydesk.journey.stage import Stage
from xraydesk.orders.states import Priority

GRACE_MINUTES = 5
"""So much later than planned is not worth a mark: the default is silent."""

NO_IMAGES_AFTER_MINUTES = 15
"""An exam that ended so long ago should have images."""

FOLDED_MIN = 2
"""Fewer than so many that are done are drawn as they are."""

LABEL_MINUTES_MAX = 150
LABEL_MINUTES_MIN = 8
FOLDED_LABEL_MINUTES = 90
USUAL_MINUTES = 15
"""Taken for the length of an exam that had no booking."""

SHOWN_BY_THE_MINUTE_MAX = 99
DAY_FIRST_HOUR, DAY_LAST_HOUR = 7, 19
"""Shown even where every room is closed."""

SPAN_HOURS = 4


@dataclass(frozen=True)
class Window:
    """The stretch of time that the board shows: where its left edge is, and how many minutes wide it is."""

    start: datetime
    minutes: int

    @property
    def end(self) -> datetime:
        """Its right edge."""
        return self.start + timedelta(minutes=self.minutes)

    def minute(self, at: datetime) -> int:
        """Whole minutes from the left edge; negative before it."""
        return int((at - self.start).total_seconds() // 60)

    def clipped(self, start: datetime, end: datetime) -> tuple[int, int] | None:
        """The part of a stretch that is shown, as start and length in minutes; None where none of it is."""
        first, last = max(0, self.minute(start)), min(self.minutes, self.minute(end))
        return (first, last - first) if last > first else None


@dataclass(frozen=True)
class Card:
    """What the board knows of one exam. Times aware, in UTC; `planned` is the live booking's.

    `room` is where it is performed, else where it is booked; empty without a place.
    """

    accession: str
    patient: int
    family: str
    given: str
    what: str
    stage: Stage
    born: date | None = None
    priority: Priority = Priority.ROUTINE
    room: str = ""
    row: int = 0
    planned_start: datetime | None = None
    planned_end: datetime | None = None
    arrived_at: datetime | None = None
    begun_at: datetime | None = None
    ended_at: datetime | None = None
    images: int = 0
    due_at: datetime | None = None
    requested_at: datetime | None = None
    created_at: datetime | None = None
    origin: str = ""
    patient_class: str = ""
    mode: str = ""
    isolation: str = ""
    alike: bool = False
    why: str = ""
    was: str = ""
    was_at: datetime | None = None
    displaced: bool = False
    held: bool = False
    preliminary: bool = False
    """True where a preliminary report is here."""
    fetching: bool = False
    """True while a porter is on the way for the patient, or with them."""


@dataclass(frozen=True)
class Mark:
    """Something that runs: minutes since a moment, and the word for it."""

    since: datetime
    minutes: int
    word: str


@dataclass(frozen=True)
class Block:
    """One exam's place in its lane, in minutes: start, duration, room for its label, row."""

    card: Card
    start: int
    length: int
    label: int
    row: int
    late: Mark | None
    waiting: Mark | None


def drawn_stage(card: Card) -> str:
    """Which of the drawn stages an exam shows: its colour and glyph."""
    match card.stage:
        case Stage.ARRIVED:
            return "arrived"
        case Stage.BEGUN:
            return "inroom"
        case Stage.ENDED:
            return "images" if card.images else "done"
        case Stage.READ:
            return "read"
        case Stage.SCHEDULED if card.fetching:
            return "fetching"
        case Stage.HELD if card.arrived_at:
            return "arrived"
        case Stage.DISCONTINUED if card.ended_at:
            return "done"
        case _:
            return "scheduled"


def stretch(card: Card, at: datetime) -> tuple[datetime, datetime] | None:
    """From when to when an exam is drawn: as performed, else as planned; None without either.

    One under way reaches at least to now.
    """
    if card.begun_at:
        if card.ended_at:
            return card.begun_at, max(card.ended_at, card.begun_at + timedelta(minutes=1))
        return card.begun_at, max(card.begun_at + _length(card), at)
    if card.planned_start and card.planned_end:
        return card.planned_start, card.planned_end
    return None


def _length(card: Card) -> timedelta:
    if card.planned_start and card.planned_end:
        return card.planned_end - card.planned_start
    return timedelta(minutes=USUAL_MINUTES)


def lateness(card: Card, at: datetime) -> Mark | None:
    """By how much an exam is late, over its time or without images; None where it is not."""
    since, word, grace = None, "", GRACE_MINUTES
    match card.stage:
        case Stage.SCHEDULED | Stage.ARRIVED | Stage.DISCONTINUED if not card.ended_at:
            since, word = card.planned_start, "late"
        case Stage.BEGUN if card.begun_at:
            since, word = card.begun_at + _length(card), "over"
        case Stage.ENDED if not card.images:
            since, word, grace = card.ended_at, "no images", NO_IMAGES_AFTER_MINUTES
        case _:
            pass
    return _mark(since, at, word, grace)


def waiting(card: Card, at: datetime) -> Mark | None:
    """How long a patient who is here has waited; None where nobody waits."""
    here = card.stage is Stage.ARRIVED
    return _mark(card.arrived_at, at, "waiting", 0) if here else None


def _mark(since: datetime | None, at: datetime, word: str, minutes_min: int) -> Mark | None:
    if since is None:
        return None
    minutes = int((at - since).total_seconds() // 60)
    return Mark(since, minutes, word) if minutes >= minutes_min else None


@dataclass(frozen=True)
class HeldPlace:
    """A place that somebody is making up their mind about. `hold` is the key of its hold; `until` is when it is free again."""

    hold: int
    start: datetime
    end: datetime
    until: datetime
    row: int = 0


@dataclass(frozen=True)
class HeldBlock:
    """A held place in its lane, in minutes."""

    place: HeldPlace
    start: int
    length: int
    label: int


def blocks_of_lane(
    cards: Iterable[Card], window: Window, at: datetime, *, held: Iterable[HeldPlace] = ()
) -> tuple[list[Block], list[HeldBlock]]:
    """A room's exams, and its held places, as blocks in order of time. A label reaches until the next block in its row."""
    placed: list[tuple[int, int, int, str, Card | HeldPlace]] = []
    for card in cards:
        times = stretch(card, at)
        if times and (shown := window.clipped(*times)):
            placed.append((*shown, card.row, card.accession, card))
    for one in held:
        if shown := window.clipped(one.start, one.end):
            placed.append((*shown, one.row, "", one))
    placed.sort(key=lambda p: (p[0], p[2], p[3]))
    after: dict[int, int] = {}
    blocks: list[Block] = []
    holds: list[HeldBlock] = []
    for start, length, row, _, what in reversed(placed):
        until = after.get(row, window.minutes)
        label = max(LABEL_MINUTES_MIN, min(until - start, max(LABEL_MINUTES_MAX, length)))
        after[row] = start
        if isinstance(what, HeldPlace):
            holds.append(HeldBlock(what, start, length, label))
        else:
            blocks.append(Block(what, start, length, label, row, lateness(what, at), waiting(what, at)))
    return blocks[::-1], holds[::-1]


@dataclass(frozen=True)
class Folded:
    """So many that are done, drawn as one: start, length and room for its label, in minutes."""

    count: int
    start: int
    length: int
    label: int


def fold(blocks: Sequence[Block], window: Window, *, chosen: str = "") -> tuple[Folded | None, list[Block]]:
    """What a lane began with and was all read, as one block in its first row, and the rest as it is.

    `blocks` are in order of time. What can still go wrong never folds, nor does the `chosen` exam.
    """
    done = 0
    while done < len(blocks) and _is_done(blocks[done].card, chosen):
        done += 1
    if done < FOLDED_MIN:
        return None, list(blocks)
    rest = list(blocks[done:])
    first = min((b.start for b in rest if b.row == 0), default=window.minutes)
    return folded([(b.start, b.length) for b in blocks[:done]], until=first), rest


def _is_done(card: Card, chosen: str) -> bool:
    return card.stage is Stage.READ and card.accession != chosen


def folded(done: Sequence[tuple[int, int]], *, until: int) -> Folded:
    """One block for starts and lengths that are all behind; it reaches no further than `until`."""
    start = min(first for first, _ in done)
    end = max(first + length for first, length in done)
    space = max(LABEL_MINUTES_MIN, until - start)
    length = min(end - start, space)
    return Folded(len(done), start, length, max(length, min(space, FOLDED_LABEL_MINUTES)))


def day_window(
    first: datetime,
    after: datetime,
    *,
    busy: Sequence[tuple[datetime, datetime]],
    usual: tuple[datetime, datetime],
) -> Window:
    """The whole day as the board shows it: the usual hours, widened to whole hours around what lies outside.

    `first` and `after` bound the local day; nothing beyond them is shown.
    """
    start = max(first, min([usual[0], *(b[0] for b in busy)]))
    end = min(after, max([usual[1], *(b[1] for b in busy)]))
    whole = timedelta(hours=1)
    start -= (start - first) % whole
    end += (first - end) % whole
    return Window(start, int((min(end, after) - start).total_seconds() // 60))


def hours_window(first: datetime, after: datetime, *, since: datetime) -> Window:
    """Four hours from the half hour before `since`, kept inside the local day."""
    start = since - (since - first) % timedelta(minutes=30)
    width = timedelta(hours=SPAN_HOURS)
    start = max(first, min(start, after - width))
    return Window(start, SPAN_HOURS * 60)


def ticks(window: Window) -> list[datetime]:
    """The moments written along the top: each hour; each half hour where few hours are shown."""
    step = 30 if window.minutes <= SPAN_HOURS * 60 else 60
    return [window.start + timedelta(minutes=m) for m in range(0, window.minutes, step)]


_URGENCY = {Priority.STAT: 0, Priority.URGENT: 1, Priority.ROUTINE: 2}


def most_urgent_first(cards: Iterable[Card]) -> list[Card]:
    """The tray: STAT, urgent, routine; in each by when it is due or wished for, then the oldest first."""
    never = float("inf")

    def key(card: Card) -> tuple[int, float, float, str]:
        until = card.due_at or card.requested_at or card.planned_start
        return (
            _URGENCY[card.priority],
            until.timestamp() if until else never,
            card.created_at.timestamp() if card.created_at else never,
            card.accession,
        )

    return sorted(cards, key=key)


@dataclass(frozen=True)
class Counts:
    """The numbers in the bar; each leads to the list behind it."""

    exams: int
    read: int
    in_room: int
    waiting: int
    waiting_longest_minutes: int
    late: int


def counts(cards: Iterable[Card], at: datetime) -> Counts:
    """What the day's exams add up to."""
    every = [c for c in cards if c.stage is not Stage.CANCELLED]
    waits = [mark.minutes for c in every if (mark := waiting(c, at))]
    return Counts(
        exams=len(every),
        read=sum(c.stage is Stage.READ for c in every),
        in_room=sum(c.stage is Stage.BEGUN for c in every),
        waiting=len(waits),
        waiting_longest_minutes=max(waits, default=0),
        late=sum(lateness(c, at) is not None for c in every),
    )


def load_percent(
    booked: Iterable[tuple[datetime, datetime]], opened: Iterable[tuple[datetime, datetime]]
) -> int | None:
    """How much of a room's open time is taken; None where it is closed all day."""
    minutes_open = sum((end - start).total_seconds() for start, end in opened)
    minutes_booked = sum((end - start).total_seconds() for start, end in booked)
    return round(100 * minutes_booked / minutes_open) if minutes_open else None
