"""Notices keep their order for each exam, and do not wait for those of another."""

from __future__ import annotations

from datetime import timedelta

from tests.factories import AT
from xraydesk.imaging.notice_rules import WaitingNotice, may_go_now

LATER = AT + timedelta(seconds=1)


def test_of_one_exam_none_overtakes_an_earlier_one_and_other_exams_go_on() -> None:
    waiting = [
        WaitingNotice(1, 10, LATER),
        WaitingNotice(2, 20, AT),
        WaitingNotice(3, 10, AT),
        WaitingNotice(4, 20, AT),
    ]
    assert may_go_now(waiting, at=AT) == [2, 4]
    assert may_go_now(waiting, at=LATER) == [1, 2, 3, 4]
