"""Every measure of a simulated department, once: in words, and in code over what became of everybody; pure.

Each measure takes numbers from a day. A day's numbers become one number as its kind says; so do the
numbers of all days together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from xraydesk.simulation.outcome import DayOutcome, End, Ending, Use
from xraydesk.simulation.scenario import Kind

LATE_AFTER_MINUTES = 10
"""An appointment is kept late when it begins so much after its time, or after its patient has come."""


class Become(StrEnum):
    """How a day's numbers become one."""

    COUNT = "count"
    TOTAL = "total"
    MEAN = "mean"
    MEDIAN = "median"
    NINETIETH = "90th percentile"
    PERCENT = "percent"
    """Of the numbers, how many of a hundred are not 0."""
    RATIO = "ratio"
    """The numbers come in pairs; the sum of the first ones over that of the second ones."""
    RATIO_PERCENT = "ratio in percent"


@dataclass(frozen=True)
class Measure:
    """A measure: its key in files, its name, its definition in words, and the numbers that a day gives to it.

    `better` is -1 where less is better, 1 where more is, 0 where neither.
    """

    key: str
    name: str
    words: str
    become: Become
    of: Callable[[DayOutcome], Sequence[float]]
    unit: str = ""
    better: int = -1


def number(become: Become, numbers: Sequence[float], days: int = 1) -> float | None:
    """One number of many; counts and totals are those of a day. None where there is nothing to tell."""
    match become:
        case Become.COUNT:
            return len(numbers) / days
        case Become.TOTAL:
            return sum(numbers) / days
        case Become.RATIO | Become.RATIO_PERCENT:
            below = sum(numbers[1::2])
            if not below:
                return None
            return sum(numbers[::2]) / below * (100 if become is Become.RATIO_PERCENT else 1)
    if not numbers:
        return None
    match become:
        case Become.MEDIAN:
            return percentile(numbers, 50)
        case Become.NINETIETH:
            return percentile(numbers, 90)
        case Become.PERCENT:
            return 100 * sum(1 for one in numbers if one) / len(numbers)
        case _:
            return sum(numbers) / len(numbers)


def percentile(numbers: Sequence[float], percent: float) -> float:
    """The number that so many of a hundred do not exceed, between two of them where it lies there. `numbers` is not empty."""
    ranked = sorted(numbers)
    at = percent / 100 * (len(ranked) - 1)
    low = int(at)
    high = min(low + 1, len(ranked) - 1)
    return ranked[low] + (at - low) * (ranked[high] - ranked[low])


# -- what one patient gives ------------------------------------------------------------------------


def wait_minutes(ending: Ending) -> float | None:
    """From being here, or from the time first told where that is later, to the beginning; None for who was not seen."""
    if ending.begun is None or ending.here is None:
        return None
    since = max(ending.here, ending.told_first) if ending.told_first is not None else ending.here
    return float(max(0, ending.begun - since))


def order_to_exam_minutes(ending: Ending) -> float | None:
    """From the order to the beginning; None for an appointment, and for who was not seen."""
    if ending.begun is None or ending.ordered is None:
        return None
    return float(ending.begun - ending.ordered)


def moved_minutes(ending: Ending) -> float | None:
    """By how much an appointment was moved, either way; None where it was not."""
    if ending.told_first is None or ending.told_last is None or ending.told_first == ending.told_last:
        return None
    return float(abs(ending.told_last - ending.told_first))


Takes = Callable[[Ending], float | None]
Counts = Callable[[Ending], bool]


def _numbers(takes: Takes, counts: Counts = lambda ending: True) -> Callable[[DayOutcome], Sequence[float]]:
    def of(day: DayOutcome) -> Sequence[float]:
        return [taken for e in day.endings if counts(e) and (taken := takes(e)) is not None]

    return of


def _priority(priority: str) -> Counts:
    return lambda ending: ending.priority == priority


def _end(end: End) -> Takes:
    return lambda ending: 1.0 if ending.end is end else None


def _late(ending: Ending) -> float | None:
    wait = wait_minutes(ending)
    if ending.kind is not Kind.BOOKED or wait is None:
        return None
    return 1.0 if wait > LATE_AFTER_MINUTES else 0.0


def _moved_for_each_stat(day: DayOutcome) -> Sequence[float]:
    moved = sum(1 for e in day.endings if moved_minutes(e) is not None)
    return float(moved), float(sum(1 for e in day.endings if e.priority == "stat"))


def _use(of: Callable[[DayOutcome], Iterable[Use]]) -> Callable[[DayOutcome], Sequence[float]]:
    def pairs(day: DayOutcome) -> Iterator[float]:
        for use in of(day):
            yield float(use.used)
            yield float(use.there)

    return lambda day: tuple(pairs(day))


MEASURES: tuple[Measure, ...] = (
    Measure(
        "patients",
        "patients",
        "Orders and appointments of the day.",
        Become.COUNT,
        _numbers(lambda ending: 1.0),
        "a day",
        0,
    ),
    Measure(
        "seen",
        "seen",
        "Patients whose exam began before midnight.",
        Become.COUNT,
        _numbers(_end(End.SEEN)),
        "a day",
        1,
    ),
    Measure(
        "wait",
        "mean wait",
        "Minutes from being here, or from the time first told where that is later, to the beginning. "
        "Who was moved to a later time waits all the same.",
        Become.MEAN,
        _numbers(wait_minutes),
        "min",
    ),
    *(
        Measure(
            f"wait-{priority}",
            f"mean wait, {words}",
            f"The same for {words} exams alone.",
            Become.MEAN,
            _numbers(wait_minutes, _priority(priority)),
            "min",
        )
        for priority, words in (("stat", "STAT"), ("urgent", "urgent"), ("routine", "routine"))
    ),
    Measure(
        "wait-p90",
        "wait, 90th percentile",
        "Nine in ten wait no longer than so.",
        Become.NINETIETH,
        _numbers(wait_minutes),
        "min",
    ),
    Measure(
        "stat-p50",
        "STAT order to exam, median",
        "Minutes from a STAT's order to its beginning; half are no longer.",
        Become.MEDIAN,
        _numbers(order_to_exam_minutes, _priority("stat")),
        "min",
    ),
    Measure(
        "stat-p90",
        "STAT order to exam, 90th percentile",
        "Minutes from a STAT's order to its beginning; nine in ten are no longer.",
        Become.NINETIETH,
        _numbers(order_to_exam_minutes, _priority("stat")),
        "min",
    ),
    Measure(
        "ward-order",
        "order to exam, wards",
        "Mean minutes from an inpatient's order to its beginning: what a wait in bed costs, which is no wait here.",
        Become.MEAN,
        _numbers(order_to_exam_minutes, lambda ending: ending.kind is Kind.INPATIENT),
        "min",
    ),
    Measure(
        "late",
        "appointments kept late",
        f"Of appointments kept, how many began more than {LATE_AFTER_MINUTES} minutes after their first told time, "
        "or after their patient had come where that was later.",
        Become.PERCENT,
        _numbers(_late),
        "%",
    ),
    Measure(
        "moved",
        "outpatients moved",
        "Patients with an appointment who were told another time than first, in favour of somebody else.",
        Become.COUNT,
        _numbers(moved_minutes),
        "a day",
    ),
    Measure(
        "moved-minutes",
        "moved by",
        "Mean minutes between the first and the last time told, of those who were moved.",
        Become.MEAN,
        _numbers(moved_minutes),
        "min",
    ),
    Measure(
        "moved-for-stat",
        "moved for each STAT",
        "Outpatients moved, over STAT exams of the day.",
        Become.RATIO,
        _moved_for_each_stat,
        "",
    ),
    Measure(
        "left",
        "left without being seen",
        "Outpatients who waited longer than they were ready to.",
        Become.COUNT,
        _numbers(_end(End.LEFT)),
        "a day",
    ),
    Measure(
        "waiting",
        "waiting at midnight",
        "Patients whose exam had not begun when the day ended: most of them on a ward, for the next morning.",
        Become.COUNT,
        _numbers(_end(End.WAITING)),
        "a day",
    ),
    Measure(
        "absent",
        "did not come",
        "Appointments whose patient did not come.",
        Become.COUNT,
        _numbers(_end(End.ABSENT)),
        "a day",
        0,
    ),
    Measure(
        "overtime",
        "overtime",
        "Minutes of exams after the shift of whoever made them.",
        Become.TOTAL,
        _numbers(lambda ending: float(ending.overtime)),
        "min a day",
    ),
    Measure(
        "rooms",
        "rooms used",
        "Minutes of exams, of the minutes that rooms are open.",
        Become.RATIO_PERCENT,
        _use(lambda day: day.rooms.values()),
        "%",
        0,
    ),
    Measure(
        "technologists",
        "technologists busy",
        "Minutes of exams, of the minutes that technologists are on.",
        Become.RATIO_PERCENT,
        _use(lambda day: day.technologists.values()),
        "%",
        0,
    ),
    Measure(
        "porters",
        "porters busy",
        "Minutes with a patient or on the way to one, of the minutes that porters are on.",
        Become.RATIO_PERCENT,
        _use(lambda day: day.porters.values()),
        "%",
        0,
    ),
)
BY_KEY = {measure.key: measure for measure in MEASURES}
