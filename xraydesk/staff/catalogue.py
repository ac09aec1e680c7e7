"""Technologists, porters and companions as the site file says."""

from __future__ import annotations

from collections.abc import Sequence

from xraydesk.access.models import Site
from xraydesk.lib.rows import put_rows
from xraydesk.siteplan.jsonform import plain
from xraydesk.siteplan.plan import CompanionPlan, PorterPlan, TechnologistPlan
from xraydesk.staff.models import Companion, Porter, Technologist


def put_technologists(*, site: Site, plans: Sequence[TechnologistPlan]) -> None:
    """Bring the technologists to what the plan says; those that it no longer has are retired."""
    wanted = {
        plan.code: {"name": plan.name, "skills": list(plan.skills), "shifts": plain(plan.shifts)}
        for plan in plans
    }
    put_rows(Technologist.objects.filter(site=site), key=("code",), wanted=wanted, fixed={"site": site})


def put_porters(*, site: Site, plans: Sequence[PorterPlan]) -> None:
    """Bring the porters to what the plan says; those that it no longer has are retired."""
    wanted = {plan.code: {"name": plan.name, "shifts": plain(plan.shifts)} for plan in plans}
    put_rows(Porter.objects.filter(site=site), key=("code",), wanted=wanted, fixed={"site": site})


def put_companions(*, site: Site, plans: Sequence[CompanionPlan]) -> None:
    """Bring interpreters and escorts to what the plan says; those that it no longer has are retired."""
    wanted = {
        plan.code: {
            "name": plan.name,
            "kind": plan.kind.value,
            "languages": list(plan.languages),
            "shifts": plain(plan.shifts),
        }
        for plan in plans
    }
    put_rows(Companion.objects.filter(site=site), key=("code",), wanted=wanted, fixed={"site": site})
