"""Notices keep their order for each exam, and do not wait for those of another."""

from __future__ import annotations

from datetime import timedelta

from tests.factories import AT
from xraydesk.imaging.notice_rules import WaitingNotice, may_go_now, taken_back

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


def test_what_was_told_last_as_readable_and_is_gone_is_taken_back_once() -> None:
    first = {"study": "1", "steps": ["9"], "retrieve_ae": "PACS", "series": {"2": [["C", "3"], ["C", "4"]]}}
    second = first | {"series": {"2": [["C", "3"], ["C", "4"]], "5": [["C", "6"]]}}
    assert taken_back([first, second], {"4", "6", "7"}) == second | {
        "series": {"2": [["C", "4"]], "5": [["C", "6"]]},
        "availability": "UNAVAILABLE",
    }
    gone = first | {"series": {"2": [["C", "4"]]}, "availability": "UNAVAILABLE"}
    assert taken_back([first, gone], {"4"}) is None
    assert taken_back([first, gone, first], {"4"}) == gone
    assert taken_back([], {"4"}) is None
