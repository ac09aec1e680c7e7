"""Reading safety checks, and what an exam needs of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from xraydesk.orders.models import Exam
from xraydesk.safety.checks import CheckKind
from xraydesk.safety.models import SafetyCheck
from xraydesk.safety.rules import Answer, Subject, age_years, checks_missing, checks_needed
from xraydesk.siteplan.policies import Policies


def newest_checks(exam_ids: Iterable[int]) -> dict[int, dict[CheckKind, SafetyCheck]]:
    """The newest answer to each question, by exam, in one query."""
    found: dict[int, dict[CheckKind, SafetyCheck]] = {}
    checks = SafetyCheck.objects.filter(exam__in=list(exam_ids))
    for check in checks.order_by("exam", "kind", "-at", "-id").distinct("exam", "kind"):
        found.setdefault(check.exam_id, {})[CheckKind(check.kind)] = check
    return found


def subject_of(exam: Exam, *, day: date, policies: Policies) -> Subject:
    """What decides the questions for one exam on one local day. A part with sides, or an order for one, has a side."""
    procedure = exam.procedure
    return Subject(
        sex=exam.patient.sex,
        age_years=age_years(exam.patient.birth_date, day),
        asks_pregnancy=bool(procedure and procedure.pregnancy_check),
        has_side=bool(exam.laterality or (procedure and procedure.laterality)),
        pregnancy_age_min_years=policies.pregnancy_age_min_years,
        pregnancy_age_max_years=policies.pregnancy_age_max_years,
    )


def needed_for(exam: Exam, *, day: date, policies: Policies) -> tuple[CheckKind, ...]:
    """The checks that one exam needs."""
    return checks_needed(subject_of(exam, day=day, policies=policies))


def missing_for(exam: Exam, *, day: date, policies: Policies) -> tuple[CheckKind, ...]:
    """The checks that one exam still lacks."""
    newest = newest_checks([exam.pk]).get(exam.pk, {}).values()
    answers = [Answer(CheckKind(check.kind), check.passed) for check in newest]
    return checks_missing(needed_for(exam, day=day, policies=policies), answers)
