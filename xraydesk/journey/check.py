"""The safety check before an exposure: who is this, which side, may she be pregnant."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from xraydesk.attention.actions import close_items
from xraydesk.facts.actions import record
from xraydesk.facts.kinds import FactKind
from xraydesk.journey.errors import UnknownExam
from xraydesk.journey.policy import policies_of
from xraydesk.lib import clock
from xraydesk.orders.models import Exam
from xraydesk.orders.queries import lock_exam
from xraydesk.safety.actions import insert_check
from xraydesk.safety.checks import CheckKind
from xraydesk.safety.models import SafetyCheck
from xraydesk.safety.queries import missing_for
from xraydesk.safety.rules import lets_go_on


@transaction.atomic
def record_check(
    *,
    exam_id: int,
    kind: CheckKind,
    answer: str,
    method: str,
    note: str,
    at: datetime,
    by: str,
    passed: bool | None = None,
) -> SafetyCheck:
    """Write down the answer to one question of the safety check.

    `passed` is the technologist's decision; left out, the rule decides by the answer alone.
    Once nothing is missing any more, the item of an exam that began without it ends.

    Raises UnknownExam.
    """
    found = lock_exam(exam_id)
    if found is None:
        raise UnknownExam("There is no such exam here.")
    decided = lets_go_on(kind, answer, ordered_side=found.laterality) if passed is None else passed
    check = insert_check(
        exam=found, kind=kind, answer=answer, passed=decided, method=method, note=note, at=at, by=by
    )
    record(
        site_id=found.site_id,
        kind=FactKind.SAFETY_CHECKED,
        at=at,
        by=by,
        accession=found.accession,
        patient=found.patient_id,
        data={"check": kind, "answer": check.answer, "passed": decided},
        simulated=found.simulated,
    )
    if not missing_checks(found, at=at):
        close_items(
            site_id=found.site_id,
            key=check_missing_key(found.accession),
            at=at,
            by=by,
            how="the check was answered",
        )
    return check


def missing_checks(exam: Exam, *, at: datetime) -> tuple[CheckKind, ...]:
    """The checks that an exam still lacks at a moment."""
    day = clock.local_day(at, exam.site.timezone)
    return missing_for(exam, day=day, policies=policies_of(exam.site))


def check_missing_key(accession: str) -> str:
    """The key of the item of an exam that began without its safety check."""
    return f"check missing:{accession}"
