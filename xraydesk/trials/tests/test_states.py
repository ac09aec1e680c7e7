"""The machine of a trial: each pair, legal and illegal."""

from __future__ import annotations

import itertools

import pytest

from xraydesk.trials.states import TRANSITIONS, UNDER_WAY, TrialAction, TrialState


@pytest.mark.parametrize(("state", "action"), list(itertools.product(TrialState, TrialAction)))
def test_only_what_is_under_way_can_change(state: TrialState, action: TrialAction) -> None:
    after = TRANSITIONS.get((state, action))
    if state not in UNDER_WAY or (state, action) == (TrialState.WAITING, TrialAction.FINISH):
        assert after is None
    else:
        assert after in TrialState
        assert (after in UNDER_WAY) == (action is TrialAction.BEGIN)
