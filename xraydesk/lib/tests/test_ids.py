"""Identifiers are well formed or refused."""

from __future__ import annotations

import pytest

from xraydesk.lib import ids
from xraydesk.lib.text import folded, shortened
from xraydesk.lib.units import gycm2_from_gym2, gym2_from_dgycm2


def test_a_new_uid_is_a_uid() -> None:
    assert ids.is_uid(ids.new_uid())


@pytest.mark.parametrize("bad", ["", "1.2.", "3.1", "1.02", "1..2", "1.2/../3", "2.25." + "1" * 60, "1.2\n"])
def test_what_is_no_uid_is_refused(bad: str) -> None:
    assert not ids.is_uid(bad)


@pytest.mark.parametrize("good", ["XR1", "A", "MOBILE UNIT 2", "A" * 16])
def test_an_ae_title_may_have_inner_spaces(good: str) -> None:
    assert ids.is_ae_title(good)


@pytest.mark.parametrize("bad", ["", " XR1", "XR1 ", "A" * 17, "A\\B", "Ä", "A\n"])
def test_what_is_no_ae_title_is_refused(bad: str) -> None:
    assert not ids.is_ae_title(bad)


def test_secrets_differ() -> None:
    assert ids.new_secret() != ids.new_secret()


def test_names_are_compared_without_case_and_accents() -> None:
    assert folded("  Šimić   TIN ") == "simic tin"


def test_long_text_is_shortened_with_an_ellipsis() -> None:
    assert shortened("abc", 3) == "abc"
    assert shortened("abc def", 5) == "abc…"


def test_dose_units() -> None:
    assert gym2_from_dgycm2(2.05) == pytest.approx(2.05e-5)
    assert gycm2_from_gym2(1.31e-4) == pytest.approx(1.31)
