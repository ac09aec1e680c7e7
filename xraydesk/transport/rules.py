"""Who is fetched and taken back, how, from where, by when; which job comes next; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from xraydesk.transport.states import JobKind, JobState, Mode

MODES = {
    "WALK": Mode.WALK,
    "WALKING": Mode.WALK,
    "AMBULATORY": Mode.WALK,
    "AMB": Mode.WALK,
    "CART": Mode.BED,
    "BED": Mode.BED,
    "STRETCHER": Mode.BED,
    "GURNEY": Mode.BED,
}
"""OBR-30 (HL7 table 0124) and what senders write in its place; whatever else is there is a chair."""

MODE_WORDS = {Mode.WALK: "walks", Mode.CHAIR: "chair", Mode.BED: "bed"}


@dataclass(frozen=True)
class Trip:
    """One exam as far as porters are concerned. `start` is when it is booked for, None without a place."""

    patient_class: str
    transport: str
    ward: str
    ward_name: str
    bed: str
    travel_minutes: int
    room: str
    goes_to_patient: bool
    start: datetime | None


@dataclass(frozen=True)
class Wanted:
    """A job as it should be."""

    from_place: str
    to_place: str
    mode: Mode
    minutes: int
    due_at: datetime


def needs_porter(trip: Trip, classes: Sequence[str]) -> bool:
    """Whether somebody fetches this patient: lies on a ward, is of a class that is fetched, and the exam is not at the bedside."""
    return bool(trip.ward) and trip.patient_class in classes and not trip.goes_to_patient


def mode_of(transport: str) -> Mode:
    """How the order says that the patient travels."""
    return MODES.get(transport.strip().upper(), Mode.CHAIR)


def bedside(trip: Trip) -> str:
    """Where the patient lies, in the ward's own words."""
    name = trip.ward_name or trip.ward
    return f"{name}, bed {trip.bed}" if trip.bed else name


def fetch_wanted(
    trip: Trip, *, classes: Sequence[str], early_minutes: int, asked_at: datetime
) -> Wanted | None:
    """The fetch that an exam needs; None where it needs none, or has no place yet.

    Where the exam is sooner than a porter can be there and back, the fetch is due when that can be at the earliest.
    """
    if trip.start is None or not needs_porter(trip, classes):
        return None
    return Wanted(
        from_place=bedside(trip),
        to_place=trip.room,
        mode=mode_of(trip.transport),
        minutes=trip.travel_minutes,
        due_at=max(
            trip.start - timedelta(minutes=early_minutes),
            asked_at + timedelta(minutes=2 * trip.travel_minutes),
        ),
    )


def return_wanted(trip: Trip, *, classes: Sequence[str], at: datetime) -> Wanted | None:
    """The way back of a patient whose exam is over; None where nobody takes them."""
    if not needs_porter(trip, classes):
        return None
    return Wanted(
        from_place=trip.room,
        to_place=bedside(trip),
        mode=mode_of(trip.transport),
        minutes=trip.travel_minutes,
        due_at=at + timedelta(minutes=trip.travel_minutes),
    )


@dataclass(frozen=True)
class Open:
    """A job that waits or is done, as far as its order and lateness go."""

    key: int
    kind: JobKind
    state: JobState
    due_at: datetime
    minutes: int
    urgent: bool


def leaves_by(job: Open) -> datetime:
    """When a porter must set out, there and back being the same way: a fetch goes it twice."""
    ways = 2 if job.kind is JobKind.FETCH else 1
    return job.due_at - timedelta(minutes=job.minutes * ways)


def in_order(jobs: Iterable[Open]) -> list[Open]:
    """Jobs as they should be done: urgent ones first, then by when somebody must set out; fetches before returns."""
    return sorted(jobs, key=lambda job: (not job.urgent, leaves_by(job), job.kind is JobKind.RETURN, job.key))


def is_late(job: Open, at: datetime) -> bool:
    """True for a fetch that cannot be in time any more: nobody has the patient, and the way is longer than the time left."""
    waits = job.state in (JobState.WAITING, JobState.ACCEPTED)
    return job.kind is JobKind.FETCH and waits and at + timedelta(minutes=job.minutes) > job.due_at
