"""Codes of senders that the department does not know: a person says which exam is meant, and what waited goes on."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from xraydesk.access.models import Site
from xraydesk.journey.cancel import begun
from xraydesk.journey.errors import WrongState
from xraydesk.journey.triage import changed_by_hand
from xraydesk.orders import actions, queries
from xraydesk.orders.models import CodeMapping, Exam, Procedure

FOLLOWING_MAX = 500
"""No more waiting exams than these follow at once; pressed again, the next ones do."""


def map_code(
    *, site: Site, source: str, code: str, system: str, procedure_id: int, at: datetime, by: str
) -> int:
    """A sender's code means one of the department's exams: now, for what waits, and for what comes; the exams that follow.

    What was begun, booked or decided by a person meanwhile is left. Raises WrongState where there is no such procedure.
    """
    with transaction.atomic():
        procedure = Procedure.objects.filter(site=site, pk=procedure_id, retired=False).first()
        if procedure is None or not code:
            raise WrongState("Choose one of the department's exams; nothing was changed.")
        actions.write_mapping(
            site=site, source=source, code=code, system=system, procedure=procedure, at=at, by=by
        )
        waiting = queries.of_unknown_codes(site=site).filter(
            order__source=source, procedure_code=code, procedure_system=system
        )
        followed = 0
        for exam_id in list(waiting.order_by("id").values_list("pk", flat=True)[:FOLLOWING_MAX]):
            exam = queries.lock_exam(exam_id)
            if exam is not None and exam.procedure_id is None and not begun([exam]):
                _follow(exam, procedure, at=at, by=by)
                followed += 1
        return followed


def _follow(exam: Exam, procedure: Procedure, *, at: datetime, by: str) -> None:
    actions.set_mapped_procedure(exam, procedure)
    changed_by_hand(exam, "code", at=at, by=by)


def unmap_code(*, site: Site, mapping_id: int, at: datetime, by: str) -> None:
    """What comes with a sender's code waits for a person again; what was read before stays. Raises WrongState."""
    with transaction.atomic():
        mapping = CodeMapping.objects.filter(site=site, pk=mapping_id).first()
        if mapping is None or not actions.end_mapping(mapping.pk, at=at, by=by):
            raise WrongState("That was taken back already; nothing was changed.")
