"""The safety check on record."""

from __future__ import annotations

import pytest

from tests.factories import AT, make_exam, make_patient, make_site
from xraydesk.journey.check import missing_checks, record_check
from xraydesk.journey.errors import UnknownExam
from xraydesk.journey.tests.performing import facts
from xraydesk.orders.models import Procedure
from xraydesk.safety.checks import CheckKind
from xraydesk.safety.queries import newest_checks

pytestmark = pytest.mark.django_db


def answer(exam, kind: CheckKind, said: str, **more):
    values = {"method": "asked", "note": "", "at": AT, "by": "user:tech"} | more
    return record_check(exam_id=exam.pk, kind=kind, answer=said, **values)


def test_the_newest_answer_counts_and_older_ones_are_kept() -> None:
    site = make_site()
    Procedure.objects.filter(code="XRCHEST2").update(pregnancy_check=True)
    exam = make_exam(site, patient=make_patient(site, sex="F", birth_date=None))
    assert missing_checks(exam, at=AT) == (CheckKind.IDENTITY, CheckKind.PREGNANCY)
    answer(exam, CheckKind.IDENTITY, "confirmed")
    assert not answer(exam, CheckKind.PREGNANCY, "unknown").passed
    assert missing_checks(exam, at=AT) == (CheckKind.PREGNANCY,)
    answer(exam, CheckKind.PREGNANCY, "no")
    assert missing_checks(exam, at=AT) == ()
    assert exam.safety_checks.count() == 3
    assert newest_checks([exam.pk])[exam.pk][CheckKind.PREGNANCY].answer == "no"
    assert facts(exam) == ["safety check"] * 3


def test_a_technologist_may_decide_otherwise_than_the_rule() -> None:
    exam = make_exam(make_site(), code="XRKNEE2", laterality="L")
    assert not answer(exam, CheckKind.SIDE, "R").passed
    assert answer(exam, CheckKind.SIDE, "R", passed=True, note="ordered wrongly, provider called").passed


def test_a_strange_exam_has_no_check() -> None:
    with pytest.raises(UnknownExam):
        record_check(exam_id=0, kind=CheckKind.IDENTITY, answer="", method="", note="", at=AT, by="user:t")
