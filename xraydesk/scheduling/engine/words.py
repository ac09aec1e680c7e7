"""Why here and not there, in words a coordinator would use."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from xraydesk.lib import clock


class Hindrance(StrEnum):
    """What can stand in the way of an exam in a room at a time."""

    CLOSED = "is closed"
    DOWN = "is down"
    TAKEN = "is taken"
    PATIENT = "the patient is in another exam"
    BUSY = "has no technologist free"
    NOBODY = "has no technologist with the skills on"
    KEPT = "is kept"
    UNPUBLISHED = "has no place for outpatients"


TAKEN = (Hindrance.TAKEN, Hindrance.PATIENT, Hindrance.BUSY)
"""Where only other bookings are in the way."""


@dataclass(frozen=True)
class Obstacle:
    """One thing in the way, and when it is over; None where that is not within the days looked at."""

    what: Hindrance
    until: datetime | None = None
    whom: frozenset[str] = frozenset()


def clock_words(at: datetime, *, today: datetime, zone: str) -> str:
    """`10:50`, or `Tue 3 Mar 10:50` where it is not the day of `today`."""
    local = clock.in_zone(at, zone)
    words = f"{local:%H}:{local:%M}".removeprefix("0")
    same = clock.local_day(at, zone) == clock.local_day(today, zone)
    return words if same else f"{local:%a} {local.day} {local:%b} {words}"


_WHOM = {"stat": "STATs", "urgent": "urgent exams", "emergency": "emergencies", "inpatient": "inpatients"}


def whom_words(whom: Iterable[str]) -> str:
    """`emergencies and STATs`, whom a room's time is kept for."""
    return " and ".join(sorted((_WHOM[one] for one in whom), key=str.casefold))


def obstacle_words(room: str, obstacle: Obstacle, *, today: datetime, zone: str) -> str:
    """`XR1 is closed until 7:00`."""
    words = f"{room} {obstacle.what}"
    if obstacle.what is Hindrance.PATIENT:
        words = str(obstacle.what)
    if obstacle.what is Hindrance.KEPT:
        words += f" for {whom_words(obstacle.whom)}"
    if obstacle.until is None:
        return words
    return f"{words} until {clock_words(obstacle.until, today=today, zone=zone)}"


def free_words(room: str, who: str, at: datetime, *, today: datetime, zone: str) -> str:
    """`XR2 is free at 10:50 and Kofi Mensah is there`."""
    words = f"{room} is free at {clock_words(at, today=today, zone=zone)}"
    return f"{words} and {who} is there" if who else words


def wish_words(start: datetime, wished: datetime, *, today: datetime, zone: str) -> str:
    """Whether the time asked for is kept."""
    asked = clock_words(wished, today=today, zone=zone)
    if start == wished:
        return f"{asked} was asked for"
    return f"{asked} was asked for; this is the first free time after it"
