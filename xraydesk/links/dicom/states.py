"""The small machine of one association, seen from the side that is called (PS3.8 section 9.2).

States and actions carry the standard's numbers. Those of the side that calls are left out:
this desk's own calls go through pynetdicom.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where an association stands (PS3.8 table 9-1 to 9-5, acceptor)."""

    CLOSED = "Sta1"
    """No connection."""
    OPEN = "Sta2"
    """Connected; waiting for A-ASSOCIATE-RQ."""
    ASKED = "Sta3"
    """A-ASSOCIATE-RQ is here; the answer is being worked out."""
    ASSOCIATED = "Sta6"
    """Ready for data."""
    RELEASING = "Sta8"
    """A-RELEASE-RQ is here; work under way is finished before the answer."""
    ENDING = "Sta13"
    """The last PDU is sent; waiting for the peer to close."""


class Event(StrEnum):
    """What can happen to it (PS3.8 table 9-10)."""

    ASSOCIATE_RQ = "Evt6"
    ASSOCIATE_AC = "Evt3"
    ASSOCIATE_RJ = "Evt4"
    ACCEPT = "Evt7"
    REJECT = "Evt8"
    P_DATA = "Evt10"
    RELEASE_RQ = "Evt12"
    RELEASE_RP = "Evt13"
    RELEASE = "Evt14"
    """Ours: work is finished, the release may be answered."""
    ABORT = "Evt15"
    """Ours: a limit or a deadline was passed, or the desk is ending."""
    PEER_ABORT = "Evt16"
    PEER_CLOSED = "Evt17"
    TIMER = "Evt18"
    """ARTIM: too long without an association, or without the peer closing."""
    INVALID_PDU = "Evt19"


class Action(StrEnum):
    """What is done then (PS3.8 tables 9-6 to 9-9)."""

    JUDGE = "AE-6"
    SEND_ACCEPT = "AE-7"
    SEND_REJECT = "AE-8"
    TAKE_DATA = "DT-2"
    FINISH_WORK = "AR-2"
    SEND_RELEASE = "AR-4"
    CLOSE = "AA-2"
    FORGET = "AA-4"
    SEND_ABORT = "AA-8"
    IGNORE = "AA-6"


_BROKEN_PDUS = (Event.ASSOCIATE_AC, Event.ASSOCIATE_RJ, Event.RELEASE_RP, Event.INVALID_PDU)

TRANSITIONS: dict[tuple[State, Event], tuple[Action, State]] = {
    (State.OPEN, Event.ASSOCIATE_RQ): (Action.JUDGE, State.ASKED),
    (State.OPEN, Event.TIMER): (Action.CLOSE, State.CLOSED),
    (State.ASKED, Event.ACCEPT): (Action.SEND_ACCEPT, State.ASSOCIATED),
    (State.ASKED, Event.REJECT): (Action.SEND_REJECT, State.ENDING),
    (State.ASSOCIATED, Event.P_DATA): (Action.TAKE_DATA, State.ASSOCIATED),
    (State.ASSOCIATED, Event.RELEASE_RQ): (Action.FINISH_WORK, State.RELEASING),
    (State.RELEASING, Event.RELEASE): (Action.SEND_RELEASE, State.ENDING),
    (State.ENDING, Event.TIMER): (Action.CLOSE, State.CLOSED),
}
"""What each event leads to; a pair that is not here is refused by `step`."""

for _state in (State.OPEN, State.ASKED, State.ASSOCIATED, State.RELEASING):
    TRANSITIONS[(_state, Event.PEER_ABORT)] = (Action.CLOSE, State.CLOSED)
    TRANSITIONS[(_state, Event.PEER_CLOSED)] = (Action.FORGET, State.CLOSED)
    TRANSITIONS[(_state, Event.ABORT)] = (Action.SEND_ABORT, State.ENDING)
    for _event in (*_BROKEN_PDUS, Event.P_DATA, Event.ASSOCIATE_RQ, Event.RELEASE_RQ):
        TRANSITIONS.setdefault((_state, _event), (Action.SEND_ABORT, State.ENDING))
for _event in (*_BROKEN_PDUS, Event.P_DATA, Event.ASSOCIATE_RQ, Event.RELEASE_RQ, Event.ABORT):
    TRANSITIONS[(State.ENDING, _event)] = (Action.IGNORE, State.ENDING)
TRANSITIONS[(State.ENDING, Event.PEER_ABORT)] = (Action.CLOSE, State.CLOSED)
TRANSITIONS[(State.ENDING, Event.PEER_CLOSED)] = (Action.FORGET, State.CLOSED)


class IllegalStep(RuntimeError):
    """Our own code asked an association for something that its state does not allow."""


def step(state: State, event: Event) -> tuple[Action, State]:
    """What is done and where the association stands then; raises `IllegalStep` for a pair without an entry."""
    try:
        return TRANSITIONS[(state, event)]
    except KeyError:
        raise IllegalStep(f"{event.name} in {state.name}") from None
