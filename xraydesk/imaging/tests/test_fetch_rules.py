"""How it stands with a study that is fetched to be compared with, and what whoever reads is told of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest

from tests.factories import AT
from xraydesk.imaging.fetch_rules import (
    FETCH_TRANSITIONS,
    UNDER_WAY,
    FetchAction,
    Fetching,
    FetchState,
    how_it_stands,
    is_fresh,
)
from xraydesk.imaging.prior_rules import PriorState

ONE = Fetching(FetchState.ASKED, "OLD", "PACS")


def test_only_what_is_under_way_goes_on() -> None:
    for state, action in product(FetchState, FetchAction):
        after = FETCH_TRANSITIONS.get((state, action))
        assert after is None or state in UNDER_WAY
        if state is FetchState.ON_ITS_WAY:
            assert after is (FetchState.THERE if action is FetchAction.ARRIVE else None)


@pytest.mark.parametrize(
    ("fetching", "state", "where"),
    [
        (ONE, PriorState.COMING, "OLD is asked for it"),
        (replace(ONE, why="it fails"), PriorState.COMING, "OLD is asked for it, again: it fails"),
        (replace(ONE, state=FetchState.ON_ITS_WAY), PriorState.COMING, "images of it are on their way"),
        (
            replace(ONE, state=FetchState.ON_ITS_WAY, is_stuck=True),
            PriorState.MISSING,
            "images of it could not be sent",
        ),
        (replace(ONE, state=FetchState.THERE), PriorState.THERE, "PACS"),
        (
            replace(ONE, state=FetchState.THERE, left=2),
            PriorState.THERE,
            "PACS, but for 2 objects that are not carried",
        ),
        (
            replace(ONE, state=FetchState.THERE, left=1),
            PriorState.THERE,
            "PACS, but for 1 object that is not carried",
        ),
        (replace(ONE, state=FetchState.GIVEN_UP, why="it fails"), PriorState.MISSING, "it fails"),
    ],
)
def test_whoever_reads_is_told_how_it_stands(fetching: Fetching, state: PriorState, where: str) -> None:
    assert how_it_stands(fetching) == (state, where)


def test_what_came_lately_is_not_fetched_again() -> None:
    assert is_fresh(AT - timedelta(hours=23), at=AT)
    assert not is_fresh(AT - timedelta(hours=24), at=AT)
    assert not is_fresh(None, at=AT)
