"""The small machine of a porter's job."""

from __future__ import annotations

from enum import StrEnum


class JobKind(StrEnum):
    """Which way."""

    FETCH = "fetch"
    RETURN = "return"


class JobState(StrEnum):
    """Where a job stands."""

    WAITING = "waiting"
    ACCEPTED = "accepted"
    PICKED_UP = "picked up"
    DELIVERED = "delivered"
    CANNOT = "cannot"
    CANCELLED = "cancelled"


LIVE = (JobState.WAITING, JobState.ACCEPTED, JobState.PICKED_UP)
"""A job that somebody still has to do or is doing; an exam has one of each kind at most."""


class JobAction(StrEnum):
    """What can happen to a job."""

    ACCEPT = "accept"
    HAND_BACK = "hand back"
    PICK_UP = "pick up"
    DELIVER = "deliver"
    FAIL = "cannot"
    CANCEL = "cancel"
    ASK_AGAIN = "ask again"


TRANSITIONS: dict[tuple[JobState, JobAction], JobState] = {
    (JobState.WAITING, JobAction.ACCEPT): JobState.ACCEPTED,
    (JobState.WAITING, JobAction.FAIL): JobState.CANNOT,
    (JobState.WAITING, JobAction.CANCEL): JobState.CANCELLED,
    (JobState.ACCEPTED, JobAction.HAND_BACK): JobState.WAITING,
    (JobState.ACCEPTED, JobAction.PICK_UP): JobState.PICKED_UP,
    (JobState.ACCEPTED, JobAction.FAIL): JobState.CANNOT,
    (JobState.ACCEPTED, JobAction.CANCEL): JobState.CANCELLED,
    (JobState.PICKED_UP, JobAction.DELIVER): JobState.DELIVERED,
    (JobState.PICKED_UP, JobAction.FAIL): JobState.CANNOT,
    (JobState.CANNOT, JobAction.ASK_AGAIN): JobState.WAITING,
    (JobState.CANNOT, JobAction.CANCEL): JobState.CANCELLED,
}
"""What each action leads to. A patient who was picked up is brought somewhere: that job is not cancelled."""


class Mode(StrEnum):
    """How a patient travels."""

    WALK = "walk"
    CHAIR = "chair"
    BED = "bed"
