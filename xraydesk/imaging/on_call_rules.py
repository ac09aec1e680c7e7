"""Who is called for images that must be read now, and when the next one is; pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from xraydesk.siteplan.on_call import on_call_at
from xraydesk.siteplan.plan import SitePlan
from xraydesk.siteplan.routing_plan import OnCallPlan, OnCallRole


@dataclass(frozen=True)
class OnDuty:
    """Who is on call at a moment: the one who reads first, then those who cover; and the team that is told as well."""

    readers: tuple[OnCallPlan, ...]
    team: tuple[OnCallPlan, ...]


def on_duty(plan: SitePlan, *, wall: datetime, location: str) -> OnDuty:
    """Who is on call for a location at a naive moment on the site's wall."""
    return OnDuty(
        readers=on_call_at(plan.on_call, wall=wall, location=location, role=OnCallRole.READER),
        team=on_call_at(plan.on_call, wall=wall, location=location, role=OnCallRole.TEAM),
    )


def words_of(person: OnCallPlan) -> str:
    """`Dr Ida Berg, pager 311, ext. 7100`: the pager first, because it is carried."""
    return ", ".join(part for part in (person.name, person.pager, person.phone) if part)


def whose_turn(
    readers: tuple[OnCallPlan, ...], *, since: datetime, at: datetime, minutes: int
) -> OnCallPlan | None:
    """Who is called now: each has so many minutes, then the next one covers; the last one stays. None where nobody is on."""
    if not readers:
        return None
    passed = max(0, (at - since) // timedelta(minutes=minutes))
    return readers[min(passed, len(readers) - 1)]


def call_words(person: OnCallPlan | None, *, accession: str, destination: str) -> str:
    """What whoever coordinates is asked to do for a STAT whose images can be read."""
    whom = f"Call {words_of(person)}" if person else "Nobody is on call to read: find somebody"
    return f"{whom}. The images of STAT exam {accession} are at {destination}, and nobody has opened them."
