"""What the board shows of steps and reports: who shares a step, who was read, and no place for what is done."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.factories import make_booking, make_exam, make_site
from xraydesk.desk.board_query import Board, board_of
from xraydesk.desk.tests.people import signed_in
from xraydesk.desk.tests.scenes import mid_morning_zone
from xraydesk.desk.tests.test_feedback import performed, report
from xraydesk.imaging.states import StepState
from xraydesk.journey.stage import Stage
from xraydesk.journey.tests.performing import begun, told
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


def test_exams_that_share_a_step_are_each_in_their_room_and_one_with_two_steps_is_there_once() -> None:
    at, site = clock.now(), make_site()
    site.timezone = mid_morning_zone(at)
    site.save()
    one, other, lone = (make_exam(site) for _ in range(3))
    for exam, room, minutes in ((one, "XR1", 0), (other, "XR1", 20), (lone, "XR2", 0)):
        make_booking(exam, room=room, start=at + timedelta(minutes=minutes))
    shared = begun(site, one, other, at=at)
    first = begun(site, lone, ae_title="XR2", at=at)
    begun(site, lone, ae_title="XR2", at=at)

    def stages() -> dict[str, list[tuple[str, Stage]]]:
        return {lane.code: [(card.accession, card.stage) for card in lane.cards] for lane in board(one).lanes}

    assert {code: sorted(cards) for code, cards in stages().items()} == {
        "XR1": sorted((exam.accession, Stage.BEGUN) for exam in (one, other)),
        "XR2": [(lone.accession, Stage.BEGUN)],
    }
    told(site, shared, StepState.COMPLETED, at=at)
    told(site, first, StepState.COMPLETED, at=at)
    assert {stage for _, stage in stages()["XR1"]} == {Stage.ENDED}
    assert stages()["XR2"] == [(lone.accession, Stage.BEGUN)]
    page = signed_in(site).get("/").content.decode()
    for exam in (one, other, lone):
        assert page.count(f'id="e-{exam.accession}"') == 1
