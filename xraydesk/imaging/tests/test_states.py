"""The small machines of steps and images, every pair."""

from __future__ import annotations

from itertools import product

import pytest

from xraydesk.imaging.states import (
    FINAL_STEP_STATES,
    IMAGE_TRANSITIONS,
    STEP_TRANSITIONS,
    ImageAction,
    ImageState,
    StepAction,
    StepState,
    deciding_step,
)


@pytest.mark.parametrize(("state", "action"), list(product(FINAL_STEP_STATES, StepAction)))
def test_nothing_changes_after_the_end_of_a_step(state: StepState, action: StepAction) -> None:
    assert (state, action) not in STEP_TRANSITIONS


def test_a_step_under_way_can_go_on_and_end_either_way() -> None:
    reached = {action: STEP_TRANSITIONS[StepState.IN_PROGRESS, action] for action in StepAction}
    assert reached == {
        StepAction.UPDATE: StepState.IN_PROGRESS,
        StepAction.COMPLETE: StepState.COMPLETED,
        StepAction.DISCONTINUE: StepState.DISCONTINUED,
    }


def test_what_was_rejected_stays_so_and_what_was_sent_until_a_person_decides_anew() -> None:
    for action in ImageAction:
        assert (ImageState.REJECTED, action) not in IMAGE_TRANSITIONS
    anew = {action for action in ImageAction if (ImageState.SENT, action) in IMAGE_TRANSITIONS}
    assert anew == {ImageAction.MATCH, ImageAction.REJECT, ImageAction.SEND_ANEW}


def test_only_a_matched_image_is_sent() -> None:
    assert [s for s in ImageState if (s, ImageAction.SEND) in IMAGE_TRANSITIONS] == [ImageState.MATCHED]


def test_the_step_under_way_decides_then_the_completed_one() -> None:
    assert deciding_step(StepState) is StepState.IN_PROGRESS
    assert deciding_step(FINAL_STEP_STATES) is StepState.COMPLETED
    assert deciding_step([StepState.DISCONTINUED]) is StepState.DISCONTINUED
    assert deciding_step([]) is None
