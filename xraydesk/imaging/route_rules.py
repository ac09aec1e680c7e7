"""Where the images of an exam go, and why; pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from xraydesk.siteplan.hours import lies_within
from xraydesk.siteplan.on_call import on_call_at
from xraydesk.siteplan.plan import SitePlan
from xraydesk.siteplan.routing_plan import DestinationPlan, OnCallRole, RoutePlan


@dataclass(frozen=True)
class RoutedExam:
    """What rules can ask of an exam. `wall` is when it was begun, naive, on the site's wall; codes may be empty."""

    procedure: str
    location: str
    priority: str
    patient_class: str
    wall: datetime


@dataclass(frozen=True)
class Way:
    """Whether images go to one destination, and why in words that follow its name."""

    destination: str
    goes: bool
    why: str


def ways(exam: RoutedExam, modality: str, plan: SitePlan) -> tuple[Way, ...]:
    """For each destination of the site file that takes images whether images of an exam, made by a machine of `modality`, go there.

    A destination that some rule sends to gets what its rules send it; one that no rule sends to gets
    everything, unless it belongs to another house or is for research. What `sends` limits it to, and what a rule keeps from it,
    holds in any case. The order of the rules does not matter.
    """
    held = [rule for rule in plan.routes if _is_for(rule, exam, modality, plan)]
    return tuple(_way(to, modality, held, plan) for to in plan.destinations if to.takes_images)


def destinations(exam: RoutedExam, modality: str, plan: SitePlan) -> tuple[Way, ...]:
    """The ways that are gone."""
    return tuple(way for way in ways(exam, modality, plan) if way.goes)


def documents_too(gone: tuple[Way, ...], plan: SitePlan) -> tuple[Way, ...]:
    """Of the ways that an exam's images go, those whose destination wants the requisition as well."""
    wanted = {to.name for to in plan.destinations if to.history}
    return tuple(way for way in gone if way.destination in wanted)


def _way(to: DestinationPlan, modality: str, held: Iterable[RoutePlan], plan: SitePlan) -> Way:
    if to.sends and modality not in to.sends:
        return Way(to.name, False, f"it takes {' and '.join(to.sends)} only")
    kept_from = [rule.rule for rule in held if to.name in rule.not_to]
    if kept_from:
        return Way(to.name, False, f"rule “{kept_from[0]}” keeps it from there")
    sent = [rule.rule for rule in held if to.name in rule.to]
    if sent:
        return Way(to.name, True, " and ".join(f"rule “{name}”" for name in sent))
    if any(to.name in rule.to for rule in plan.routes):
        return Way(to.name, False, "none of its rules is for this exam")
    if to.outside or to.research:
        what = "is for research" if to.research else "belongs to another house"
        return Way(to.name, False, f"it {what}, and no rule sends anything there")
    return Way(
        to.name, True, f"all {' and '.join(to.sends)} goes there" if to.sends else "everything goes there"
    )


def _is_for(rule: RoutePlan, exam: RoutedExam, modality: str, plan: SitePlan) -> bool:
    asked = (
        (rule.procedures, exam.procedure),
        (rule.locations, exam.location),
        (rule.priorities, exam.priority),
        (rule.classes, exam.patient_class),
        (rule.modalities, modality),
    )
    if any(wanted and found not in wanted for wanted, found in asked):
        return False
    if rule.hours and not lies_within(rule.hours, exam.wall):
        return False
    return not rule.readers or _reader(exam, plan) in rule.readers


def _reader(exam: RoutedExam, plan: SitePlan) -> str:
    """Who reads at that time; empty where nobody is on call."""
    on = on_call_at(plan.on_call, wall=exam.wall, location=exam.location, role=OnCallRole.READER)
    return on[0].code if on else ""


@dataclass(frozen=True)
class Gone:
    """An exam of another day: what it was, the modalities of its images, and where they went."""

    accession: str
    exam: RoutedExam
    modalities: tuple[str, ...]
    went: frozenset[str]


@dataclass(frozen=True)
class Otherwise:
    """An exam that would go elsewhere than it went: the ways that would be new, and those that would be no more."""

    accession: str
    new: tuple[Way, ...]
    no_more: tuple[Way, ...]


def elsewhere(gone: Iterable[Gone], plan: SitePlan) -> list[Otherwise]:
    """Which exams would go elsewhere under a plan than they went, in their order, each with the reasons."""
    found = []
    for one in gone:
        by_name: dict[str, Way] = {}
        for modality in one.modalities:
            for way in ways(one.exam, modality, plan):
                if way.goes or way.destination not in by_name:
                    by_name[way.destination] = way
        new = tuple(way for way in by_name.values() if way.goes and way.destination not in one.went)
        no_more = tuple(
            by_name.get(name, Way(name, False, "there is no such destination any more"))
            for name in sorted(one.went)
            if name not in by_name or not by_name[name].goes
        )
        if new or no_more:
            found.append(Otherwise(one.accession, new, no_more))
    return found
