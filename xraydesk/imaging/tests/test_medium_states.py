"""The machine of a medium: every pair of state and action."""

from __future__ import annotations

import itertools

from xraydesk.imaging.medium_states import TRANSITIONS, UNDER_WAY, MediumAction, MediumState


def test_what_is_over_stays_over_and_what_is_under_way_can_end_in_every_way() -> None:
    for state, action in itertools.product(MediumState, MediumAction):
        after = TRANSITIONS.get((state, action))
        assert (after is None) == (
            state not in UNDER_WAY
            or (state == MediumState.WAITING and action in (MediumAction.PAUSE, MediumAction.FINISH))
        )
    ends = {TRANSITIONS[(MediumState.RUNNING, a)] for a in MediumAction}
    assert ends == set(MediumState)
