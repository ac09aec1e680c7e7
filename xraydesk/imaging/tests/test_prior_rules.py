"""Which earlier studies are put beside an exam."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from xraydesk.imaging.prior_rules import (
    COMPARED_MAX,
    REGIONS,
    TRANSITIONS,
    Looked,
    PriorState,
    Study,
    relevant,
)

TODAY = date(2026, 3, 2)


def study(uid: str, part: str, side: str = "", *, days: int = 100) -> Study:
    return Study(uid, Looked(part, side, TODAY - timedelta(days=days)))


def beside(part: str, side: str, *known: Study) -> list[tuple[str, str]]:
    return [(r.study.study_instance_uid, r.why) for r in relevant(Looked(part, side, TODAY), known)]


def test_the_same_part_and_side_comes_first_then_the_other_side_then_what_is_near() -> None:
    assert beside(
        "knee",
        "L",
        study("near", "TIBIA", "L", days=1),
        study("right", "KNEE", "R", days=2),
        study("old", "KNEE", "L", days=900),
        study("new", "KNEE", "L", days=3),
        study("both", "KNEE", "B", days=700),
        study("chest", "CHEST"),
        study("none", ""),
    ) == [
        ("new", "the same part"),
        ("both", "the same part"),
        ("old", "the same part"),
        ("right", "the other side"),
        ("near", "near it (knee and leg)"),
    ]


def test_time_has_a_limit_that_is_longer_for_the_same_part() -> None:
    assert beside("CHEST", "", study("a", "CHEST", days=3652), study("b", "CHEST", days=3653)) == [
        ("a", "the same part")
    ]
    assert beside("CHEST", "", study("a", "RIBS", days=730), study("b", "RIBS", days=731)) == [
        ("a", "near it (chest)")
    ]
    assert beside("CHEST", "", study("later", "CHEST", days=-1), study("same day", "CHEST", days=0)) == [
        ("same day", "the same part")
    ]
    assert beside("", "", study("a", ""), study("b", "CHEST")) == []
    assert beside("SOMETHING", "", study("a", "ELSE")) == []


def test_where_an_archive_names_no_part_the_description_says_it() -> None:
    def described(uid: str, words: str, side: str = "") -> Study:
        return Study(uid, Looked("", side, TODAY - timedelta(days=100)), words)

    assert beside(
        "KNEE",
        "L",
        described("left", "Knee left 2 views"),
        described("right", "R Knie / knee"),
        described("told", "KNEE", "R"),
        described("both", "Knees"),
        described("other", "Foot left"),
        described("unknown", "a study"),
        Study("a part is named", Looked("FOOT", "", TODAY), "Knee"),
    ) == [
        ("both", "the same part, as its description says"),
        ("left", "the same part, as its description says"),
        ("right", "the other side, as its description says"),
        ("told", "the other side, as its description says"),
    ]


@given(st.lists(st.tuples(st.sampled_from(["KNEE", "TIBIA", "CHEST"]), st.integers(-9, 4000)), max_size=12))
def test_never_more_than_the_limit_and_in_whatever_order_they_are_known(rows: list[tuple[str, int]]) -> None:
    known = [study(str(n), part, days=days) for n, (part, days) in enumerate(rows)]
    found = beside("KNEE", "", *known)
    assert len(found) <= COMPARED_MAX
    assert beside("KNEE", "", *reversed(known)) == found


def test_no_part_is_of_two_regions_and_every_other_pair_of_state_and_action_is_refused() -> None:
    parts = [part for parts in REGIONS.values() for part in parts]
    assert len(parts) == len(set(parts))
    legal = {
        pair for pair in product(PriorState, ("chase", "come", "give up", "miss")) if pair in TRANSITIONS
    }
    assert legal == set(TRANSITIONS)
    assert (PriorState.THERE, "chase") not in TRANSITIONS
