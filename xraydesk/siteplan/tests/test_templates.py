"""What rooms publish and keep, who goes along, and what comes first in a visit: read, and checked."""

from __future__ import annotations

from datetime import time

import pytest

from xraydesk.siteplan.diff import diff
from xraydesk.siteplan.plan import CompanionKind, KeptFor, KeptPlan
from xraydesk.siteplan.reading import read_toml_text
from xraydesk.siteplan.tests.test_reading import GOOD, changed, wrong

ROOM = 'hours = { every = ["07:00-19:00"] }\n'
PROCEDURE = 'laterality = ["L"]\n'
PEOPLE = """
[[companion]]
code = "IS"
name = "Ibarra"
kind = "interpreter"
languages = ["es"]
shifts = { every = ["08:00-16:00"] }

[[companion]]
code = "E1"
name = "Lund"
kind = "escort"
shifts = { every = ["08:00-16:00"] }

[[procedure]]
code = "SWALLOW"
text = "Swallowing study"
minutes = 30
room_kinds = ["general"]
preparation_minutes = 20
escort = true
after = ["CHEST2"]
"""
TEMPLATE = """published = { mon = ["08:00-12:00"] }
slot_minutes = 20
kept = [{ whom = ["stat", "emergency"], hours = { mon = ["10:00-10:30"] }, release_minutes = 60 }]
"""
WHOLE = changed(ROOM, ROOM + TEMPLATE) + PEOPLE


def test_templates_companions_and_what_comes_first_are_read() -> None:
    plan = read_toml_text(WHOLE)
    room = plan.rooms[0]
    assert room.published == {"mon": ((time(8), time(12)),)}
    assert room.slot_minutes == 20
    assert room.kept == (
        KeptPlan((KeptFor.STAT, KeptFor.EMERGENCY), {"mon": ((time(10), time(10, 30)),)}, 60),
    )
    interpreter, escort = plan.companions
    assert (interpreter.kind, interpreter.languages) == (CompanionKind.INTERPRETER, ("es",))
    assert (escort.kind, escort.languages) == (CompanionKind.ESCORT, ())
    swallow = plan.procedures[1]
    assert (swallow.preparation_minutes, swallow.escort, swallow.after) == (20, True, ("CHEST2",))
    plain = read_toml_text(GOOD)
    assert (plain.rooms[0].published, plain.rooms[0].kept, plain.companions) == ({}, (), ())


def room_with(line: str) -> str:
    return changed(ROOM, ROOM + line + "\n", WHOLE.replace(TEMPLATE, ""))


@pytest.mark.parametrize(
    ("text", "field", "words"),
    [
        (room_with('published = { mon = ["06:00-08:00"] }'), "room 1, published, mon", "outside the hours of room XR1"),
        (room_with('published = { mon = ["18:00-24:00"] }'), "room 1, published, mon", "18:00-24:00 lies outside"),
        (room_with('published = { mon = ["10:00-09:00"] }'), "room 1, published, mon", "ends before it starts"),
        (room_with("slot_minutes = 4"), "room 1, slot_minutes", "between 5 and 480"),
        (
            room_with('kept = [{ whom = ["stat"], hours = { sun = ["18:30-19:30"] } }]'),
            "room 1, kept 1, hours, sun",
            "18:30-19:30 lies outside the hours of room XR1",
        ),
        (room_with('kept = [{ whom = [], hours = {} }]'), "room 1, kept 1, whom", "is empty"),
        (room_with('kept = [{ whom = ["vip"], hours = {} }]'), "room 1, kept 1, whom 1", "none of: stat, urgent"),
        (room_with('kept = [{ hours = {} }]'), "room 1, kept 1, whom", "is missing"),
        (
            room_with('kept = [{ whom = ["stat"], hours = {}, release_minutes = -1 }]'),
            "room 1, kept 1, release_minutes",
            "between 0 and",
        ),
        (changed('after = ["CHEST2"]', 'after = ["NONE"]', WHOLE), "procedure 2, after 1", "no procedure NONE"),
        (changed('after = ["CHEST2"]', 'after = ["SWALLOW"]', WHOLE), "procedure 2, after", "after itself"),
        (changed('kind = "escort"', 'kind = "nurse"', WHOLE), "companion 2, kind", "none of: interpreter, escort"),
        (changed('languages = ["es"]\n', "", WHOLE), "companion 1, languages", "needs languages"),
        (changed('code = "E1"', 'code = "IS"', WHOLE), "companion 2, code", "is there already"),
        (changed('kind = "escort"\n', "", WHOLE), "companion 2, kind", "is missing"),
        (
            WHOLE.replace('kind = "escort"', 'kind = "interpreter"\nlanguages = ["ar"]'),
            "procedure 2, escort",
            "no companion of kind escort",
        ),
        (
            changed('name = "Lund"\n', 'name = "Lund"\nlanguages = "es"\n', WHOLE),
            "companion 2, languages",
            "list in brackets",
        ),
        (
            WHOLE.replace('kind = "escort"\nshifts = { every = ["08:00-16:00"] }', 'kind = "escort"\nshifts = { every = ["16:00-08:00"] }'),
            "companion 2, shifts, mon",
            "ends before it starts",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_room_and_field(text: str, field: str, words: str) -> None:
    assert any(f == field and words in what for _, f, what in wrong(text)), wrong(text)


def test_a_round_of_procedures_is_told_for_each_of_them() -> None:
    text = changed(PROCEDURE, PROCEDURE + 'after = ["SWALLOW"]\n', WHOLE)
    assert [(f, what) for _, f, what in wrong(text)] == [
        ("procedure 1, after", "CHEST2 would come after itself"),
        ("procedure 2, after", "SWALLOW would come after itself"),
    ]


def test_two_ways_to_the_same_procedure_are_no_round() -> None:
    third = '\n[[procedure]]\ncode = "LAST"\ntext = "Last"\nminutes = 5\nroom_kinds = ["general"]\nafter = ["CHEST2", "SWALLOW"]\n'
    assert read_toml_text(WHOLE + third).procedures[2].after == ("CHEST2", "SWALLOW")


def test_hours_that_touch_are_one_stretch_to_publish_in() -> None:
    text = changed(
        ROOM, 'hours = { every = ["07:00-12:00", "12:00-19:00"] }\npublished = { mon = ["11:00-13:00"] }\n'
    )
    assert read_toml_text(text).rooms[0].published == {"mon": ((time(11), time(13)),)}
    text = changed(
        ROOM, 'hours = { every = ["07:00-12:00", "13:00-19:00"] }\npublished = { mon = ["11:00-14:00"] }\n'
    )
    assert "lies outside" in wrong(text)[0][2]


def test_a_change_of_what_is_kept_is_told_in_words() -> None:
    before, after = (
        read_toml_text(WHOLE),
        read_toml_text(WHOLE.replace("release_minutes = 60", "release_minutes = 0")),
    )
    assert diff(before, after) == [
        "room XR1: kept mon 10:00-10:30 for stat and emergency, released 60 min before → "
        "mon 10:00-10:30 for stat and emergency"
    ]
    assert "companion E1: added" in diff(read_toml_text(GOOD), after)
