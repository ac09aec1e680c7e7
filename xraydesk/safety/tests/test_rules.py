"""Which questions are asked before an exposure, and which are still open."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from xraydesk.safety import rules
from xraydesk.safety.checks import CheckKind
from xraydesk.safety.rules import Answer, Subject

SHE = Subject(
    "F", 30, asks_pregnancy=True, has_side=False, pregnancy_age_min_years=12, pregnancy_age_max_years=55
)


def test_two_identifiers_are_always_asked_for() -> None:
    nothing = replace(SHE, asks_pregnancy=False)
    assert rules.checks_needed(nothing) == (CheckKind.IDENTITY,)


def test_a_part_with_sides_asks_for_the_side() -> None:
    assert CheckKind.SIDE in rules.checks_needed(replace(SHE, has_side=True))


@pytest.mark.parametrize(
    ("sex", "age_years", "is_asked"),
    [
        ("F", 12, True),
        ("F", 55, True),
        ("F", 11, False),
        ("F", 56, False),
        ("F", None, True),
        ("", 30, True),
        ("U", 30, True),
        ("O", 30, True),
        ("M", 30, False),
        ("M", None, False),
    ],
)
def test_pregnancy_is_asked_where_it_cannot_be_excluded(
    sex: str, age_years: int | None, is_asked: bool
) -> None:
    needed = rules.checks_needed(replace(SHE, sex=sex, age_years=age_years))
    assert (CheckKind.PREGNANCY in needed) is is_asked


def test_a_check_is_missing_until_it_is_answered_and_passed() -> None:
    needed = (CheckKind.IDENTITY, CheckKind.PREGNANCY)
    assert rules.checks_missing(needed, []) == needed
    failed = [Answer(CheckKind.IDENTITY, True), Answer(CheckKind.PREGNANCY, False)]
    assert rules.checks_missing(needed, failed) == (CheckKind.PREGNANCY,)
    assert rules.checks_missing(needed, [Answer(k, True) for k in needed]) == ()


@pytest.mark.parametrize(
    ("kind", "answer", "side", "goes_on"),
    [
        (CheckKind.IDENTITY, "confirmed", "", True),
        (CheckKind.IDENTITY, "differs", "", False),
        (CheckKind.PREGNANCY, "no", "", True),
        (CheckKind.PREGNANCY, "not applicable", "", True),
        (CheckKind.PREGNANCY, "unknown", "", False),
        (CheckKind.PREGNANCY, "yes", "", False),
        (CheckKind.SIDE, "L", "L", True),
        (CheckKind.SIDE, "L", "", True),
        (CheckKind.SIDE, "L", "R", False),
        (CheckKind.SIDE, "", "", False),
    ],
)
def test_an_answer_lets_the_exam_go_on_or_not(kind: CheckKind, answer: str, side: str, goes_on: bool) -> None:
    assert rules.lets_go_on(kind, answer, ordered_side=side) is goes_on


def test_checks_are_named_in_a_sentence() -> None:
    assert rules.in_words([]) == ""
    assert rules.in_words([CheckKind.SIDE]) == "the side"
    assert rules.in_words(CheckKind) == "the two identifiers, the question about pregnancy and the side"


def test_age_counts_completed_years() -> None:
    assert rules.age_years(None, date(2026, 1, 1)) is None
    assert rules.age_years(date(2000, 6, 15), date(2026, 6, 14)) == 25
    assert rules.age_years(date(2000, 6, 15), date(2026, 6, 15)) == 26
