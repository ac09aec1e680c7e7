"""What a desk's own facts say of its chance: who comes when, how late, and how long exams take; pure.

What is seen too seldom, or told by no fact (patience, breakdowns, surges), stays as the scenario has it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from xraydesk.reporting.story import Story
from xraydesk.scheduling.engine.department import PORTABLE
from xraydesk.scheduling.rules import EMERGENCY_CLASS, IN_HOUSE_CLASSES
from xraydesk.simulation.chance import Distribution, Shape
from xraydesk.simulation.files import PERCENT_MAX
from xraydesk.simulation.scenario import HOURS, HourByHour, Kind, Scenario
from xraydesk.siteplan.hours import WEEKDAYS
from xraydesk.siteplan.plan import SitePlan

SEEN_MIN = 20
"""Of fewer exams nothing is learnt."""

VALUES_MAX = 200
"""So many values stand for all that were seen."""

WALK_IN_MINUTES = 30
"""An outpatient who is here so soon after the order came with it in hand."""

LATE_MINUTES_MAX = 120
"""Whoever comes so much before or after their time came for something else, or was put down wrongly."""


@dataclass(frozen=True)
class Learnt:
    """A scenario with what was learnt in it, and in words what was."""

    scenario: Scenario
    words: tuple[str, ...]


def learn(stories: Iterable[Story], site: SitePlan, usual: Scenario, *, days: Sequence[date]) -> Learnt:
    """The scenario that the stories of some whole days tell of; what they do not tell stays as it usually is."""
    seen = _Seen(list(stories), site, days)
    scenario, words = usual, []
    for step in (seen.orders, seen.appointments, seen.urgency, seen.exam_times, seen.lateness):
        scenario, said = step(scenario)
        words += said
    name = f"{usual.name}, learnt from facts" if words else usual.name
    return Learnt(replace(scenario, name=name), tuple(words))


Step = tuple[Scenario, list[str]]


class _Seen:
    def __init__(self, stories: Sequence[Story], site: SitePlan, days: Sequence[date]) -> None:
        self.zone = ZoneInfo(site.timezone)
        self.days = Counter(WEEKDAYS[day.weekday()] for day in days)
        self.dates = frozenset(days)
        self.minutes = {p.code: p.minutes for p in site.procedures}
        self.bedside = {p.code for p in site.procedures if set(p.room_kinds) == {PORTABLE}}
        self.by_kind: dict[Kind, list[Story]] = {kind: [] for kind in Kind}
        for story in stories:
            self.by_kind[kind_of(story)].append(story)

    def orders(self, scenario: Scenario) -> Step:
        """Orders by hour and weekday, and of which kinds."""
        kinds = (Kind.EMERGENCY, Kind.INPATIENT, Kind.WALK_IN)
        moments = [s.received_at for kind in kinds for s in self.by_kind[kind]]
        if len(moments) < SEEN_MIN:
            return scenario, []
        shares = {kind: len(self.by_kind[kind]) for kind in kinds}
        told = f"{len(moments)} orders by hour and weekday"
        return replace(scenario, orders=self._hours(moments), shares=shares, load_percent=100), [told]

    def appointments(self, scenario: Scenario) -> Step:
        """Appointments by hour and weekday, and how many do not come."""
        booked = self.by_kind[Kind.BOOKED]
        if len(booked) < SEEN_MIN:
            return scenario, []
        absent = round(100 * sum(1 for s in booked if s.no_show_at) / len(booked))
        hours = self._hours([s.booked_for for s in booked])
        told = f"{len(booked)} appointments by hour and weekday, {absent} % did not come"
        return replace(scenario, appointments=hours, absent_percent=absent), [told]

    def urgency(self, scenario: Scenario) -> Step:
        """How many emergencies are STAT, how many inpatients urgent, and how many are seen at the bedside."""
        emergency, inpatient = self.by_kind[Kind.EMERGENCY], self.by_kind[Kind.INPATIENT]
        told = []
        if len(emergency) >= SEEN_MIN:
            stat = _percent(emergency, lambda s: s.priority == "stat")
            scenario = replace(scenario, stat_percent=stat)
            told.append(f"{stat} % of {len(emergency)} emergency orders are STAT")
        if len(inpatient) >= SEEN_MIN:
            urgent = _percent(inpatient, lambda s: s.priority != "routine")
            bedside = _percent(inpatient, lambda s: s.procedure in self.bedside)
            scenario = replace(scenario, urgent_percent=urgent, bedside_percent=bedside)
            told.append(
                f"{urgent} % of {len(inpatient)} inpatients' orders are urgent, {bedside} % at the bedside"
            )
        return scenario, told

    def exam_times(self, scenario: Scenario) -> Step:
        """How long exams take, in percent of the planned minutes; each procedure by itself where it is seen often enough."""
        of: dict[str, list[int]] = {}
        for story in (s for those in self.by_kind.values() for s in those):
            took = story.minutes("begun_at", "ended_at")
            if took and story.procedure in self.minutes:
                percent = round(100 * took / self.minutes[story.procedure])
                of.setdefault(story.procedure, []).append(min(max(percent, 1), PERCENT_MAX))
        every = [one for those in of.values() for one in those]
        if len(every) < SEEN_MIN:
            return scenario, []
        own = {code: observed(those) for code, those in sorted(of.items()) if len(those) >= SEEN_MIN}
        told = f"exam times of {len(every)} exams, {len(own)} procedures by themselves"
        weights = {code: len(of.get(code, ())) for code in self.minutes}
        return (
            replace(scenario, exam_percent=observed(every), exam_percent_of=own, procedures=weights),
            [told],
        )

    def lateness(self, scenario: Scenario) -> Step:
        """How late people come for an appointment, and how soon after the order a walk-in does."""
        told = []
        late = [
            round(minutes)
            for s in self.by_kind[Kind.BOOKED]
            if (minutes := _minutes(s.booked_for, s.arrived_at)) is not None
            and abs(minutes) <= LATE_MINUTES_MAX
        ]
        soon = [
            max(0, round(minutes))
            for s in self.by_kind[Kind.WALK_IN]
            if (minutes := _minutes(s.received_at, s.arrived_at)) is not None
        ]
        if len(late) >= SEEN_MIN:
            scenario = replace(scenario, late=observed(late))
            told.append(f"lateness of {len(late)} with an appointment")
        if len(soon) >= SEEN_MIN:
            scenario = replace(scenario, walk_in_after=observed(soon))
            told.append(f"{len(soon)} walk-ins from order to arrival")
        return scenario, told

    def _hours(self, moments: Iterable[datetime | None]) -> HourByHour:
        counts: Counter[tuple[str, int]] = Counter()
        for moment in moments:
            local = moment.astimezone(self.zone) if moment else None
            if local and local.date() in self.dates:
                counts[WEEKDAYS[local.weekday()], local.hour] += 1
        every = self._every_day(counts)
        return {
            day: tuple(
                counts[day, hour] / self.days[day] if self.days[day] else every[hour] for hour in range(HOURS)
            )
            for day in WEEKDAYS
        }

    def _every_day(self, counts: Mapping[tuple[str, int], int]) -> list[float]:
        """The mean over all days, for weekdays of which none was seen."""
        days = max(1, sum(self.days.values()))
        return [sum(counts.get((day, hour), 0) for day in WEEKDAYS) / days for hour in range(HOURS)]


def kind_of(story: Story) -> Kind:
    """How somebody came to have an exam, as their facts tell."""
    patient_class = story.patient_class.strip().upper()
    if patient_class == EMERGENCY_CLASS:
        return Kind.EMERGENCY
    if patient_class in IN_HOUSE_CLASSES:
        return Kind.INPATIENT
    soon = _minutes(story.received_at, story.arrived_at)
    if story.booked_for is None or (soon is not None and soon <= WALK_IN_MINUTES):
        return Kind.WALK_IN
    return Kind.BOOKED


def observed(values: Sequence[int]) -> Distribution:
    """What was seen, as a distribution; of many values some that stand evenly for all of them."""
    ranked = sorted(values)
    if len(ranked) > VALUES_MAX:
        ranked = [ranked[int((n + 0.5) * len(ranked) / VALUES_MAX)] for n in range(VALUES_MAX)]
    return Distribution(Shape.OBSERVED, tuple(ranked))


def _percent(stories: Sequence[Story], counts: Callable[[Story], bool]) -> int:
    return round(100 * sum(1 for s in stories if counts(s)) / len(stories))


def _minutes(first: datetime | None, last: datetime | None) -> float | None:
    if first is None or last is None:
        return None
    return (last - first) / timedelta(minutes=1)
