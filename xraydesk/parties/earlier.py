"""What the simulated EHR leaves for the archive of former years: of whom an exam was ordered, and of what."""

from __future__ import annotations

import json

from xraydesk.parties.department import Department
from xraydesk.siteplan.invented import Person
from xraydesk.siteplan.plan import ProcedurePlan
from xraydesk.siteplan.routing_plan import DestinationPlan

NOTES = "earlier"
NOTES_MAX = 100


def archive_of(department: Department) -> DestinationPlan | None:
    """The destination that is asked over the web alone; None where the department has none."""
    return next((to for to in department.plan.destinations if to.web and not to.takes_images), None)


def leave_note(department: Department, person: Person, procedure: ProcedurePlan, side: str) -> None:
    """What the EHR leaves for the archive when it orders an exam; at most NOTES_MAX of them wait."""
    if archive_of(department) is None:
        return
    folder = department.folder / NOTES
    folder.mkdir(parents=True, exist_ok=True)
    if sum(1 for _ in folder.glob("*.json")) >= NOTES_MAX:
        return
    note = {
        "number": person.number,
        "name": f"{person.family}^{person.given}",
        "birth_date": f"{person.birth_date:%Y%m%d}",
        "sex": person.sex,
        "text": procedure.text,
        "body_part": procedure.body_part,
        "modality": procedure.modality,
        "views": list(procedure.views)[:2] or ["AP"],
        "side": side,
    }
    partial = folder / f"{person.number}.partial"
    partial.write_text(json.dumps(note), encoding="utf-8")
    partial.replace(partial.with_suffix(".json"))
