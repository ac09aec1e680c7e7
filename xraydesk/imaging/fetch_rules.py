"""How it stands with a study that the desk fetches from an archive and sends on to where it is read; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from xraydesk.imaging.prior_rules import PriorState

FRESH_HOURS = 24
"""A study that came where it is read within so long is not fetched again for another exam."""


class FetchState(StrEnum):
    """Where a study stands on its way from an archive to a destination."""

    ASKED = "asked for"
    """It is to be fetched; some of it may be here."""
    ON_ITS_WAY = "on its way"
    """All of it is here, and goes to the destination."""
    THERE = "there"
    GIVEN_UP = "given up"


class FetchAction(StrEnum):
    """What can happen to it."""

    TRY_AGAIN = "try again"
    HAND_ON = "hand on"
    ARRIVE = "arrive"
    GIVE_UP = "give up"


FETCH_TRANSITIONS: Mapping[tuple[FetchState, FetchAction], FetchState] = {
    (FetchState.ASKED, FetchAction.TRY_AGAIN): FetchState.ASKED,
    (FetchState.ASKED, FetchAction.HAND_ON): FetchState.ON_ITS_WAY,
    (FetchState.ASKED, FetchAction.GIVE_UP): FetchState.GIVEN_UP,
    (FetchState.ON_ITS_WAY, FetchAction.ARRIVE): FetchState.THERE,
}
"""What each action leads to; a pair that is not here is refused. What a destination does not take waits as its images do."""

UNDER_WAY = frozenset({FetchState.ASKED, FetchState.ON_ITS_WAY})


@dataclass(frozen=True)
class Fetching:
    """One study on its way, as `FetchedStudy` has it; `is_stuck` where images of it were given up on their way."""

    state: FetchState
    archive: str
    destination: str
    why: str = ""
    left: int = 0
    is_stuck: bool = False


def how_it_stands(fetching: Fetching) -> tuple[PriorState, str]:
    """What whoever reads is told of the study: its state, and where it is or why it cannot be seen."""
    if fetching.state is FetchState.GIVEN_UP:
        return PriorState.MISSING, fetching.why
    if fetching.state is FetchState.ASKED:
        again = f", again: {fetching.why}" if fetching.why else ""
        return PriorState.COMING, f"{fetching.archive} is asked for it{again}"
    if fetching.state is FetchState.THERE:
        return PriorState.THERE, f"{fetching.destination}{_lacks(fetching.left)}"
    if fetching.is_stuck:
        return PriorState.MISSING, "images of it could not be sent"
    return PriorState.COMING, "images of it are on their way"


def _lacks(left: int) -> str:
    if not left:
        return ""
    return (
        f", but for {left} objects that are not carried"
        if left > 1
        else ", but for 1 object that is not carried"
    )


def is_fresh(ended_at: datetime | None, *, at: datetime) -> bool:
    """True where a study came so lately that it is still where it is read."""
    return ended_at is not None and ended_at > at - timedelta(hours=FRESH_HOURS)
