"""The small machine of a charge."""

from __future__ import annotations

from enum import StrEnum


class ChargeState(StrEnum):
    """Where a charge stands."""

    HELD = "held"
    READY = "ready"
    ACCEPTED = "accepted"
    CREDITED = "credited"


LIVE = (ChargeState.HELD, ChargeState.READY, ChargeState.ACCEPTED)
"""A charge that stands; an exam has one at most."""


class ChargeAction(StrEnum):
    """What can happen to a charge."""

    HOLD = "hold"
    RELEASE = "release"
    ACCEPT = "accept"
    CREDIT = "credit"


TRANSITIONS: dict[tuple[ChargeState, ChargeAction], ChargeState] = {
    (ChargeState.HELD, ChargeAction.HOLD): ChargeState.HELD,
    (ChargeState.HELD, ChargeAction.RELEASE): ChargeState.READY,
    (ChargeState.HELD, ChargeAction.CREDIT): ChargeState.CREDITED,
    (ChargeState.READY, ChargeAction.HOLD): ChargeState.HELD,
    (ChargeState.READY, ChargeAction.ACCEPT): ChargeState.ACCEPTED,
    (ChargeState.READY, ChargeAction.CREDIT): ChargeState.CREDITED,
    (ChargeState.ACCEPTED, ChargeAction.ACCEPT): ChargeState.ACCEPTED,
    (ChargeState.ACCEPTED, ChargeAction.CREDIT): ChargeState.CREDITED,
}
"""What each action leads to. A charge that went out is never changed: it is credited, and another made."""
