from __future__ import annotations

from itertools import product

import pytest

from xraydesk.links.dicom.states import TRANSITIONS, Action, Event, IllegalStep, State, step


@pytest.mark.parametrize(("state", "event"), [*product(State, Event)])
def test_every_pair_of_state_and_event_leads_where_the_table_says_or_is_refused(state, event):
    if (state, event) in TRANSITIONS:
        assert step(state, event) == TRANSITIONS[(state, event)]
    else:
        with pytest.raises(IllegalStep):
            step(state, event)


FROM_THE_PEER = [
    Event.ASSOCIATE_RQ, Event.ASSOCIATE_AC, Event.ASSOCIATE_RJ, Event.P_DATA, Event.RELEASE_RQ,
    Event.RELEASE_RP, Event.PEER_ABORT, Event.PEER_CLOSED, Event.INVALID_PDU,
]  # fmt: skip


@pytest.mark.parametrize(
    ("state", "event"), [*product([s for s in State if s is not State.CLOSED], FROM_THE_PEER)]
)
def test_whatever_a_peer_does_has_an_answer_in_every_state_of_an_open_connection(state, event):
    action, after = step(state, event)
    wanted = {
        (State.OPEN, Event.ASSOCIATE_RQ), (State.ASSOCIATED, Event.P_DATA), (State.ASSOCIATED, Event.RELEASE_RQ),
    }  # fmt: skip
    if event in {Event.PEER_ABORT, Event.PEER_CLOSED}:
        assert after is State.CLOSED
    elif state is State.ENDING:
        assert (action, after) == (Action.IGNORE, State.ENDING)
    elif (state, event) not in wanted:
        assert (action, after) == (Action.SEND_ABORT, State.ENDING)
