"""Every pair of triage state and action, legal or refused, and what it writes."""

from __future__ import annotations

from itertools import product

import pytest

from tests.factories import AT, make_exam, make_site
from xraydesk.orders.actions import NotPossible, apply_triage
from xraydesk.orders.models import Exam
from xraydesk.orders.rules import Code, Finding, Level
from xraydesk.orders.states import TRANSITIONS, TriageAction, TriageState

pytestmark = pytest.mark.django_db
PAIRS = list(product(TriageState, TriageAction))


@pytest.mark.parametrize(("state", "action"), PAIRS, ids=[f"{s}-{a}" for s, a in PAIRS])
def test_an_exam_goes_only_where_the_table_says(state: TriageState, action: TriageAction) -> None:
    exam = make_exam(make_site(), triage=state)
    after = TRANSITIONS.get((state, action))
    if after is None:
        with pytest.raises(NotPossible, match=exam.accession):
            apply_triage(exam, action, at=AT, by="user:ann")
        assert Exam.objects.get(pk=exam.pk).triage == state
        return
    apply_triage(exam, action, at=AT, by="user:ann", why="because")
    kept = Exam.objects.get(pk=exam.pk)
    assert (kept.triage, kept.triaged_by, kept.triaged_at) == (after, "user:ann", AT)
    assert kept.cancelled_why == ("because" if action is TriageAction.CANCEL else "")


def test_a_cancelled_exam_comes_back_only_where_that_is_taken_back_and_then_to_a_person() -> None:
    after = {pair: state for pair, state in TRANSITIONS.items() if pair[0] is TriageState.CANCELLED}
    assert after == {(TriageState.CANCELLED, TriageAction.TAKE_BACK): TriageState.HELD}


def test_the_same_hold_again_changes_nothing() -> None:
    exam = make_exam(make_site())
    finding = Finding(Level.HOLD, Code.PERSON, "Wait.")
    assert apply_triage(exam, TriageAction.HOLD, at=AT, by="user:ann", findings=[finding])
    assert not apply_triage(exam, TriageAction.HOLD, at=AT, by="user:ann", findings=[finding])
