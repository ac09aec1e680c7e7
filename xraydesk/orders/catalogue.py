"""The procedures a department offers, as its site file says."""

from __future__ import annotations

from collections.abc import Sequence

from xraydesk.access.models import Site
from xraydesk.lib.rows import put_rows
from xraydesk.orders.models import Procedure
from xraydesk.siteplan.plan import ProcedurePlan


def put_procedures(*, site: Site, plans: Sequence[ProcedurePlan]) -> None:
    """Bring the procedures to what the plan says; those that it no longer has are retired."""
    wanted = {
        (plan.system, plan.code): {
            "text": plan.text,
            "body_part": plan.body_part,
            "laterality": list(plan.laterality),
            "views": list(plan.views),
            "minutes": plan.minutes,
            "modality": plan.modality,
            "room_kinds": list(plan.room_kinds),
            "skills": list(plan.skills),
            "preparation": plan.preparation,
            "preparation_minutes": plan.preparation_minutes,
            "escort": plan.escort,
            "after": list(plan.after),
            "pregnancy_check": plan.pregnancy_check,
            "sex": plan.sex,
            "age_min_years": plan.age_min_years,
            "age_max_years": plan.age_max_years,
            "charge_code": plan.charge_code,
        }
        for plan in plans
    }
    put_rows(Procedure.objects.filter(site=site), key=("system", "code"), wanted=wanted, fixed={"site": site})
