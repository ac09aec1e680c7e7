"""Parts, sides and views in words."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from xraydesk.imaging.anatomy_rules import (
    _NEIGHBOURS,
    _TWO_WORDS,
    _WIDE,
    _WIDE_WORDS,
    _WORDS,
    Fit,
    fit,
    in_words,
    is_asked_for,
    is_view_of,
    parts_named,
    side_marked,
    view_named,
)
from xraydesk.orders.sides import Side
from xraydesk.siteplan.reading import read_toml


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("CHEST", "chest"),
        ("Chest PA", "chest"),
        ("HAND_L", "hand"),
        ("LOWER LEG", "lower leg"),
        ("LEG", "leg"),
        ("LSPINE", "lower back"),
        ("L-SPINE AP", "lower back"),
        ("Cervical spine, 3 views", "neck spine"),
        ("SPINE", "spine"),
        ("EXTREMITY", "extremity"),
        ("AP PORTABLE", ""),
        ("", ""),
        ("PATTERN", ""),
        ("foot and ankle", "ankle or foot"),
    ],
)
def test_parts_are_read_from_words(text: str, parts: str) -> None:
    assert in_words(parts_named(text)) == parts


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("CHEST", "Thorax", Fit.SAME),
        ("SPINE", "LSPINE", Fit.SAME),
        ("LEG", "ANKLE", Fit.SAME),
        ("WRIST", "HAND", Fit.NEAR),
        ("CHEST", "KNEE", Fit.OTHER),
        ("HAND", "FOOT", Fit.OTHER),
        ("ARM", "KNEE", Fit.OTHER),
        ("SPINE", "PELVIS", Fit.NEAR),
        ("", "KNEE", Fit.UNKNOWN),
        ("KNEE", "PATTERN", Fit.UNKNOWN),
    ],
)
def test_two_parts_are_the_same_near_or_others(one: str, other: str, expected: Fit) -> None:
    assert fit(parts_named(one), parts_named(other)) is expected
    assert fit(parts_named(other), parts_named(one)) is expected


def test_every_part_that_the_example_departments_offer_is_known() -> None:
    folder = Path(__file__).parents[3] / "site"
    for file in sorted(folder.glob("*.toml")):
        for procedure in read_toml(file).procedures:
            assert parts_named(procedure.body_part), (file.name, procedure.code, procedure.body_part)
            said = parts_named(procedure.text)
            assert fit(said, parts_named(procedure.body_part)) is not Fit.OTHER, procedure.text
            for view in procedure.views:
                assert is_view_of(view_named(view), parts_named(procedure.body_part)), (procedure.text, view)


def test_the_tables_speak_of_known_parts_only() -> None:
    assert {part for pair in _NEIGHBOURS for part in pair} <= set(_WORDS)
    assert {part for parts in _WIDE.values() for part in parts} <= set(_WORDS)
    assert set(_WIDE_WORDS) == set(_WIDE)
    assert all(parts_named(" ".join(pair)) for pair in _TWO_WORDS)
    words = sorted(word for words in _WORDS.values() for word in words.split("|"))
    assert all(a != b for a, b in pairwise(words))


@pytest.mark.parametrize(
    ("texts", "side"),
    [
        (["HAND PA L"], Side.LEFT),
        (["R_KNEE"], Side.RIGHT),
        (["Left wrist"], Side.LEFT),
        (["RT ANKLE", "ankle right"], Side.RIGHT),
        (["L SPINE LAT"], Side.NONE),
        (["L-S SPINE"], Side.NONE),
        (["L5 spot"], Side.NONE),
        (["R/O fracture"], Side.NONE),
        (["Left lateral decubitus"], Side.NONE),
        (["Right anterior oblique"], Side.NONE),
        (["KNEES BILAT L R"], Side.NONE),
        (["L KNEE", "R KNEE"], Side.NONE),
        (["LATERAL"], Side.NONE),
        (["Knie rechts ap"], Side.RIGHT),
        (["Hand links dp"], Side.LEFT),
        (["GENOU DROIT FACE"], Side.RIGHT),
        (["Rodilla izquierda"], Side.LEFT),
        (["Ginocchio destro"], Side.RIGHT),
        (["Joelho esquerdo"], Side.LEFT),
        (["Vänster knä"], Side.LEFT),
        (["Beide Knie rechts"], Side.NONE),
        (["Abdomen Linksseitenlage"], Side.NONE),
        (["Décubitus latéral droit"], Side.NONE),
        ([], Side.NONE),
    ],
)
def test_a_side_is_read_from_a_machines_words(texts: list[str], side: Side) -> None:
    assert side_marked(texts) is side


def test_views_are_known_by_their_words_and_go_with_some_parts_only() -> None:
    assert view_named("PA") == view_named("AP") == view_named("Frontal") == "front"
    assert view_named("LL") == view_named("R Lateral") == "side"
    assert view_named("SUNRISE") == "skyline"
    assert view_named("open mouth") == "dens"
    assert view_named("XYZ") == view_named("") == ""
    knee, chest = parts_named("KNEE"), parts_named("CHEST")
    assert is_view_of("skyline", knee)
    assert not is_view_of("skyline", chest)
    assert is_view_of("skyline", frozenset())
    assert is_view_of("side", chest)
    assert is_asked_for("side", ["AP", "LAT"])
    assert not is_asked_for("oblique", ["AP", "LAT"])
    assert is_asked_for("", ["AP"])
    assert is_asked_for("oblique", ["XYZ"])
