"""What the board shows of reports: an exam that was read, one with a preliminary report, and no place for what is done."""

from __future__ import annotations

import pytest

from tests.factories import make_booking, make_exam, make_site
from xraydesk.desk.board_query import Board, board_of
from xraydesk.desk.tests.people import signed_in
from xraydesk.desk.tests.test_feedback import performed, report
from xraydesk.journey.stage import Stage
from xraydesk.lib import clock
from xraydesk.orders.models import Exam
from xraydesk.results.states import ReportAction
from xraydesk.scheduling.states import BookingState

pytestmark = pytest.mark.django_db


def board(exam: Exam) -> Board:
    at = clock.now()
    return board_of(site=exam.site, day=clock.in_zone(at, exam.site.timezone).date(), at=at)


def test_a_preliminary_report_is_a_flag_and_a_final_one_a_stage() -> None:
    exam = performed(make_site())
    make_booking(exam, start=clock.now(), state=BookingState.DONE)
    report(exam, ReportAction.PRELIMINARY, "A nodule?")
    card = board(exam).card(exam.accession)
    assert card is not None
    assert (card.stage, card.preliminary) == (Stage.ENDED, True)
    assert ">prelim<" in signed_in(exam.site).get("/").content.decode()
    report(exam, ReportAction.FINAL, "A nodule.")
    card = board(exam).card(exam.accession)
    assert card is not None
    assert (card.stage, card.preliminary) == (Stage.READ, False)
    assert ">prelim<" not in signed_in(exam.site).get("/").content.decode()


def test_an_exam_that_was_read_without_a_place_waits_for_none() -> None:
    exam = make_exam(make_site())
    assert [card.accession for card in board(exam).tray] == [exam.accession]
    report(exam, ReportAction.FINAL, "Read from films of another house.")
    assert board(exam).tray == ()
