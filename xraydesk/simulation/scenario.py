"""What comes to a department: orders by hour and weekday, who they are for, how long things really take, what goes wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from xraydesk.simulation.chance import Distribution, always, even

HOURS = 24

_NONE, _AS_PLANNED, _AN_HOUR = always(0), always(100), always(60)
_SOON, _A_WHILE, _AROUND, _TEN_HOURS = even(1, 8), even(5, 15), even(-18, 8), always(600)


class Kind(StrEnum):
    """How somebody comes to have an exam."""

    EMERGENCY = "emergency"
    """From the emergency department, brought by its own people."""
    INPATIENT = "inpatient"
    """From a ward: fetched by a porter, brought by the ward, or done at the bedside."""
    BOOKED = "booked"
    """An outpatient with an appointment, made before the day."""
    WALK_IN = "walk-in"
    """An outpatient who comes with the order in hand."""


HourByHour = Mapping[str, tuple[float, ...]]
"""Weekday to 24 numbers, from midnight on."""


@dataclass(frozen=True)
class Surge:
    """Many at once from the emergency department: on so many days of a hundred, within some hours."""

    percent: int = 0
    patients: Distribution = _NONE
    within_minutes: int = 30
    hours: tuple[int, int] = (8, 20)
    """The first and the last hour in which it may begin."""


@dataclass(frozen=True)
class Scenario:
    """Everything that is left to chance, and its odds. Percent are whole; minutes unless said otherwise."""

    name: str
    words: str = ""
    load_percent: int = 100
    """How much of the orders and appointments below comes."""
    orders: HourByHour = field(default_factory=dict)
    """Orders an hour, appointments aside."""
    shares: Mapping[Kind, int] = field(default_factory=dict)
    """Of these orders: how many of each kind, by weight."""
    appointments: HourByHour = field(default_factory=dict)
    """Appointments an hour."""
    procedures: Mapping[str, int] = field(default_factory=dict)
    """How often each procedure is asked for, by weight; 1 where nothing is said."""
    stat_percent: int = 67
    """Of emergency orders; the others are urgent."""
    urgent_percent: int = 33
    """Of inpatients' orders; the others are routine."""
    bedside_percent: int = 40
    fetched_percent: int = 70
    """Of inpatients who come to the department; the others are brought by their ward."""
    brought: Distribution = _A_WHILE
    """From the order until the ward has brought somebody, beyond the way itself."""
    walk_in_after: Distribution = _SOON
    """From the order until a walk-in is here."""
    late: Distribution = _AROUND
    """How late those with an appointment come; less than none is early."""
    absent_percent: int = 3
    patience: Distribution = _TEN_HOURS
    """How long outpatients wait before they leave."""
    exam_percent: Distribution = _AS_PLANNED
    """How long exams really take, in percent of the planned minutes."""
    exam_percent_of: Mapping[str, Distribution] = field(default_factory=dict)
    """The same for procedures that have their own."""
    way_percent: Distribution = _AS_PLANNED
    """How long a porter's way really takes, in percent of the planned minutes."""
    breakdown_percent: int = 0
    """On so many days of a hundred a room breaks down; each room by itself."""
    breakdown_minutes: Distribution = _AN_HOUR
    surge: Surge = field(default_factory=Surge)
    notice_minutes: int = 60
    """Who is told a new time later than so long before the old one has set out already, and comes as first told."""
    answer_minutes: int = 3
    """So long until a coordinator has looked at a proposal and accepted it."""
    overtime_minutes_max: int = 60
    """So long after closing people stay for patients who are here."""

    def rate(self, day: str, hour: int) -> float:
        """Orders in an hour of a weekday, on average."""
        return _of_hour(self.orders, day, hour) * self.load_percent / 100

    def booked(self, day: str, hour: int) -> int:
        """Appointments in an hour of a weekday."""
        return round(_of_hour(self.appointments, day, hour) * self.load_percent / 100)


def _of_hour(hours: HourByHour, day: str, hour: int) -> float:
    return hours[day][hour] if day in hours else 0
