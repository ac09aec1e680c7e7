"""Which record stays, and which goes."""

from __future__ import annotations

import pytest

from xraydesk.patients.demographics import Identifier
from xraydesk.patients.merge_rules import Owner, Way, staying, way_of


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
