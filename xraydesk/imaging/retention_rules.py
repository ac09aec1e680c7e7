"""Which files of images are kept here, till when and why; pure. The desk is no archive: what it holds is in transit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from xraydesk.imaging.states import SAFE, DeliveryState, ImageState, KeepingState


class Kept(StrEnum):
    """Why the file of an image is here; the first that holds, in this order."""

    UNDECIDED = "a person decides where it belongs"
    NOT_SENT = "it is not everywhere yet that it goes"
    NOWHERE = "no destination has it under its patient's name"
    NOT_SAFE = "a destination has it, and it is not safe there yet"
    ASKED_ABOUT = "a person is asked about its exam"
    PRIORS = "studies to compare its exam with are on their way"
    DAYS = "it is kept for some days more"
    MAY_GO = "nothing: it may go"


@dataclass(frozen=True)
class RetentionPolicy:
    """How long files stay: for `days` (0 for ever) once they are safe, which they are `unpromised_hours` after a destination
    took them that is not asked for a promise."""

    days: int
    unpromised_hours: int


@dataclass(frozen=True)
class Way:
    """One image on its way to one destination. `commits`: it is asked for a promise; `is_gone`: the site file names it no more."""

    destination: str
    state: DeliveryState
    keeping: KeepingState = KeepingState.NOT_ASKED
    sent_at: datetime | None = None
    kept_at: datetime | None = None
    commits: bool = False
    is_gone: bool = False
    is_nameless: bool = False
    """True for research: what it has tells nobody whose it is, and stands for no original."""


@dataclass(frozen=True)
class Standing:
    """How an image stands. `since` is the latest of: received, received again, decided on."""

    state: ImageState
    since: datetime
    ways: tuple[Way, ...] = ()
    is_asked_about: bool = False
    waits_for_priors: bool = False
    is_passing: bool = False
    """True for what was fetched to be compared with: the archive that it came from keeps the original."""


def safe_since(way: Way, policy: RetentionPolicy, *, at: datetime) -> datetime | None:
    """Since when an image is safe at a destination; None where it is not.

    A promise, or a person's word, makes it so. Without either a destination that is never asked counts as safe some
    time after it took the image; one that is asked does not, nor one that the site file names no more.
    """
    if way.state is not DeliveryState.SENT or way.sent_at is None:
        return None
    if way.keeping in SAFE:
        return way.kept_at
    if way.commits or way.is_gone or way.sent_at > at - timedelta(hours=policy.unpromised_hours):
        return None
    return way.sent_at


def why_kept(standing: Standing, policy: RetentionPolicy, *, at: datetime) -> Kept:
    """Why the file of an image is still here."""
    if standing.state in (ImageState.QUARANTINED, ImageState.HELD):
        return Kept.UNDECIDED
    if standing.state is ImageState.MATCHED:
        return Kept.NOT_SENT
    if standing.is_passing:
        return Kept.MAY_GO
    # What was rejected is to be nowhere.
    is_due = standing.state is not ImageState.REJECTED
    due = [way for way in standing.ways if is_due and way.state is not DeliveryState.WITHDRAWN]
    if is_due and all(way.is_nameless for way in due):
        return Kept.NOWHERE
    safe = [safe_since(way, policy, at=at) for way in due]
    if None in safe:
        return Kept.NOT_SAFE
    if standing.is_asked_about:
        return Kept.ASKED_ABOUT
    if standing.waits_for_priors:
        return Kept.PRIORS
    latest = max([standing.since, *(when for when in safe if when)])
    if not policy.days or latest > at - timedelta(days=policy.days):
        return Kept.DAYS
    return Kept.MAY_GO


def where_it_is(state: ImageState, ways: Iterable[Way]) -> str:
    """Where an image is whose file is let go of, in words."""
    if state is ImageState.REJECTED:
        return "it was rejected, and goes nowhere"
    there = sorted(way.destination for way in ways if way.state is DeliveryState.SENT)
    return f"it is safe at {' and '.join(there)}"


def percent_used(used_bytes: int, *, gigabytes_max: int) -> int:
    """How much of the room for files is taken, in whole percent; 0 where nothing limits it."""
    return used_bytes * 100 // (gigabytes_max * 1_000_000_000) if gigabytes_max else 0


FREE_BYTES_WARN = 2_000_000_000
"""With less room than this on the disk a person is told, whatever the site file allows."""


def room_in_words(used_bytes: int, free_bytes: int, *, gigabytes_max: int, warn_percent: int) -> str:
    """What is wrong with the room for files, in a sentence; empty where there is enough."""
    percent = percent_used(used_bytes, gigabytes_max=gigabytes_max)
    if percent >= 100:
        return (
            f"The files of images take all of the {gigabytes_max} GB that they may: no more images are taken"
        )
    if gigabytes_max and percent >= warn_percent:
        return f"The files of images take {percent} % of the {gigabytes_max} GB that they may"
    if free_bytes < FREE_BYTES_WARN:
        return f"The disk that images are kept on has {free_bytes // 1_000_000} MB left"
    return ""
