"""A table of codes is read line by line; what is wrong is told with its line."""

from __future__ import annotations

import pytest

from xraydesk.orders.code_table_rules import BadTable, Pair, read_table, turned

KNOWN = [("XRCHEST2", "L"), ("XRHAND", "L"), ("XRHAND", "OLD")]


def test_a_table_is_read() -> None:
    text = (
        "\ufefflocal,local_system,code,display,equivalence\nXRCHEST2,, 1-2 ,Chest,\nXRHAND,OLD,9-9,,wider\n"
    )
    assert read_table(text, KNOWN) == [
        Pair("XRCHEST2", "L", "1-2", "Chest"),
        Pair("XRHAND", "OLD", "9-9", "", "wider"),
    ]
    assert read_table("local,code\n", KNOWN) == []
    assert (turned("wider"), turned("equal")) == ("narrower", "equal")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "line 1: the first line"),
        ("local,kode\n", "line 1: the first line"),
        ("local,code,shoe\n", "line 1: the first line"),
        ("local,code\nXRFOOT,1\n", "line 2: “XRFOOT” is not on"),
        ("local,code\nXRHAND,1\n", "line 2: “XRHAND” needs its local_system"),
        ("local,code\nXRCHEST2,\n", "line 2: code is empty"),
        ("local,code\nXRCHEST2\n", "line 2: it has more or fewer"),
        ("local,code\nXRCHEST2,1,2\n", "line 2: it has more or fewer"),
        ("local,code\nXRCHEST2," + "1" * 65 + "\n", "line 2: code is longer"),
        ("local,code,equivalence\nXRCHEST2,1,same\n", "line 2: equivalence is one of"),
        ("local,code\n" + '"' + "1" * 140_000 + "\n", "line"),
    ],
)
def test_what_is_wrong_with_a_table_is_told(text: str, told: str) -> None:
    with pytest.raises(BadTable) as bad:
        read_table(text, KNOWN)
    assert bad.value.problems[0].startswith(told)


def test_no_more_is_told_than_anybody_reads() -> None:
    with pytest.raises(BadTable) as bad:
        read_table("local,code\n" + "XRFOOT,1\n" * 90, KNOWN)
    assert len(bad.value.problems) == 51
