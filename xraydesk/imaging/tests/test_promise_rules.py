"""What follows from what a destination says of images that it was sent, and from its silence."""

from __future__ import annotations

from itertools import product

import pytest

from xraydesk.imaging import promise_rules as rules
from xraydesk.imaging.promise_rules import Follows
from xraydesk.imaging.states import (
    ASKS_A_PERSON,
    KEEPING_TRANSITIONS,
    SAFE,
    KeepingAction,
    KeepingState,
)


@pytest.mark.parametrize(
    ("code", "resends", "is_here", "follows"),
    [
        (0x0112, 0, True, Follows.SEND_AGAIN),
        (0x0110, 2, True, Follows.SEND_AGAIN),
        (None, 0, True, Follows.SEND_AGAIN),
        (0x0112, 3, True, Follows.PERSON),
        (0x0112, 0, False, Follows.PERSON),
        (0x0122, 0, True, Follows.PERSON),
        (0x0131, 3, False, Follows.ASK_AGAIN),
    ],
)
def test_what_is_not_kept_is_sent_again_up_to_a_cap(code, resends, is_here, follows) -> None:
    assert rules.after_refusal(code, resends=resends, is_here=is_here) is follows


def test_pauses_grow_and_end() -> None:
    assert [rules.resend_wait_seconds(n) for n in range(4)] == [60, 900, 3600, 3600]
    assert [rules.ask_wait_seconds(n) for n in range(1, 6)] == [60, 120, 240, 480, None]


def test_reasons_are_told_in_words() -> None:
    assert rules.reason_in_words(0x0112) == "it does not have it"
    assert rules.reason_in_words(0x0999) == "it gave the reason 0999"
    assert rules.reason_in_words(None) == "it gave no reason"


@pytest.mark.parametrize(("state", "is_latest"), list(product(KeepingState, (True, False))))
def test_a_promise_counts_whichever_question_it_answers_but_only_for_what_is_there(state, is_latest) -> None:
    said = rules.says(state, is_kept=True, is_latest=is_latest, is_there=True)
    open_ = state in {KeepingState.DUE, KeepingState.ASKED} | ASKS_A_PERSON
    assert said == (KeepingAction.COMMIT if open_ else None)
    assert rules.says(state, is_kept=True, is_latest=is_latest, is_there=False) is None


@pytest.mark.parametrize("state", list(KeepingState))
def test_a_refusal_counts_as_the_answer_to_the_last_question_only(state) -> None:
    said = rules.says(state, is_kept=False, is_latest=True, is_there=True)
    takes = {KeepingState.ASKED, KeepingState.UNANSWERED, KeepingState.COMMITTED}
    assert said == (KeepingAction.SEND_AGAIN if state in takes else None)
    assert rules.says(state, is_kept=False, is_latest=False, is_there=True) is None


def test_every_pair_leads_somewhere_or_is_refused() -> None:
    reached = {KEEPING_TRANSITIONS.get(pair) for pair in product(KeepingState, KeepingAction)}
    assert reached == {*KeepingState, None} - {KeepingState.NOT_ASKED}
    # Only a person, or a promise, ends what a person is asked about; what is safe is doubted only by a refusal.
    assert {a for s, a in KEEPING_TRANSITIONS if s is KeepingState.WAIVED} == set()
    assert {a for s, a in KEEPING_TRANSITIONS if s is KeepingState.COMMITTED} == {
        KeepingAction.SEND_AGAIN,
        KeepingAction.GIVE_UP,
    }
    assert {KeepingState.COMMITTED, KeepingState.WAIVED} == SAFE
