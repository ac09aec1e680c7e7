"""Where the images of an exam go, as its page tells it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.imaging.models import Delivery, Image
from xraydesk.imaging.states import ASKS_A_PERSON, DeliveryState, KeepingState
from xraydesk.journey.routed import ways_of
from xraydesk.orders.models import Exam
from xraydesk.reporting.measures import minutes_text


@dataclass(frozen=True)
class Going:
    """One destination: whether images go there, why, and how far they are, in words; nothing where none is under way."""

    destination: str
    goes: bool
    why: str
    how_far: str = ""
    is_stuck: bool = False
    kept: str = ""
    """How many of them it promised to keep, in words; nothing where it is not asked."""
    is_not_kept: bool = False


@dataclass(frozen=True)
class Readable:
    """Since when all images of an exam are where they are read, after how long, and who opened them when."""

    destination: str
    since: datetime
    minutes: str
    opened_at: datetime | None = None
    opened_by: str = ""


def readable(facts: Iterable[Fact]) -> Readable | None:
    """What an exam's facts, the oldest first, say of its images being read; None where they are nowhere yet."""
    found: Readable | None = None
    opened: tuple[datetime, str] | None = None
    for fact in facts:
        if fact.kind == FactKind.IMAGES_AVAILABLE:
            last = datetime.fromisoformat(fact.data["last"])
            found = Readable(
                fact.data["destination"], fact.at, minutes_text((fact.at - last).total_seconds() / 60)
            )
        elif fact.kind == FactKind.IMAGES_OPENED:
            opened = opened or (fact.at, fact.by)
    return replace(found, opened_at=opened[0], opened_by=opened[1]) if found and opened else found


def kept_in_words(counts: Mapping[str, int]) -> str:
    """How many images a destination promised to keep, is asked about, and does not keep, the last first."""
    told = (
        (KeepingState.NOT_KEPT, "not kept"),
        (KeepingState.UNANSWERED, "without an answer"),
        (KeepingState.REFUSED, "to be sent again"),
        (KeepingState.COMMITTED, "kept there"),
        (KeepingState.WAIVED, "seen there by a person"),
        (KeepingState.ASKED, "asked about"),
        (KeepingState.DUE, "to be asked about"),
    )
    return ", ".join(f"{counts[state]} {words}" for state, words in told if counts.get(state))


def where_images_go(exam: Exam, images: Sequence[Image], *, at: datetime) -> list[Going]:
    """Every destination of the site file, those that its images go to first, each with the reason.

    What is under way already keeps the reason it had; the rest is as the rules are now. `exam` is read with its order.
    """
    usual = exam.procedure.modality if exam.procedure else ""
    modalities = sorted({image.modality for image in images} or {usual})
    rows = (
        Delivery.objects.filter(image__exam=exam, image__fetched=None)
        .order_by("id")
        .values_list("destination", "state", "why", "keeping")
    )
    begun: dict[str, tuple[str, Counter[str]]] = {}
    keeping: dict[str, Counter[str]] = {}
    for destination, state, why, kept in rows:
        begun.setdefault(destination, (why, Counter()))[1][state] += 1
        keeping.setdefault(destination, Counter())[kept] += 1
    found = [
        Going(
            destination,
            True,
            why,
            ", ".join(f"{count} {state}" for state, count in sorted(states.items())),
            bool(states[DeliveryState.FAILED]),
            kept_in_words(keeping[destination]),
            any(keeping[destination][state] for state in ASKS_A_PERSON),
        )
        for destination, (why, states) in begun.items()
    ]
    rest = (way for way in ways_of(exam, modalities=modalities, at=at) if way.destination not in begun)
    return found + [Going(way.destination, way.goes, way.why) for way in rest]
