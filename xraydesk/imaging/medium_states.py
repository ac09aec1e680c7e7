"""The small machine of a medium that is brought in. Pure."""

from __future__ import annotations

from enum import StrEnum


class MediumState(StrEnum):
    """Where one medium stands."""

    WAITING = "waiting"
    """It is asked for, or goes on where it stood once the desk can."""
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"


class MediumAction(StrEnum):
    """What can happen to a medium."""

    BEGIN = "begin"
    """Again too, where the process that read it is gone, or reads another disc under the same path."""
    PAUSE = "pause"
    """It cannot go on now: the process ends, or there is no room."""
    FINISH = "finish"
    STOP = "stop"
    FAIL = "fail"


TRANSITIONS: dict[tuple[MediumState, MediumAction], MediumState] = {
    (MediumState.WAITING, MediumAction.BEGIN): MediumState.RUNNING,
    (MediumState.RUNNING, MediumAction.BEGIN): MediumState.RUNNING,
    (MediumState.RUNNING, MediumAction.PAUSE): MediumState.WAITING,
    (MediumState.RUNNING, MediumAction.FINISH): MediumState.DONE,
    (MediumState.WAITING, MediumAction.STOP): MediumState.STOPPED,
    (MediumState.RUNNING, MediumAction.STOP): MediumState.STOPPED,
    (MediumState.WAITING, MediumAction.FAIL): MediumState.FAILED,
    (MediumState.RUNNING, MediumAction.FAIL): MediumState.FAILED,
}
"""What each action leads to; a pair that is not here changes nothing."""

UNDER_WAY = (MediumState.WAITING, MediumState.RUNNING)
