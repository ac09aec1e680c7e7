"""A message as people look at it."""

from __future__ import annotations

import pytest

from xraydesk.links.hl7.field_names import NAMES, name_of
from xraydesk.links.hl7.shown import fields_of, visible
from xraydesk.links.hl7.tests.sent import order


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("PID|1| N1|Ada Prüfer", "PID|1|·N1|Ada Prüfer"),
        ("OBR|1 |A  B |", "OBR|1·|A··B·|"),
        ("NTE|1\t|a\x00b\x7f", "NTE|1→|a␀b␡"),
        ("PID|N1\u00a0\ufeff", "PID|N1‹U+00A0›‹U+FEFF›"),
        ("Prüfer^Ada ", "Prüfer^Ada·"),
    ],
)
def test_what_cannot_be_seen_is_marked(line: str, shown: str) -> None:
    assert visible(line) == shown


def test_each_filled_field_is_shown_at_its_place_with_its_name() -> None:
    raw = order(control="C1", extra="OBR|2|P1^EHR\rsomething else").encode()
    shown = {field.place: (field.name, field.written) for field in fields_of(raw, fallback="utf-8")}
    assert shown["MSH-10"] == ("control number", "C1")
    assert shown["PID-5"] == ("name", "Prüfer^Ada")
    assert shown["OBR 2-2"] == ("sender's order number", "P1^EHR")
    assert shown["no segment-1"] == ("", "something else")
    assert "MSH-1" not in shown
    assert fields_of(b"noise", fallback="utf-8") == []


def test_names_are_short_and_of_our_own_words() -> None:
    assert name_of("ZZZ", 1) == name_of("PID", 99) == ""
    for fields in NAMES.values():
        for number, name in fields.items():
            assert 1 <= number <= 99
            assert 0 < len(name) <= 40
