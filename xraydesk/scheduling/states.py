"""The small machine of a booking."""

from __future__ import annotations

from enum import StrEnum


class BookingState(StrEnum):
    """Where one booking stands. `held` and `booked` keep their room, technologist and patient."""

    HELD = "held"
    BOOKED = "booked"
    DONE = "done"
    RELEASED = "released"
    CANCELLED = "cancelled"
    NO_SHOW = "no-show"


class BookingAction(StrEnum):
    """What can be done to a booking."""

    CONFIRM = "confirm"
    RELEASE = "release"
    FINISH = "finish"
    CANCEL = "cancel"
    MISS = "miss"
    UNDO_MISS = "undo miss"


TRANSITIONS: dict[tuple[BookingState, BookingAction], BookingState] = {
    (BookingState.HELD, BookingAction.CONFIRM): BookingState.BOOKED,
    (BookingState.BOOKED, BookingAction.RELEASE): BookingState.RELEASED,
    (BookingState.BOOKED, BookingAction.FINISH): BookingState.DONE,
    (BookingState.BOOKED, BookingAction.CANCEL): BookingState.CANCELLED,
    (BookingState.BOOKED, BookingAction.MISS): BookingState.NO_SHOW,
    (BookingState.NO_SHOW, BookingAction.UNDO_MISS): BookingState.BOOKED,
    (BookingState.NO_SHOW, BookingAction.CANCEL): BookingState.CANCELLED,
    (BookingState.NO_SHOW, BookingAction.RELEASE): BookingState.RELEASED,
}
"""What each action leads to; a pair that is not here is refused."""

LIVE = (BookingState.BOOKED, BookingState.DONE, BookingState.NO_SHOW)
"""States in which a booking is the exam's present one; there is at most one such booking an exam."""

OCCUPYING = (BookingState.HELD, BookingState.BOOKED)
"""States in which room, technologist and patient are taken; a held place no longer once its time is over."""


class HoldState(StrEnum):
    """What became of places that somebody was given time to decide on."""

    HELD = "held"
    BOOKED = "booked"
    LET_GO = "let go"
    EXPIRED = "expired"


class Going(StrEnum):
    """Why somebody besides the technologist is with a patient."""

    FETCH = "fetch"
    RETURN = "return"
    INTERPRETER = "interpreter"
    ESCORT = "escort"
