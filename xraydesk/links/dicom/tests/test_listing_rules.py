"""Each condition of being on a worklist, without a database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from xraydesk.imaging.states import StepState
from xraydesk.links.dicom.listing_rules import (
    Booked,
    Done,
    Machine,
    Standing,
    judge,
    of_its_kind,
    shown_by,
)
from xraydesk.orders.states import TriageState
from xraydesk.scheduling.states import BookingState

AT = datetime(2026, 3, 2, 15, tzinfo=UTC)
DX, CR, OTHER = Machine("XR1", "XR1", "DX"), Machine("XR1CR", "XR1", "CR"), Machine("XR2", "XR2", "DX")
BOOKED = Booked(BookingState.BOOKED, "XR1", AT, (DX, CR))
WAITS = Standing(TriageState.ACCEPTED, "DX", booked=BOOKED)


def told(standing, machine=DX):
    judged = judge(standing, machine, at=AT, zone=UTC)
    assert judged.listed == all(check.passed for check in judged.checks)
    return judged


def test_what_waits_is_shown_by_the_machine_of_its_room_and_kind_alone():
    judged = told(WAITS)
    assert (judged.listed, judged.why) == (
        True,
        "It is booked in XR1 at 15:00 and waits there: scheduled.",
    )
    assert len(judged.checks) == 5
    assert told(replace(WAITS, booked=replace(BOOKED, has_arrived=True))).why.endswith("there: arrived.")
    assert shown_by(WAITS, [DX, CR, OTHER], at=AT, zone=UTC) == ("XR1",)
    assert shown_by(replace(WAITS, modality="CR"), [DX, CR, OTHER], at=AT, zone=UTC) == ("XR1CR",)
    assert shown_by(replace(WAITS, modality="MG"), [DX, CR, OTHER], at=AT, zone=UTC) == ("XR1", "XR1CR")
    assert of_its_kind([], "DX") == ()


@pytest.mark.parametrize(
    ("standing", "machine", "why"),
    [
        (
            replace(WAITS, step=Done(StepState.IN_PROGRESS, "XR2", AT)),
            DX,
            "It was begun at 15:00 in XR2, so no worklist shows it any more.",
        ),
        (
            replace(WAITS, step=Done(StepState.COMPLETED, "XR2", AT, AT + timedelta(minutes=5))),
            DX,
            "It was done in XR2 and ended at 15:05.",
        ),
        (
            replace(WAITS, step=Done(StepState.COMPLETED, "XR2", AT)),
            DX,
            "It was done in XR2 and ended at 15:00.",
        ),
        (
            replace(
                WAITS,
                triage=TriageState.CANCELLED,
                cancelled_at=AT - timedelta(days=1),
                cancelled_because="ordered twice.",
            ),
            DX,
            "It was cancelled on 1 March at 15:00 because: ordered twice.",
        ),
        (replace(WAITS, triage=TriageState.CANCELLED), DX, "It was cancelled."),
        (
            replace(WAITS, triage=TriageState.HELD, held_because="No side is named"),
            DX,
            "It is held in triage because: No side is named; accept it first.",
        ),
        (replace(WAITS, triage=TriageState.WAITING), DX, "It waits for triage; accept it first."),
        (replace(WAITS, booked=None), DX, "It is not booked; give it a place first."),
        (
            replace(WAITS, booked=replace(BOOKED, state=BookingState.NO_SHOW)),
            DX,
            "The patient did not come at 15:00; take the no-show back, or book it again.",
        ),
        (
            replace(WAITS, booked=replace(BOOKED, state=BookingState.DONE)),
            DX,
            "It was discontinued, and is not to be done again.",
        ),
        (WAITS, OTHER, "It is booked in XR1 at 15:00, not in XR2, where XR2 stands."),
        (
            WAITS,
            CR,
            "It is booked in XR1 at 15:00 for DX: it is on the worklist of XR1, not of XR1CR.",
        ),
        (
            replace(WAITS, modality="", booked=replace(BOOKED, machines=(DX,))),
            CR,
            "It is booked in XR1 at 15:00 for another machine: it is on the worklist of XR1, not of XR1CR.",
        ),
    ],
)
def test_the_most_final_reason_comes_first(standing, machine, why):
    judged = told(standing, machine)
    assert not judged.listed
    assert judged.why == why


def test_what_was_done_had_its_place():
    was_done = Done(StepState.COMPLETED, "XR1", AT, AT + timedelta(minutes=5))
    judged = told(replace(WAITS, step=was_done, booked=replace(BOOKED, state=BookingState.DONE)))
    assert [check.why for check in judged.checks if not check.passed] == [judged.why]
    assert judged.why == "It was done in XR1 and ended at 15:05."
    assert judged.checks[2].why == "It had one at 15:00, and was done."


def test_what_was_broken_off_and_keeps_its_place_is_to_be_done_again():
    again = told(replace(WAITS, step=Done(StepState.DISCONTINUED, "XR1", AT, AT)))
    assert again.listed
    assert again.checks[0].why == "It was broken off."


def test_a_condition_that_hangs_on_one_that_is_not_met_is_left_out():
    assert len(told(replace(WAITS, booked=None)).checks) == 3
    assert len(told(WAITS, OTHER).checks) == 4
