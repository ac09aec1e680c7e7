"""What became of everybody on one simulated day: the only thing that measures are taken from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from xraydesk.simulation.scenario import Kind


class End(StrEnum):
    """How somebody's day at the department ended. Each patient has one."""

    SEEN = "seen"
    LEFT = "left without being seen"
    ABSENT = "did not come"
    WAITING = "waiting at midnight"


@dataclass(frozen=True)
class Ending:
    """One patient's day. Minutes from midnight; None where it did not come to that.

    `told_first` and `told_last` are the first and the last time that somebody with an appointment was told.
    `overtime` is how many minutes of the exam lay after its technologist's shift.
    """

    id: str
    kind: Kind
    priority: str
    end: End
    ordered: int | None = None
    told_first: int | None = None
    told_last: int | None = None
    here: int | None = None
    begun: int | None = None
    ended: int | None = None
    room: str = ""
    overtime: int = 0
    takes: int = 0
    """How long the exam takes, whether it came to that or not."""


@dataclass(frozen=True)
class Use:
    """Minutes that something, or somebody, could be used, and was."""

    there: int
    used: int


@dataclass(frozen=True)
class DayOutcome:
    """One day under one policy. Uses are by code."""

    day: int
    endings: tuple[Ending, ...]
    rooms: Mapping[str, Use] = field(default_factory=dict)
    technologists: Mapping[str, Use] = field(default_factory=dict)
    porters: Mapping[str, Use] = field(default_factory=dict)
