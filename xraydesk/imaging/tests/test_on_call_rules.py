"""Who is called for a STAT, and when it is the next one's turn."""

from __future__ import annotations

from datetime import datetime, time, timedelta

from tests.factories import AT
from xraydesk.imaging.on_call_rules import OnDuty, call_words, on_duty, whose_turn, words_of
from xraydesk.siteplan.plan import SitePlan
from xraydesk.siteplan.routing_plan import OnCallPlan, OnCallRole

DAY = {"mon": ((time(0), time(0)),)}
BERG = OnCallPlan("BERG", "Dr Berg", DAY, pager="pager 311", phone="ext. 1")
LEE = OnCallPlan("LEE", "Dr Lee", DAY, phone="ext. 2", locations=("EAST",))
TEAM = OnCallPlan("TEAM", "Trauma team", DAY, OnCallRole.TEAM, phone="ext. 3")


def test_who_reads_and_the_team_are_told_apart_by_place_and_hour() -> None:
    plan = SitePlan("T", "T", "UTC", "H", "X", (), (), (), (), on_call=(LEE, BERG, TEAM))
    monday = datetime(2026, 3, 2, 4)
    assert on_duty(plan, wall=monday, location="EAST") == OnDuty((LEE, BERG), (TEAM,))
    assert on_duty(plan, wall=monday, location="MAIN") == OnDuty((BERG,), (TEAM,))
    assert on_duty(plan, wall=datetime(2026, 3, 3, 4), location="MAIN") == OnDuty((), ())


def test_each_has_their_minutes_and_the_last_one_stays() -> None:
    def turn(minutes: float, *people: OnCallPlan) -> OnCallPlan | None:
        return whose_turn(people, since=AT, at=AT + timedelta(minutes=minutes), minutes=10)

    assert [turn(m, LEE, BERG) for m in (-1, 0, 9.9, 10, 60)] == [LEE, LEE, LEE, BERG, BERG]
    assert turn(0) is None


def test_whoever_is_called_is_named_with_the_pager_first() -> None:
    assert words_of(BERG) == "Dr Berg, pager 311, ext. 1"
    assert call_words(LEE, accession="A1", destination="PACS") == (
        "Call Dr Lee, ext. 2. The images of STAT exam A1 are at PACS, and nobody has opened them."
    )
    assert call_words(None, accession="A1", destination="PACS").startswith("Nobody is on call to read")
