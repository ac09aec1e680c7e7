"""The only writer of safety checks. Call inside a transaction."""

from __future__ import annotations

from datetime import datetime

from xraydesk.orders.models import Exam
from xraydesk.safety.checks import CheckKind
from xraydesk.safety.models import SafetyCheck


def insert_check(
    *,
    exam: Exam,
    kind: CheckKind,
    answer: str,
    passed: bool,
    method: str,
    note: str,
    at: datetime,
    by: str,
) -> SafetyCheck:
    """One more answer to one question; older ones are kept."""
    return SafetyCheck.objects.create(
        site_id=exam.site_id,
        exam=exam,
        kind=kind,
        answer=answer[:64],
        passed=passed,
        method=method[:64],
        note=note[:250],
        at=at,
        by=by,
    )
