"""The small machine of a trial."""

from __future__ import annotations

from enum import StrEnum


class TrialState(StrEnum):
    """Where one trial stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"


class TrialAction(StrEnum):
    """What can happen to a trial."""

    BEGIN = "begin"
    """Again too, where the process that ran it is gone."""
    FINISH = "finish"
    STOP = "stop"
    FAIL = "fail"


TRANSITIONS: dict[tuple[TrialState, TrialAction], TrialState] = {
    (TrialState.WAITING, TrialAction.BEGIN): TrialState.RUNNING,
    (TrialState.RUNNING, TrialAction.BEGIN): TrialState.RUNNING,
    (TrialState.RUNNING, TrialAction.FINISH): TrialState.DONE,
    (TrialState.WAITING, TrialAction.STOP): TrialState.STOPPED,
    (TrialState.RUNNING, TrialAction.STOP): TrialState.STOPPED,
    (TrialState.WAITING, TrialAction.FAIL): TrialState.FAILED,
    (TrialState.RUNNING, TrialAction.FAIL): TrialState.FAILED,
}
"""What each action leads to; a pair that is not here changes nothing."""

UNDER_WAY = (TrialState.WAITING, TrialState.RUNNING)
"""States of which a site has one trial at most."""
