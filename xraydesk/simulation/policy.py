"""How a department is run: who decides what, within which limits, and with which people and hours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from xraydesk.siteplan.hours import Hours
from xraydesk.siteplan.plan import PorterPlan, TechnologistPlan


class Way(StrEnum):
    """How it is decided who goes where, and when."""

    FIRST_COME = "first-come"
    """Whoever comes is given the first place that is free, and keeps it; each room works off its list. Nobody moves for another."""
    ONE_LINE = "one-line"
    """No lists: whichever room is free takes whoever came first."""
    PRIORITY = "priority"
    """One line, STAT before urgent before routine."""
    XRAYDESK = "xraydesk"
    """The planner's proposals."""


@dataclass(frozen=True)
class Autopilot:
    """Within these limits a proposal is accepted at once, by nobody; beyond them a coordinator is asked."""

    outpatient_moved_minutes_max: int
    near_minutes: int
    """Nobody whose time is so near is moved."""


@dataclass(frozen=True)
class Policy:
    """One way to run a department. What is added or changed holds for every day simulated with it."""

    name: str
    way: Way
    words: str = ""
    autopilot: Autopilot | None = None
    technologists: tuple[TechnologistPlan, ...] = ()
    """People besides those of the site file."""
    porters: tuple[PorterPlan, ...] = ()
    room_hours: Mapping[str, Hours] = field(default_factory=dict)
    """Room's code to the hours that it has in place of the site file's."""
