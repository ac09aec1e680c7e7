"""What a system that gives appointments itself tells of one; frozen, without a database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from xraydesk.patients.demographics import Demographics


class AppointmentKind(StrEnum):
    """What happened to an appointment, where it was given."""

    GIVEN = "given"
    """New, moved or changed: its time is the order's wish."""
    CALLED_OFF = "called off"
    """The order stands, its time does not."""
    MISSED = "missed"


@dataclass(frozen=True)
class AskedStart:
    """When one exam is to begin; `code` is "" where it is said for all of them."""

    code: str
    at: datetime
    as_sent: str


@dataclass(frozen=True)
class AppointmentNews:
    """One appointment of one order. `filler` names the order where `placer` is "", and one exam of it where it is that exam's number."""

    kind: AppointmentKind
    patient: Demographics
    placer: str
    placer_authority: str
    filler: str
    starts: tuple[AskedStart, ...] = ()
    """At least one where the appointment was given."""


def start_for(code: str, starts: Sequence[AskedStart]) -> AskedStart:
    """When the exam of a code is to begin: as said of it, else as said first."""
    return next((one for one in starts if one.code and one.code == code), starts[0])
