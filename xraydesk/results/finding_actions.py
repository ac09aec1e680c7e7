"""The only writer of findings and of the calls made about them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from xraydesk.orders.models import Exam
from xraydesk.results.finding_rules import Raised
from xraydesk.results.models import Call, Finding, Report
from xraydesk.results.people import Person, to_json
from xraydesk.results.states import (
    FINDING_TRANSITIONS,
    CallOutcome,
    CallWay,
    FindingAction,
    FindingState,
)


class FindingRefused(Exception):
    """The finding is not in a state in which this can be done."""


def insert_finding(*, exam: Exam, report: Report | None, raised: Raised, at: datetime) -> Finding:
    """Write down a finding that waits for a person, or is to be told at once (see `open_finding`)."""
    return Finding.objects.create(
        site_id=exam.site_id,
        exam=exam,
        report=report,
        key=raised.key,
        source=raised.source,
        category=raised.category,
        words=raised.words,
        state=FindingState.SUSPECTED,
        found_at=at,
        simulated=exam.simulated,
    )


def move_finding(finding: Finding, action: FindingAction) -> None:
    """Take a locked finding to where an action leads; raises FindingRefused where it leads nowhere."""
    state = FINDING_TRANSITIONS.get((FindingState(finding.state), action))
    if state is None:
        raise FindingRefused(f"This finding is {finding.state}: nothing was changed. Load the page again.")
    finding.state = state


def open_finding(
    finding: Finding,
    *,
    people: Sequence[Person],
    due_at: datetime,
    turn_until: datetime | None,
    at: datetime,
    by: str,
) -> None:
    """Start its clock: from now on somebody must be told."""
    move_finding(finding, FindingAction.CONFIRM)
    finding.opened_at, finding.due_at = at, due_at
    finding.people, finding.turn, finding.turn_until = to_json(people), 0, turn_until
    finding.decided_by, finding.ended_at = by, None
    finding.save()


def dismiss_finding(finding: Finding, *, at: datetime, by: str) -> None:
    """A person says that nobody must be told."""
    move_finding(finding, FindingAction.DISMISS)
    finding.decided_by, finding.ended_at = by, at
    finding.save(update_fields=["state", "decided_by", "ended_at"])


def pass_finding_on(finding: Finding, *, turn: int, turn_until: datetime | None) -> None:
    """The next person's turn."""
    move_finding(finding, FindingAction.ESCALATE)
    finding.turn, finding.turn_until = turn, turn_until
    finding.save(update_fields=["turn", "turn_until"])


def insert_call(
    finding: Finding,
    *,
    at: datetime,
    by: str,
    role: str,
    recipient: str,
    reached_at: str,
    way: CallWay,
    outcome: CallOutcome,
    read_back: str,
    note: str,
) -> Call:
    """Write down one attempt to tell somebody; a read-back ends the finding."""
    ended = outcome is CallOutcome.READ_BACK
    move_finding(finding, FindingAction.READ_BACK if ended else FindingAction.CALL)
    if ended:
        finding.ended_at = at
        finding.save(update_fields=["state", "ended_at"])
    return Call.objects.create(
        site_id=finding.site_id,
        finding=finding,
        at=at,
        by=by,
        role=role[:32],
        recipient=recipient[:200],
        reached_at=reached_at[:64],
        way=way,
        outcome=outcome,
        read_back=read_back[:500],
        note=note[:250],
    )
