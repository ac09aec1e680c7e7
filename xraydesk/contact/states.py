"""The small machine of a notice to a patient."""

from __future__ import annotations

from enum import StrEnum


class NoticeState(StrEnum):
    """Where a notice stands. It waits until it is due, so that what was agreed can still be undone."""

    WAITING = "waiting"
    TAKEN_BACK = "taken back"
    SAID = "said"


class NoticeAction(StrEnum):
    """What can be done with a notice."""

    TAKE_BACK = "take back"
    SAY = "say"


TRANSITIONS: dict[tuple[NoticeState, NoticeAction], NoticeState] = {
    (NoticeState.WAITING, NoticeAction.TAKE_BACK): NoticeState.TAKEN_BACK,
    (NoticeState.WAITING, NoticeAction.SAY): NoticeState.SAID,
}
"""What each action leads to; a pair that is not here is refused."""
