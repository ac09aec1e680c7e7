"""Which record stays, and which goes."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from xraydesk.patients.demographics import Identifier
from xraydesk.patients.merge_rules import (
    Identity,
    LinkWay,
    NumberWay,
    Owner,
    Way,
    are_alike,
    link_way,
    moved_numbers,
    number_way,
    staying,
    way_of,
)


@pytest.mark.parametrize(
    ("stays", "goes", "way"),
    [
        (Owner(1), Owner(2), Way.JOIN),
        (Owner(3, into=1), Owner(2), Way.JOIN),
        (Owner(1), Owner(1), Way.RETIRE),
        (Owner(1), Owner(2, into=1), Way.DONE),
        (Owner(3, into=1), Owner(2, into=1), Way.DONE),
        (Owner(3, into=1), Owner(3, into=1), Way.DONE),
        (Owner(2, into=1), Owner(1), Way.CIRCLE),
        (Owner(1), Owner(2, into=4), Way.ELSEWHERE),
    ],
)
def test_what_a_merge_comes_to(stays: Owner, goes: Owner, way: Way) -> None:
    """Rows 18 and 19: into itself or in a circle is none; repeated, it was done."""
    assert way_of(stays, goes) is way


def test_a_number_that_goes_is_not_one_that_stays_even_where_it_is_listed_there() -> None:
    stay, go = Identifier("N1", "HOSP", "MR"), Identifier("N2", "HOSP", "MR")
    assert staying([stay, go], [Identifier("N2", "HOSP")]) == (stay,)
    assert staying([go], [go]) == ()
    assert staying([go], [Identifier("N2", "ELSEWHERE")]) == (go,)


ADA = Identity("prufer ada", date(1969, 5, 12), "F")


@pytest.mark.parametrize(
    ("other", "alike"),
    [
        (ADA, True),
        (replace(ADA, sex=""), True),
        (replace(ADA, sex="U"), True),
        (replace(ADA, sex="M"), False),
        (replace(ADA, name_folded="prufer eva"), False),
        (replace(ADA, birth_date=date(1969, 5, 13)), False),
    ],
)
def test_records_are_alike_where_name_and_birth_date_are_known_and_the_same(
    other: Identity, alike: bool
) -> None:
    assert are_alike(ADA, other) is alike
    for unknown in (replace(other, name_folded=""), replace(other, birth_date=None)):
        assert not are_alike(unknown, unknown)


@pytest.mark.parametrize(
    ("one", "other", "alike", "same_issuer", "way"),
    [
        ((1,), (1,), False, True, LinkWay.DONE),
        ((), (), False, True, LinkWay.MORE_NUMBERS),
        ((1,), (), False, True, LinkWay.MORE_NUMBERS),
        ((), (1,), False, True, LinkWay.MORE_NUMBERS),
        ((1,), (2,), True, False, LinkWay.JOIN),
        ((1,), (2,), True, True, LinkWay.PERSON),
        ((1,), (2,), False, False, LinkWay.PERSON),
        ((1, 2), (2,), True, False, LinkWay.PERSON),
        ((1,), (1, 2), True, False, LinkWay.PERSON),
    ],
)
def test_what_it_comes_to_that_numbers_are_of_one_person(
    one: tuple[int, ...], other: tuple[int, ...], alike: bool, same_issuer: bool, way: LinkWay
) -> None:
    assert link_way(one, other, alike=alike, same_issuer=same_issuer) is way


def test_what_it_comes_to_that_a_number_is_another_patients_now() -> None:
    ways = [number_way(has_others=o, has_more=m) for o in (False, True) for m in (False, True)]
    assert ways == [NumberWay.ALL, NumberWay.ALL, NumberWay.NUMBER, NumberWay.PERSON]


def test_what_pid_and_mrg_both_name_goes_over_else_all_that_mrg_names() -> None:
    one, two, three = (Identifier(f"N{n}", "HOSP", "MR") for n in (1, 2, 3))
    assert moved_numbers((one, two), (two, three)) == ((two,), (one,))
    assert moved_numbers((one,), (two, three)) == ((two, three), (one,))
    assert moved_numbers((two,), (two,)) == ((two,), ())
