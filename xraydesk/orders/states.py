"""The small machines of an order and of an exam's triage."""

from __future__ import annotations

from enum import StrEnum


class Priority(StrEnum):
    """How urgent. From HL7 TQ1-9: S is STAT; A, P and C are urgent; R and T routine."""

    STAT = "stat"
    URGENT = "urgent"
    ROUTINE = "routine"


class OrderState(StrEnum):
    """Whether what was asked still stands."""

    ACTIVE = "active"
    CANCELLED = "cancelled"
    COMPLETED = "completed"


class TriageState(StrEnum):
    """What was decided about an exam."""

    WAITING = "waiting"
    ACCEPTED = "accepted"
    HELD = "held"
    CANCELLED = "cancelled"


class TriageAction(StrEnum):
    """What can be done to an exam in triage."""

    ACCEPT = "accept"
    HOLD = "hold"
    RECONSIDER = "reconsider"
    CANCEL = "cancel"
    TAKE_BACK = "take back"
    """Of an exam that was cancelled because another had its order: a person is asked anew."""


TRANSITIONS: dict[tuple[TriageState, TriageAction], TriageState] = {
    (TriageState.WAITING, TriageAction.ACCEPT): TriageState.ACCEPTED,
    (TriageState.WAITING, TriageAction.HOLD): TriageState.HELD,
    (TriageState.WAITING, TriageAction.CANCEL): TriageState.CANCELLED,
    (TriageState.HELD, TriageAction.ACCEPT): TriageState.ACCEPTED,
    (TriageState.HELD, TriageAction.HOLD): TriageState.HELD,
    (TriageState.HELD, TriageAction.RECONSIDER): TriageState.WAITING,
    (TriageState.HELD, TriageAction.CANCEL): TriageState.CANCELLED,
    (TriageState.ACCEPTED, TriageAction.HOLD): TriageState.HELD,
    (TriageState.ACCEPTED, TriageAction.RECONSIDER): TriageState.WAITING,
    (TriageState.ACCEPTED, TriageAction.CANCEL): TriageState.CANCELLED,
    (TriageState.CANCELLED, TriageAction.TAKE_BACK): TriageState.HELD,
}
"""What each triage action leads to; a pair that is not here is refused."""
