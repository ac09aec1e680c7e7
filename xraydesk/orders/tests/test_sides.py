"""Left and right as people write them."""

from __future__ import annotations

import pytest

from xraydesk.orders.sides import Side, sides_in_name, sides_named

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


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("HAND LT", Side.LEFT),
        ("XR KNEE 3V RT", Side.RIGHT),
        ("XR Knee (RT) 3 views", Side.RIGHT),
        ("Foot 2V (L)", Side.LEFT),
        ("Wrist R.", Side.RIGHT),
        ("KNEES BILAT", BOTH),
        ("Hands bil", BOTH),
        ("HAND LT AND RT", BOTH),
        ("Left hand", Side.LEFT),
        ("XR SPINE L", Side.NONE),
        ("RT planning chest", Side.NONE),
        ("Hand 3 views", Side.NONE),
        ("", Side.NONE),
    ],
)
def test_which_sides_the_name_of_a_procedure_says(name: str, said: Side) -> None:
    assert sides_in_name(name) == said
