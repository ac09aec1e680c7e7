"""Whether a destination keeps what it was sent: what follows from its answers, and from its silence; pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from xraydesk.imaging.states import KEEPING_TRANSITIONS, KeepingAction, KeepingState

ASKS_MAX = 5
"""So often a destination that says nothing is asked before a person is."""

RESEND_WAIT_SECONDS = (60, 900, 3600)
"""Pauses before an image that a destination does not keep is sent again; after the last one a person is asked."""

ASK_WAIT_SECONDS_MIN = 60
ASK_WAIT_SECONDS_MAX = 3600

OBJECTS_A_QUESTION_MAX = 500
"""More images of one exam are asked about in a second question."""

CLASS_NOT_SUPPORTED, DUPLICATE_TRANSACTION = 0x0122, 0x0131

REASONS: Mapping[int, str] = {
    0x0110: "it could not process it",
    0x0112: "it does not have it",
    0x0119: "it has another kind of object under its number",
    CLASS_NOT_SUPPORTED: "it promises nothing for this kind of object",
    DUPLICATE_TRANSACTION: "it took the question for one that it had before",
    0x0213: "it has no room",
}
"""Failure Reason (0008,1197), PS3.3 C.14.1.1."""


def reason_in_words(code: int | None) -> str:
    """Why a destination does not keep an image."""
    if code is None:
        return "it gave no reason"
    return REASONS.get(code, f"it gave the reason {code:04X}")


class Follows(StrEnum):
    """What is done about an image that a destination does not keep."""

    SEND_AGAIN = "send again"
    ASK_AGAIN = "ask again"
    PERSON = "ask a person"


def after_refusal(code: int | None, *, resends: int, is_here: bool) -> Follows:
    """What follows where a destination says that it does not keep an image that was sent again `resends` times.

    `is_here` is False where the desk has no file of it any more.
    """
    if code == DUPLICATE_TRANSACTION:
        return Follows.ASK_AGAIN
    if code == CLASS_NOT_SUPPORTED or not is_here or resends >= len(RESEND_WAIT_SECONDS):
        return Follows.PERSON
    return Follows.SEND_AGAIN


def resend_wait_seconds(resends: int) -> int:
    """Seconds until an image that was sent again `resends` times before is sent again."""
    return RESEND_WAIT_SECONDS[min(resends, len(RESEND_WAIT_SECONDS) - 1)]


def ask_wait_seconds(asks: int) -> int | None:
    """Seconds until a destination that did not take a question is asked again; None where a person must look."""
    if asks >= ASKS_MAX:
        return None
    return min(ASK_WAIT_SECONDS_MIN << max(0, asks - 1), ASK_WAIT_SECONDS_MAX)


def says(state: KeepingState, *, is_kept: bool, is_latest: bool, is_there: bool) -> KeepingAction | None:
    """What one answer about one image means; None where it changes nothing.

    A promise holds whichever question it answers, as long as the image was not taken back or put on its way
    again (`is_there`). A refusal counts only as the answer to the last question (`is_latest`): whatever an
    earlier one says was asked about what has been sent again since.
    """
    if not is_there or not (is_kept or is_latest) or (state is KeepingState.NOT_KEPT and not is_kept):
        return None
    action = KeepingAction.COMMIT if is_kept else KeepingAction.SEND_AGAIN
    return action if (state, action) in KEEPING_TRANSITIONS else None
