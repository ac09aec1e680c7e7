"""Every word on a report and every action on a finding, from every state: where it leads, or that it leads nowhere."""

from __future__ import annotations

import itertools

from xraydesk.results.states import (
    FINDING_TRANSITIONS,
    READ_STATES,
    REPORT_TRANSITIONS,
    FindingAction,
    FindingState,
    ReportAction,
    ReportState,
)

S, A = ReportState, ReportAction
REFUSED_WORDS = {
    (None, A.CANCEL),
    (S.FINAL, A.PRELIMINARY),
    (S.CORRECTED, A.PRELIMINARY),
    (S.CANCELLED, A.CANCEL),
}


def test_every_word_on_a_report_leads_somewhere_but_a_late_preliminary_and_a_second_cancel() -> None:
    pairs = set(itertools.product([None, *S], A))
    assert pairs - set(REPORT_TRANSITIONS) == REFUSED_WORDS


def test_once_read_only_a_cancel_takes_the_reading_back() -> None:
    for (before, action), after in REPORT_TRANSITIONS.items():
        if before in READ_STATES:
            assert (after in READ_STATES) == (action is not A.CANCEL)


def test_an_open_finding_is_ended_by_a_read_back_and_by_nothing_else() -> None:
    ends = {
        action
        for (state, action), after in FINDING_TRANSITIONS.items()
        if state is FindingState.OPEN and after is not FindingState.OPEN
    }
    assert ends == {FindingAction.READ_BACK}
    assert not [pair for pair in FINDING_TRANSITIONS if pair[0] is FindingState.READ_BACK]
    legal = {
        (FindingState.SUSPECTED, FindingAction.CONFIRM),
        (FindingState.SUSPECTED, FindingAction.DISMISS),
        (FindingState.DISMISSED, FindingAction.CONFIRM),
        (FindingState.OPEN, FindingAction.CALL),
        (FindingState.OPEN, FindingAction.ESCALATE),
        (FindingState.OPEN, FindingAction.READ_BACK),
    }
    assert set(FINDING_TRANSITIONS) == legal
