"""Left and right as people write them."""

from __future__ import annotations

import pytest

from xraydesk.orders.sides import Side, sides_named

BOTH = Side.LEFT | Side.RIGHT


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", Side.NONE),
        ("fall on the left knee", Side.LEFT),
        ("LEFT KNEE", Side.LEFT),
        ("pain R wrist, cannot bear weight L ankle", BOTH),
        ("R. foot", Side.RIGHT),
        ("rt shoulder", Side.RIGHT),
        ("Lt. hip", Side.LEFT),
        ("bilateral knees", BOTH),
        ("both sides", BOTH),
        ("R/o fracture", Side.NONE),
        ("L spine", Side.NONE),
        ("L-spine, right away", Side.NONE),
        ("patient left the ward", Side.NONE),
        ("left against advice", Side.NONE),
        ("all right now", Side.NONE),
        ("bright light, upright", Side.NONE),
        ("lt", Side.NONE),
    ],
)
def test_which_sides_a_text_names(text: str, named: Side) -> None:
    assert sides_named(text) == named
