"""Whose name is it."""

from __future__ import annotations

import pytest

from xraydesk.imaging.names import same_name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Prüfer^Ada", "PRUFER^ADA"),
        ("Prüfer^Ada", "PRUEFER^ADA"),
        ("Prüfer^Ada", "Prüfer^Ada^Maria"),
        ("Prüfer^Ada Maria", "Prüfer^Ada"),
        ("Prüfer^Ada^^Dr", "Prüfer^Ada"),
        ("ADA PRUFER", "Prüfer^Ada"),
        ("Sørensen^Æsa", "SORENSEN^AESA"),
        ("Straße^Jo", "STRASSE^JO"),
        ("O'Neill-Łukasz^Ann", "O NEILL LUKASZ^ANN"),
        ("Wang^XiaoDong=王^小東", "王^小東"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "YAMADA^TAROU"),
        ("Anonymous", "ANONYMOUS"),
        ("Wolfe" * 14 + "^Hubert", ("Wolfe" * 14)[:64]),
        ("Wolfe" * 12 + "abcd^Hubert", "Wolfe" * 12 + "abcd"),
        ("Wolfe" * 12 + "^Hub Bla^Jo=王^小東", "Wolfe" * 12 + "^Hub"),
    ],
)
def test_these_are_one_person(one: str, other: str) -> None:
    assert same_name(one, other)
    assert same_name(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Prüfer^Ada", "Prüfer^Adam"),
        ("Prüfer^Ada", "Ada^Prüferin"),
        ("Other^Person", "Prüfer^Ñandú"),
        ("Prüfer^Ada", "Prüfer"),
        ("王^小東", "Wang^XiaoDong"),
        ("", "Prüfer^Ada"),
        ("^^", "=="),
        ("Wolfe" * 14 + "^Hubert", ("Wolfe" * 14)[:63]),
    ],
)
def test_these_are_not_known_to_be_one_person(one: str, other: str) -> None:
    assert not same_name(one, other)
