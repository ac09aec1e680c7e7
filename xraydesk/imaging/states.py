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
    SEND_ANEW = "send anew"
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
    (ImageState.SENT, ImageAction.SEND_ANEW): ImageState.MATCHED,
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


class KeepingState(StrEnum):
    """Whether a destination has promised to keep an image that it took (storage commitment, PS3.4 annex J)."""

    NOT_ASKED = ""
    """It is not asked, or the image is not there yet."""
    DUE = "to be asked"
    ASKED = "asked"
    COMMITTED = "committed"
    REFUSED = "refused"
    """It said that it does not keep it: it is sent again."""
    NOT_KEPT = "not kept"
    """It went on saying so: a person is asked."""
    UNANSWERED = "unanswered"
    """It went on saying nothing: a person is asked."""
    WAIVED = "seen there"
    """A person looked, and said that it is safe there."""


class KeepingAction(StrEnum):
    """What can happen to a promise about one image."""

    DELIVER = "deliver"
    ASK = "ask"
    ASK_AGAIN = "ask again"
    COMMIT = "commit"
    SEND_AGAIN = "send again"
    GIVE_UP = "give up"
    NO_ANSWER = "no answer"
    WAIVE = "waive"


KEEPING_TRANSITIONS: dict[tuple[KeepingState, KeepingAction], KeepingState] = {
    (KeepingState.NOT_ASKED, KeepingAction.DELIVER): KeepingState.DUE,
    (KeepingState.REFUSED, KeepingAction.DELIVER): KeepingState.DUE,
    (KeepingState.DUE, KeepingAction.ASK): KeepingState.ASKED,
    (KeepingState.DUE, KeepingAction.COMMIT): KeepingState.COMMITTED,
    (KeepingState.ASKED, KeepingAction.COMMIT): KeepingState.COMMITTED,
    (KeepingState.UNANSWERED, KeepingAction.COMMIT): KeepingState.COMMITTED,
    (KeepingState.NOT_KEPT, KeepingAction.COMMIT): KeepingState.COMMITTED,
    (KeepingState.ASKED, KeepingAction.ASK_AGAIN): KeepingState.DUE,
    (KeepingState.UNANSWERED, KeepingAction.ASK_AGAIN): KeepingState.DUE,
    (KeepingState.ASKED, KeepingAction.SEND_AGAIN): KeepingState.REFUSED,
    (KeepingState.UNANSWERED, KeepingAction.SEND_AGAIN): KeepingState.REFUSED,
    (KeepingState.COMMITTED, KeepingAction.SEND_AGAIN): KeepingState.REFUSED,
    (KeepingState.NOT_KEPT, KeepingAction.SEND_AGAIN): KeepingState.REFUSED,
    (KeepingState.ASKED, KeepingAction.GIVE_UP): KeepingState.NOT_KEPT,
    (KeepingState.UNANSWERED, KeepingAction.GIVE_UP): KeepingState.NOT_KEPT,
    (KeepingState.COMMITTED, KeepingAction.GIVE_UP): KeepingState.NOT_KEPT,
    (KeepingState.ASKED, KeepingAction.NO_ANSWER): KeepingState.UNANSWERED,
    (KeepingState.NOT_KEPT, KeepingAction.WAIVE): KeepingState.WAIVED,
    (KeepingState.UNANSWERED, KeepingAction.WAIVE): KeepingState.WAIVED,
}
"""What each action leads to; a pair that is not here changes nothing."""

SAFE = frozenset({KeepingState.COMMITTED, KeepingState.WAIVED})
ASKS_A_PERSON = frozenset({KeepingState.NOT_KEPT, KeepingState.UNANSWERED})
