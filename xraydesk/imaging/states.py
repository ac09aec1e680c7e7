"""The small machines of a performed step and of an image."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class StepState(StrEnum):
    """A performed procedure step as the modality tells it (PS3.4 table F.7.2-1)."""

    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    DISCONTINUED = "DISCONTINUED"


FINAL_STEP_STATES = (StepState.COMPLETED, StepState.DISCONTINUED)


class StepAction(StrEnum):
    """What can be told of a step."""

    UPDATE = "update"
    COMPLETE = "complete"
    DISCONTINUE = "discontinue"


STEP_TRANSITIONS: dict[tuple[StepState, StepAction], StepState] = {
    (StepState.IN_PROGRESS, StepAction.UPDATE): StepState.IN_PROGRESS,
    (StepState.IN_PROGRESS, StepAction.COMPLETE): StepState.COMPLETED,
    (StepState.IN_PROGRESS, StepAction.DISCONTINUE): StepState.DISCONTINUED,
}
"""After COMPLETED or DISCONTINUED nothing may change (PS3.4 F.7.2.2.2, status 0110H, error ID A710H)."""


def deciding_step(states: Iterable[StepState]) -> StepState | None:
    """Of all steps done for one exam, the state that says where the exam stands.

    One under way decides; else a completed one; else a discontinued one. Leave out voided ones.
    """
    found = set(states)
    for state in (StepState.IN_PROGRESS, StepState.COMPLETED, StepState.DISCONTINUED):
        if state in found:
            return state
    return None


class ImageState(StrEnum):
    """Where an image stands, in the contract's words."""

    MATCHED = "matched"
    QUARANTINED = "quarantined"
    HELD = "held"
    SENT = "sent"
    REJECTED = "rejected"


class ImageAction(StrEnum):
    """What can happen to an image."""

    MATCH = "match"
    QUARANTINE = "quarantine"
    HOLD = "hold"
    RELEASE = "release"
    SEND = "send"
    REJECT = "reject"


IMAGE_TRANSITIONS: dict[tuple[ImageState, ImageAction], ImageState] = {
    (ImageState.QUARANTINED, ImageAction.MATCH): ImageState.MATCHED,
    (ImageState.QUARANTINED, ImageAction.REJECT): ImageState.REJECTED,
    (ImageState.MATCHED, ImageAction.HOLD): ImageState.HELD,
    (ImageState.MATCHED, ImageAction.SEND): ImageState.SENT,
    (ImageState.MATCHED, ImageAction.QUARANTINE): ImageState.QUARANTINED,
    (ImageState.MATCHED, ImageAction.REJECT): ImageState.REJECTED,
    (ImageState.MATCHED, ImageAction.MATCH): ImageState.MATCHED,
    (ImageState.SENT, ImageAction.MATCH): ImageState.MATCHED,
    (ImageState.SENT, ImageAction.REJECT): ImageState.REJECTED,
    (ImageState.HELD, ImageAction.RELEASE): ImageState.MATCHED,
    (ImageState.HELD, ImageAction.MATCH): ImageState.MATCHED,
    (ImageState.HELD, ImageAction.REJECT): ImageState.REJECTED,
    (ImageState.HELD, ImageAction.QUARANTINE): ImageState.QUARANTINED,
}
"""What each action leads to; a pair that is not here is refused. What was sent is taken back from those who have it."""


class DeliveryState(StrEnum):
    """One image on its way to one destination."""

    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"
