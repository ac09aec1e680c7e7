"""What in a report must be told, how soon, and to whom it passes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.factories import AT
from xraydesk.results.finding_rules import (
    Known,
    SaidNow,
    due,
    findings_in,
    highlights,
    next_turn,
    passes_on,
    turn_ends,
)
from xraydesk.results.people import COVERING, ORDERING, TEAM, UNIT, from_json, people_to_tell, to_json
from xraydesk.results.states import (
    CallOutcome,
    CallWay,
    Category,
    FindingSource,
    FindingState,
    ReportState,
)
from xraydesk.siteplan.plan import ProviderPlan, WardPlan

PHRASES = {"tension pneumothorax": 1, "Pneumothorax": 2, "nodule": 3, "  ": 1}
FINAL, CORRECTED = ReportState.FINAL, ReportState.CORRECTED


def said(
    text: str = "", *, state: ReportState = FINAL, version: int = 1, category: int | None = None
) -> SaidNow:
    return SaidNow(state=state, version=version, text=text, impression="", category=category)


def flagged(state: FindingState, category: int = 1, key: str = "flag") -> Known:
    return Known(key, FindingSource.FLAG, category, state)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Large PNEUMOTHORAX on the left.", ["Pneumothorax"]),
        ("Tension pneumothorax.", ["tension pneumothorax"]),
        ("Tension pneumothorax. Small nodule.", ["tension pneumothorax", "nodule"]),
        ("No pneumothorax.", []),
        ("No effusion. Pneumothorax.", ["Pneumothorax"]),
        ("Lungs clear, without nodule or pneumothorax", []),
        ("No fracture but a nodule.", ["nodule"]),
        ("Negative for pneumothorax; nodule unchanged", ["nodule"]),
        ("Hydropneumothorax", []),
        ("Nodules", []),
        ("Pneumothorax and tension pneumothorax", ["tension pneumothorax", "Pneumothorax"]),
        ("Notable nodule", ["nodule"]),
        ("", []),
    ],
)
def test_listed_words_are_found_unless_they_are_denied(text: str, found: list[str]) -> None:
    assert [one.phrase for one in highlights(text, PHRASES)] == found


def test_a_flagged_finding_is_open_at_once_and_words_ask_a_person() -> None:
    (flag,) = findings_in(said("Tension pneumothorax.", category=1), phrases=PHRASES)
    assert (flag.key, flag.state, flag.category) == ("flag", FindingState.OPEN, Category.MINUTES)
    assert flag.words == "Tension pneumothorax."
    (phrase,) = findings_in(said("Tension pneumothorax."), phrases=PHRASES)
    assert (phrase.source, phrase.state) == (FindingSource.PHRASE, FindingState.SUSPECTED)


def test_a_flag_covers_words_that_are_no_more_urgent() -> None:
    assert len(findings_in(said("A nodule.", category=2), phrases=PHRASES)) == 1
    found = findings_in(said("Tension pneumothorax.", category=3), phrases=PHRASES)
    assert [one.source for one in found] == [FindingSource.FLAG, FindingSource.PHRASE]


def test_a_flag_without_words_still_says_that_something_must_be_told() -> None:
    (flag,) = findings_in(said("", category=1), phrases={})
    assert flag.words == "A finding that must be told"


def test_nothing_is_asked_twice() -> None:
    text = said("Small nodule.")
    (one,) = findings_in(text, phrases=PHRASES)
    known = Known(one.key, one.source, one.category, FindingState.DISMISSED)
    assert findings_in(text, phrases=PHRASES, known=[known]) == ()
    assert findings_in(said(category=1), phrases={}, known=[flagged(FindingState.OPEN)]) == ()
    assert findings_in(said(category=1), phrases={}, known=[flagged(FindingState.READ_BACK)]) == ()


def test_a_flag_that_became_more_urgent_or_was_corrected_is_told_again() -> None:
    (more,) = findings_in(said(category=1, version=2), phrases={}, known=[flagged(FindingState.OPEN, 2)])
    assert more.key == "flag:2"
    corrected = said(category=1, version=3, state=CORRECTED)
    (again,) = findings_in(corrected, phrases={}, known=[flagged(FindingState.READ_BACK)])
    assert (again.key, again.source) == ("flag:3", FindingSource.FLAG)
    assert findings_in(corrected, phrases={}, known=[flagged(FindingState.OPEN)]) == ()


def test_a_correction_after_somebody_was_told_asks_whether_they_must_hear_of_it() -> None:
    known = [flagged(FindingState.READ_BACK, 2)]
    (asked,) = findings_in(said("All clear.", version=2, state=CORRECTED), phrases=PHRASES, known=known)
    assert (asked.source, asked.category) == (FindingSource.CORRECTION, Category.HOURS)
    assert asked.state is FindingState.SUSPECTED
    assert findings_in(said("All clear.", version=2), phrases=PHRASES, known=known) == ()


def test_a_cancelled_report_asks_nothing_new() -> None:
    assert findings_in(said("Pneumothorax", state=ReportState.CANCELLED, category=1), phrases=PHRASES) == ()


def test_clocks_are_the_sites_own() -> None:
    assert due(Category.MINUTES, (60, 720, 10_080), opened_at=AT) == AT + timedelta(minutes=60)
    assert due(Category.DAYS, (60, 720, 10_080), opened_at=AT) == AT + timedelta(days=7)
    assert turn_ends(Category.HOURS, (15, 120, 1440), since=AT, people=2) == AT + timedelta(hours=2)
    assert turn_ends(Category.HOURS, (15, 120, 1440), since=AT, people=1) is None


def test_no_answer_alone_passes_it_on_at_once_and_after_the_last_comes_the_first() -> None:
    assert [o for o in CallOutcome if passes_on(o)] == [CallOutcome.NO_ANSWER]
    assert [next_turn(turn, 3) for turn in range(3)] == [1, 2, 0]
    assert next_turn(0, 0) == 0


OKAFOR = ProviderPlan("7001", "Dr Okafor", "ext. 7001", covered_by="7002")
ADEYEMI = ProviderPlan("7002", "Dr Adeyemi", "", covered_by="7001")
WARD = WardPlan("W3", "Ward 3", "ext. 300", team="Medicine, on call", team_phone="pager 3300")


def test_who_ordered_comes_first_then_who_covers_then_the_unit_then_the_team() -> None:
    people = people_to_tell(
        provider_number="7001",
        provider_name="Okafor, N",
        provider_phone="555-1",
        providers=[OKAFOR, ADEYEMI],
        ward=WARD,
    )
    assert [p.role for p in people] == [ORDERING, COVERING, UNIT, TEAM]
    assert people[0].numbers == ("555-1", "ext. 7001")
    assert people[0].words == "Okafor, N, ordering provider, 555-1"
    assert [p.way for p in people] == [CallWay.PHONE, CallWay.PHONE, CallWay.PHONE, CallWay.PAGER]
    assert people[1].words == "Dr Adeyemi, covering provider"
    assert from_json(to_json(people)) == people


def test_whom_nobody_knows_is_left_out() -> None:
    nobody = people_to_tell(
        provider_number="", provider_name="", provider_phone="", providers=[OKAFOR], ward=None
    )
    assert nobody == ()
    listed = people_to_tell(
        provider_number="7002",
        provider_name="",
        provider_phone="",
        providers=[ADEYEMI],
        ward=WardPlan("E", "ED"),
    )
    assert [(p.name, p.numbers) for p in listed] == [("Dr Adeyemi", ()), ("ED", ())]
    stranger = people_to_tell(
        provider_number="9", provider_name="New^Ada^^Dr", provider_phone="", providers=[OKAFOR], ward=None
    )
    assert [(p.role, p.name) for p in stranger] == [(ORDERING, "Dr Ada New")]
    bare = WardPlan("W9", "Ward 9", team="Team 9")
    (_, team) = people_to_tell(
        provider_number="", provider_name="", provider_phone="", providers=(), ward=bare
    )
    assert (team.name, team.numbers) == ("Team 9", ())


def test_covering_is_followed_so_far_and_no_farther() -> None:
    ring = [ProviderPlan(str(n), f"Dr {n}", covered_by=str(n + 1)) for n in range(1, 9)]
    people = people_to_tell(
        provider_number="1", provider_name="", provider_phone="", providers=ring, ward=None
    )
    assert [p.name for p in people] == ["Dr 1", "Dr 2", "Dr 3", "Dr 4"]
