"""A site file: what is right is read whole, and everything that is wrong is told with its line and field."""

from __future__ import annotations

from datetime import datetime, time
from pathlib import Path

import pytest

from xraydesk.siteplan import reading
from xraydesk.siteplan.hours import WEEKDAYS
from xraydesk.siteplan.jsonform import from_json, to_json
from xraydesk.siteplan.link_plan import OrderControl, Pushes, Sends
from xraydesk.siteplan.plan import ClosurePlan, CompanionKind, KeptFor, SitePlan
from xraydesk.siteplan.policies import AutopilotPlan, BookingWay, GivesWayTo
from xraydesk.siteplan.problems import SiteFileErrors
from xraydesk.siteplan.reading import read_toml, read_toml_text
from xraydesk.siteplan.toml_file import FILE_BYTES_MAX

SITE_FILES = Path(__file__).parents[3] / "site"
GOOD = """\
[site]
code = "S"
name = "A department"
timezone = "Europe/Berlin"
assigning_authority = "HOSP"
ae_title = "XRAYDESK"

[[location]]
code = "MAIN"
name = "Main building"

[[room]]
code = "XR1"
name = "Room 1"
location = "MAIN"
kind = "general"
hours = { every = ["07:00-19:00"] }

[[modality]]
ae_title = "XR1"
room = "XR1"
modality = "DX"

[[procedure]]
code = "CHEST2"
text = "Chest 2 views"
minutes = 10
room_kinds = ["general"]
skills = ["general"]
laterality = ["L"]

[[technologist]]
code = "T1"
name = "Adeyemi"
skills = ["general"]
shifts = { weekdays = ["07:00-19:00"] }

[[porter]]
code = "P1"
name = "Webb"
shifts = { every = ["07:00-15:00"] }

[[ward]]
code = "W3"
name = "Medicine"

[[destination]]
name = "PACS"
ae_title = "PACS"
host = "127.0.0.1"
port = 11113

[[link]]
name = "EHR"
kind = "orders"
sending_application = "EHR"
sending_facility = "HOSP"

[policies]
stat_due_minutes = 60

[policies.booking]
O = "on-arrival"

[policies.item_minutes]
"exam held" = 30
"""


def wrong(text: str, **more: object) -> list[tuple[int, str, str]]:
    """Line, field and words of everything that is wrong with a file."""
    with pytest.raises(SiteFileErrors) as caught:
        read_toml_text(text, item_kinds=["exam held"], **more)  # type: ignore[arg-type]
    return [(error.line, error.field, error.what) for error in caught.value.errors]


def changed(old: str, new: str, text: str = GOOD) -> str:
    assert text.count(old) == 1, old
    return text.replace(old, new)


def test_the_file_that_the_other_tests_spoil_is_right() -> None:
    plan = read_toml_text(GOOD, item_kinds=["exam held"])
    assert plan.rooms[0].hours == dict.fromkeys(WEEKDAYS, ((time(7), time(19)),))
    assert plan.technologists[0].shifts == dict.fromkeys(WEEKDAYS[:5], ((time(7), time(19)),))
    assert plan.policies.booking == {"O": BookingWay.ON_ARRIVAL}
    assert plan.policies.item_minutes == {"exam held": 30}
    assert plan.procedures[0].system == "L"
    assert plan.links[0].charset == "utf-8"


def test_what_a_sender_means_by_a_pair_is_read_however_it_is_spaced() -> None:
    own = '[link.controls]\nsc = "news"\n"nw  Ordered" = "new"\n'
    assert read_toml_text(changed("[policies]\n", own + "[policies]\n")).links[0].controls == {
        "SC": OrderControl.NEWS,
        "NW ORDERED": OrderControl.NEW,
    }


SPOILED = [
    # What is spoiled, and with what; the line of the complaint, its field, and words of it.
    ('name = "A department"', 'nam = "A department"', 3, "site, nam", "no such field"),
    ('name = "A department"\n', "", 1, "site, name", "is missing"),
    ('name = "A department"', "name = 3", 3, "site, name", "text in quotes"),
    ('name = "A department"', 'name = " "', 3, "site, name", "is empty"),
    ('name = "A department"', f'name = "{"x" * 121}"', 3, "site, name", "longer than 120"),
    ('name = "A department"', 'name = "a\\nb"', 3, "site, name", "one line"),
    ('code = "S"', 'code = "a b"', 2, "site, code", "letters, digits"),
    ('"Europe/Berlin"', '"Berlin"', 4, "site, timezone", "no time zone “Berlin”"),
    ('"Europe/Berlin"', '"../etc/passwd"', 4, "site, timezone", "no time zone"),
    ('ae_title = "XRAYDESK"', 'ae_title = "SEVENTEEN LETTERS"', 6, "site, ae_title", "1 to 16 characters"),
    ('ae_title = "XRAYDESK"', 'ae_title = "A\\\\B"', 6, "site, ae_title", "no backslash"),
    ('location = "MAIN"', 'location = "ATTIC"', 15, "room 1, location", "no location ATTIC"),
    ('kind = "general"\n', "", 12, "room 1, kind", "is missing"),
    ('kind = "general"\n', 'kind = "general"\nseats = 0\n', 17, "room 1, seats", "between 1 and 20"),
    ('kind = "general"\n', 'kind = "general"\nseats = "2"\n', 17, "room 1, seats", "whole number"),
    ('kind = "general"\n', 'kind = "general"\nseats = true\n', 17, "room 1, seats", "whole number"),
    ('kind = "general"\n', 'kind = "general"\nabilities = "bed"\n', 17, "room 1, abilities", "list"),
    ('kind = "general"\n', 'kind = "general"\nabilities = ["a", 3]\n', 17, "room 1, abilities 2", "text"),
    ('hours = { every = ["07:00-19:00"] }\n', "", 12, "room 1, hours", "is missing"),
    ('{ every = ["07:00-19:00"] }', '"07:00-19:00"', 17, "room 1, hours", "table of days"),
    (
        '{ every = ["07:00-19:00"] }',
        '{ monday = ["07:00-19:00"] }',
        17,
        "room 1, hours, monday",
        "is no day",
    ),
    ('{ every = ["07:00-19:00"] }', "{ every = 7 }", 17, "room 1, hours, every", "list such as"),
    ('{ every = ["07:00-19:00"] }', '{ every = ["7-19"] }', 17, "room 1, hours, every 1", "no interval"),
    (
        '{ every = ["07:00-19:00"] }',
        '{ every = ["25:00-26:00"] }',
        17,
        "room 1, hours, every 1",
        "no interval",
    ),
    (
        '{ every = ["07:00-19:00"] }',
        '{ mon = ["19:00-07:00"] }',
        17,
        "room 1, hours, mon",
        "ends before it starts",
    ),
    (
        '{ every = ["07:00-19:00"] }',
        '{ mon = ["07:00-12:00", "11:00-19:00"] }',
        17,
        "room 1, hours, mon",
        "11:00-19:00 overlaps with 07:00-12:00",
    ),
    (
        '{ every = ["07:00-19:00"] }',
        '{ mon = ["07:00-24:00", "11:00-19:00"] }',
        17,
        "room 1, hours, mon",
        "overlaps with 07:00-24:00",
    ),
    (
        '[[modality]]\nae_title = "XR1"',
        '[[modality]]\nae_title = " "',
        20,
        "modality 1, ae_title",
        "is empty",
    ),
    (
        '[[modality]]\nae_title = "XR1"',
        '[[modality]]\nae_title = "XRAYDESK"',
        20,
        "modality 1, ae_title",
        "of the desk itself",
    ),
    ('room = "XR1"', 'room = "XR2"', 21, "modality 1, room", "no room XR2"),
    ('modality = "DX"', 'modality = "x-ray"', 22, "modality 1, modality", "capital letters"),
    ('modality = "DX"', 'modality = "DX"\nhost = "h"', 23, "modality 1, host", "needs a port"),
    (
        'modality = "DX"',
        'modality = "DX"\ncharsets = ["Latin"]',
        23,
        "modality 1, charsets 1",
        "none of: ISO_IR 6",
    ),
    (
        'modality = "DX"',
        'modality = "DX"\ncharsets = ["ISO 2022 IR 6", "ISO_IR 192"]',
        23,
        "modality 1, charsets",
        "plain letters as ISO 2022 IR 6",
    ),
    ('modality = "DX"', 'modality = "DX"\nport = 70000', 23, "modality 1, port", "between 1 and 65535"),
    ("minutes = 10", "minutes = 0", 27, "procedure 1, minutes", "between 1 and 480"),
    ("minutes = 10", "minutes = 481", 27, "procedure 1, minutes", "between 1 and 480"),
    ("minutes = 10", "minutes = 7.5", 27, "procedure 1, minutes", "whole number"),
    ('room_kinds = ["general"]', 'room_kinds = ["chest"]', 28, "procedure 1, room_kinds 1", "kind chest"),
    ('room_kinds = ["general"]', "room_kinds = []", 28, "procedure 1, room_kinds", "is empty"),
    ('["general"]\nlaterality', '["juggling"]\nlaterality', 29, "procedure 1, skills 1", "skill juggling"),
    ('laterality = ["L"]', 'laterality = ["L", "left"]', 30, "procedure 1, laterality 2", "L, R or B"),
    ('laterality = ["L"]', 'sex = "X"', 30, "procedure 1, sex", "F or M"),
    (
        'laterality = ["L"]',
        "age_max_years = 3\nage_min_years = 5",
        30,
        "procedure 1, age_max_years",
        "below",
    ),
    ('laterality = ["L"]', "pregnancy_check = 1", 30, "procedure 1, pregnancy_check", "true or false"),
    (
        '{ weekdays = ["07:00-19:00"] }',
        '{ sat = ["9-10"] }',
        36,
        "technologist 1, shifts, sat 1",
        "no interval",
    ),
    ('{ every = ["07:00-15:00"] }', '{ sat = ["15:00-07:00"] }', 41, "porter 1, shifts, sat", "ends before"),
    ('name = "Medicine"', 'name = "M"\ntravel_minutes = 121', 46, "ward 1, travel_minutes", "0 and 120"),
    (
        'ae_title = "PACS"',
        'ae_title = "PACS "\nsends = ["DX", "CT"]',
        50,
        "destination 1, sends 2",
        "type CT",
    ),
    ("port = 11113", "port = 0", 51, "destination 1, port", "between 1 and 65535"),
    ("port = 11113", 'port = 11113\nkey = "/k"', 47, "destination 1, certificate", "needs its key"),
    ("port = 11113", 'port = 11113\nauthority = "/c"', 47, "destination 1, tls", "are for tls"),
    ('kind = "orders"', 'kind = "gossip"', 55, "link 1, kind", "one of: orders"),
    ('kind = "orders"', 'kind = "orders"\ncharset = "utf-9"', 56, "link 1, charset", "no character set"),
    (
        'kind = "orders"',
        'kind = "orders"\ncontrols = {SC = "gossip"}',
        56,
        "link 1, controls, SC",
        "is none of",
    ),
    (
        'kind = "orders"',
        'kind = "orders"\ncontrols = {SC = "new", sc = "news"}',
        56,
        "link 1, controls, sc",
        "once",
    ),
    (
        'kind = "orders"',
        'kind = "orders"\ncontrols = {"" = "new"}',
        56,
        "link 1, controls, ",
        "must be ORC-1",
    ),
    (
        'kind = "orders"',
        'kind = "orders"\ncontrols = {SN = "news"}',
        56,
        "link 1, controls, SN",
        "SN asks for",
    ),
    ('kind = "orders"', 'kind = "orders"\ninsecure = true', 56, "link 1, insecure", "needs peers"),
    (
        'kind = "orders"\nsending_application = "EHR"',
        'kind = "dicom"\nsending_application = "A\\\\B"',
        56,
        "link 1, sending_application",
        "AE title",
    ),
    ('kind = "orders"', 'kind = "orders"\ntimezone = "X/Y"', 56, "link 1, timezone", "no time zone"),
    ('kind = "orders"', 'kind = "orders"\npeers = ["10.0.0.0/8", "pc"]', 56, "link 1, peers 2", "no address"),
    ("stat_due_minutes = 60", "stat_due_minutes = 0", 60, "policies, stat_due_minutes", "between 1"),
    ("stat_due_minutes = 60", "stat_due = 60", 60, "policies, stat_due", "no such field"),
    (
        "stat_due_minutes = 60",
        "pregnancy_age_max_years = 3",
        60,
        "policies, pregnancy_age_max_years",
        "below",
    ),
    ('O = "on-arrival"', 'O = "whenever"', 63, "policies, booking, O", "none of: next-free"),
    ('O = "on-arrival"', 'OUT = "ask"', 63, "policies, booking, OUT", "one capital letter"),
    ('"exam held" = 30', '"exam lost" = 30', 66, "policies, item_minutes, exam lost", "no kind of item"),
    ('"exam held" = 30', '"exam held" = 0', 66, "policies, item_minutes, exam held", "between 1"),
    (
        '"exam held" = 30',
        '[policies.label_weights]\n"a hand" = 3',
        67,
        "policies, label_weights, a hand",
        "no such",
    ),
    (
        '"exam held" = 30',
        '[policies.label_weights]\n"another name" = 3',
        67,
        "policies, label_weights, another name",
        "whatever it weighs",
    ),
    (
        '"exam held" = 30',
        '[policies.label_weights]\n"two sides" = -1',
        67,
        "policies, label_weights, two sides",
        "between 0",
    ),
    ("[policies.item_minutes]\n", "[[policies.item_minutes]]\n", 65, "policies, item_minutes", "a table"),
    ('"exam held" = 30', '[policies.autopilot]\non = "yes"', 67, "policies, autopilot, on", "true or false"),
    (
        '"exam held" = 30',
        '[policies.autopilot]\npriorities = ["all"]',
        67,
        "policies, autopilot, priorities 1",
        "none of: stat, urgent",
    ),
    (
        '"exam held" = 30',
        "[policies.autopilot]\nmoves_max = 0",
        67,
        "policies, autopilot, moves_max",
        "between 1 and 20",
    ),
    (
        '"exam held" = 30',
        "[policies.autopilot]\nmoved_minutes_max = 481",
        67,
        "policies, autopilot, moved_minutes_max",
        "between 0 and 480",
    ),
    (
        '"exam held" = 30',
        "[policies.autopilot]\nnear_minutes = -1",
        67,
        "policies, autopilot, near_minutes",
        "between 0 and 1440",
    ),
    (
        '"exam held" = 30',
        '[policies.autopilot]\nhours = { mon = ["07:00-09:00", "08:00-10:00"] }',
        67,
        "policies, autopilot, hours, mon",
        "overlaps",
    ),
    ("[[ward]]", "[ward]", 43, "ward", "written as a list of tables, such as [[ward]]"),
    ("[[ward]]", "[[wards]]", 43, "wards", "no such field"),
    ("[policies]", "[[policies]]", 59, "policies", "must be a table"),
    ("[site]", "[sites]", 1, "sites", "no such field"),
]


@pytest.mark.parametrize(("old", "new", "line", "field", "word"), SPOILED)
def test_what_is_wrong_is_told_with_its_line_and_field(
    old: str, new: str, line: int, field: str, word: str
) -> None:
    if old == "[policies]":
        text = GOOD.replace("[policies]\n", "[[policies]]\n").split("[policies.booking]")[0]
    else:
        text = changed(old, new)
    told = wrong(text)
    assert [one for one in told if one[0] == line and one[1] == field and word in one[2]], told


@pytest.mark.parametrize(
    ("table", "field", "what"),
    [
        ('[[location]]\ncode = "MAIN"\nname = "x"\n', "location 2, code", "location MAIN is there already"),
        (
            '[[room]]\ncode = "XR1"\nname = "x"\nlocation = "MAIN"\nkind = "g"\nhours = {}\n',
            "room 2, code",
            "room XR1",
        ),
        (
            '[[modality]]\nae_title = "XR1"\nroom = "XR1"\nmodality = "CR"\n',
            "modality 2, ae_title",
            "modality with AE title XR1",
        ),
        (
            '[[procedure]]\ncode = "CHEST2"\ntext = "x"\nminutes = 1\nroom_kinds = ["general"]\n',
            "procedure 2, code",
            "procedure CHEST2 (L)",
        ),
        (
            '[[technologist]]\ncode = "T1"\nname = "x"\nskills = []\nshifts = {}\n',
            "technologist 2, code",
            "technologist T1",
        ),
        ('[[porter]]\ncode = "P1"\nname = "x"\nshifts = {}\n', "porter 2, code", "porter P1"),
        ('[[ward]]\ncode = "W3"\nname = "x"\n', "ward 2, code", "ward W3"),
        (
            '[[destination]]\nname = "PACS"\nae_title = "P"\nhost = "h"\nport = 1\n',
            "destination 2, name",
            "destination PACS",
        ),
        (
            '[[link]]\nname = "EHR"\nkind = "orders"\nsending_application = "A"\nsending_facility = "B"\n',
            "link 2, name",
            "link EHR",
        ),
        (
            '[[link]]\nname = "TWO"\nkind = "orders"\nsending_application = "EHR"\nsending_facility = "HOSP"\n',
            "link 2, sending_application",
            "belong to the link EHR already",
        ),
    ],
)
def test_what_is_there_twice_is_told_where_it_stands_the_second_time(
    table: str, field: str, what: str
) -> None:
    (told,) = wrong(GOOD + table)
    assert told[1] == field
    assert what in told[2]
    assert (GOOD + table).splitlines()[told[0] - 1].startswith(field.split(", ")[1])


def test_the_same_code_in_another_system_is_another_procedure() -> None:
    more = (
        '[[procedure]]\ncode = "CHEST2"\nsystem = "CPT"\ntext = "x"\nminutes = 1\nroom_kinds = ["general"]\n'
    )
    assert len(read_toml_text(GOOD + more).procedures) == 2


def test_everything_wrong_is_told_at_once_in_the_order_of_the_file() -> None:
    text = changed('"Europe/Berlin"', '"Berlin"')
    text = changed('room = "XR1"', 'room = "XR2"', text)
    text = changed("minutes = 10\n", "", text)
    assert [(line, field) for line, field, _ in wrong(text)] == [
        (4, "site, timezone"),
        (21, "modality 1, room"),
        (24, "procedure 1, minutes"),
    ]


def test_the_whole_list_can_be_read_as_one_message() -> None:
    with pytest.raises(SiteFileErrors, match="line 4, site, timezone: there is no time zone “Berlin”"):
        read_toml_text(changed('"Europe/Berlin"', '"Berlin"'))


def test_what_is_missing_altogether_is_told() -> None:
    assert {field for _, field, _ in wrong("")} == {"site", "location", "room", "procedure"}


@pytest.mark.parametrize(
    ("text", "line"),
    [("[site\n", 1), ('[site]\ncode = "a"\ncode = "b"\n', 3), ("[site]\n\ncode = \n", 3), ('x = "a', 1)],
)
def test_a_file_that_is_no_toml_is_told_with_the_line(text: str, line: int) -> None:
    ((told, field, what),) = wrong(text)
    assert (told, field) == (line, "")
    assert what.startswith("this is not TOML")
    assert "(at " not in what


def test_a_file_that_is_no_text_or_too_long_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    file.write_bytes(b"[site]\nname = '\xff'\n")
    with pytest.raises(SiteFileErrors, match="line 2: the file is not UTF-8"):
        read_toml(file)
    file.write_bytes(b"#" * (FILE_BYTES_MAX + 1))
    with pytest.raises(SiteFileErrors, match="longer than 1048576 bytes"):
        read_toml(file)
    with pytest.raises(FileNotFoundError):
        read_toml(tmp_path / "none")


def test_a_file_of_another_system_is_read_with_its_line_ends_and_mark(tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    file.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert read_toml(file) == read_toml_text(GOOD)
    file.write_bytes(GOOD.replace("Europe/Berlin", "Berlin").replace("\n", "\r\n").encode())
    with pytest.raises(SiteFileErrors, match="line 4"):
        read_toml(file)


def test_lists_and_tables_have_a_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "ROWS_MAX", 1)
    more = '[[ward]]\ncode = "W4"\nname = "x"\n'
    assert "more than 1 entries" in wrong(GOOD + more)[0][2]
    long = ", ".join(['"x"'] * 201)
    assert "more than 200" in wrong(changed('laterality = ["L"]', f"views = [{long}]"))[0][2]


def test_narrower_days_replace_wider_ones_and_an_empty_list_closes() -> None:
    hours = '{ every = ["07:00-19:00"], weekend = ["09:00–12:00"], sun = [], wed = "00:00-24:00" }'
    plan = read_toml_text(changed('{ every = ["07:00-19:00"] }', hours))
    assert {day: len(plan.rooms[0].hours.get(day, ())) for day in WEEKDAYS} == {
        **dict.fromkeys(WEEKDAYS, 1),
        "sun": 0,
    }
    assert plan.rooms[0].hours["sat"] == ((time(9), time(12)),)
    assert plan.rooms[0].hours["wed"] == ((time(0), time(0)),)


def test_intervals_that_touch_do_not_overlap() -> None:
    hours = '{ every = ["12:00-24:00", "07:00-12:00"] }'
    plan = read_toml_text(changed('{ every = ["07:00-19:00"] }', hours))
    assert plan.rooms[0].hours["mon"] == ((time(7), time(12)), (time(12), time(0)))


def with_closures(closures: str) -> str:
    return changed('kind = "general"\n', f'kind = "general"\nclosures = {closures}\n')


def test_closures_are_wall_times_without_an_offset() -> None:
    plan = read_toml_text(
        with_closures('[{ start = 2026-12-24T12:00:00, end = 2026-12-24T13:00:00, reason = "service" }]')
    )
    assert plan.rooms[0].closures == (
        ClosurePlan(datetime(2026, 12, 24, 12), datetime(2026, 12, 24, 13), "service"),
    )


@pytest.mark.parametrize(
    ("closure", "field", "what"),
    [
        ('{ start = 2026-12-24T12:00:00Z, end = 2026-12-25T12:00:00, reason = "x" }', "start", "without"),
        (
            '{ start = 2026-12-24T12:00:00, end = 2026-12-24T12:00:00, reason = "x" }',
            "end",
            "before it starts",
        ),
        ('{ start = 2026-12-24T12:00:00, reason = "x" }', "end", "is missing"),
        ('{ end = 2026-12-24T12:00:00, reason = "x" }', "start", "is missing"),
        ('{ start = 2026-12-24, end = "tomorrow", reason = "x" }', "end", "date and time"),
    ],
)
def test_a_closure_that_is_wrong_is_told(closure: str, field: str, what: str) -> None:
    told = wrong(with_closures(f"[\n  {closure},\n]"))
    assert any(
        (line, name) == (18, f"room 1, closures 1, {field}") and what in words for line, name, words in told
    ), told
    assert all(line == 18 for line, _, _ in told)


@pytest.mark.parametrize("closures", ['["x"]', "3", "[3]"])
def test_closures_that_are_no_tables_are_told(closures: str) -> None:
    assert wrong(with_closures(closures))[0][0] == 17


def test_item_kinds_are_checked_where_they_are_known() -> None:
    assert read_toml_text(changed('"exam held"', '"exam lost"')).policies.item_minutes == {"exam lost": 30}


@pytest.mark.parametrize("name", ["hospital.toml", "clinic.toml", "university.toml"])
def test_the_examples_can_be_read(name: str) -> None:
    assert read_toml(SITE_FILES / name).rooms


@pytest.fixture(scope="module")
def hospital() -> SitePlan:
    return read_toml(SITE_FILES / "hospital.toml")


def test_the_hospital_is_as_the_demonstration_promises(hospital: SitePlan) -> None:
    assert [room.code for room in hospital.rooms] == ["XR1", "XR2", "XR3", "XR4", "XR5", "XR6", "M1", "M2"]
    for room in hospital.rooms:
        wanted = ((time(0), time(0)),) if room.code in ("XR4", "M1", "M2") else ((time(7), time(19)),)
        assert room.hours == dict.fromkeys(WEEKDAYS, wanted)
    assert {m.ae_title: m.room for m in hospital.modalities} == {r.code: r.code for r in hospital.rooms}
    assert hospital.procedures[0].code == "XRCHEST2"
    assert set(hospital.policies.booking.values()) == {BookingWay.NEXT_FREE}
    assert hospital.links[0].charset == "iso-8859-1"
    assert len({p.charge_code for p in hospital.procedures}) == len(hospital.procedures) >= 35


@pytest.fixture(scope="module")
def university() -> SitePlan:
    return read_toml(SITE_FILES / "university.toml")


def test_the_university_has_thirty_rooms_in_three_locations_that_publish_and_keep(
    university: SitePlan,
) -> None:
    assert len(university.rooms) == 30
    assert {room.location for room in university.rooms} == {one.code for one in university.locations}
    assert len(university.locations) == 3
    assert {whom for room in university.rooms for one in room.kept for whom in one.whom} == set(KeptFor)
    assert any(room.published for room in university.rooms)
    assert any(room.closures for room in university.rooms)
    assert {one.kind for one in university.companions} == set(CompanionKind)
    assert {m.ae_title: m.room for m in university.modalities} == {r.code: r.code for r in university.rooms}


@pytest.mark.parametrize("name", ["hospital.toml", "university.toml"])
def test_every_open_room_has_a_technologist_at_every_minute(name: str) -> None:
    """Each of the rooms open at once needs a technologist of its own who can do what is done there."""
    hospital = read_toml(SITE_FILES / name)

    def on(hours: object, day: str, at: time) -> bool:
        spans = hours.get(day, ())  # type: ignore[attr-defined]
        return any(start <= at and (at < end or end == time(0)) for start, end in spans)

    for day in WEEKDAYS:
        for minute in range(0, 24 * 60, 15):
            at = time(minute // 60, minute % 60)
            open_rooms = [room for room in hospital.rooms if on(room.hours, day, at)]
            people = [person for person in hospital.technologists if on(person.shifts, day, at)]
            assert len(people) >= len(open_rooms), (day, at)
            portables = [room for room in open_rooms if room.kind == "portable"]
            assert sum("portable" in p.skills for p in people) >= len(portables)
            assert all("general" in p.skills for p in people)
            if "ortho" in [room.kind for room in open_rooms]:
                assert any("longfilm" in p.skills for p in people)


def test_nobody_at_the_hospital_works_more_than_fifty_hours_a_week(hospital: SitePlan) -> None:
    for person in hospital.technologists:
        minutes = 0
        for spans in person.shifts.values():
            for start, end in spans:
                ends = 1440 if end == time(0) else end.hour * 60 + end.minute
                minutes += ends - (start.hour * 60 + start.minute)
        assert minutes <= 50 * 60, person.code


OUT = """
[[outlink]]
name = "EHR-OUT"
host = "127.0.0.1"
port = 11114
sends = ["status", "charges", "status"]
sending_application = "XRAYDESK"
sending_facility = "XRAY"
receiving_application = "EHR"
receiving_facility = "HOSP"

[[provider]]
number = "7001"
name = "Dr A"
covered_by = "7002"

[[provider]]
number = "7002"
name = "Dr B"
phone = "ext. 7"

[[issuer]]
name = "HOSP"
system = "https://hosp.example/mrn"

[[issuer]]
name = "CITY"
system = "urn:oid:1.2.3"
"""


def test_whom_the_desk_tells_and_who_is_called_is_read() -> None:
    plan = read_toml_text(GOOD + OUT)
    (outlink,) = plan.outlinks
    assert outlink.sends == (Sends.STATUS, Sends.CHARGES)
    assert (outlink.tls, outlink.insecure) == (False, False)
    assert [p.covered_by for p in plan.providers] == ["7002", ""]
    assert [(i.name, i.system) for i in plan.issuers][1] == ("CITY", "urn:oid:1.2.3")


@pytest.mark.parametrize(
    ("old", "new", "field", "word"),
    [
        ('host = "127.0.0.1"\nport = 11114', 'host = "10.0.0.1"\nport = 1', "outlink 1, host", "tls = true"),
        ('host = "127.0.0.1"\nport = 11114', 'host = "ehr.local"\nport = 1', "outlink 1, host", "in clear"),
        ('"status", "charges", "status"', '"news"', "outlink 1, sends 1", "none of: appointments"),
        ('host = "127.0.0.1"', 'folder = "/srv/out"\nhost = "127.0.0.1"', "outlink 1, folder", "not both"),
        ('host = "127.0.0.1"\nport = 11114', 'folder = "out"', "outlink 1, folder", "from the root"),
        (
            'host = "127.0.0.1"',
            'certificate = "/c"\nhost = "127.0.0.1"',
            "outlink 1, certificate",
            "needs its key",
        ),
        ('host = "127.0.0.1"', 'authority = "/c"\nhost = "127.0.0.1"', "outlink 1, tls", "are for tls"),
        ('["status", "charges", "status"]', "[]", "outlink 1, sends", "is empty"),
        ('covered_by = "7002"', 'covered_by = "7009"', "provider 1, covered_by", "no provider 7009"),
        ('covered_by = "7002"', 'covered_by = "7001"', "provider 1, covered_by", "for themselves"),
        ('number = "7002"', 'number = "7001"', "provider 2, number", "there already"),
        ('"CITY"', '"HOSP"', "issuer 2, name", "there already"),
        ('"urn:oid:1.2.3"', '"https://hosp.example/mrn"', "issuer 2, system", "there already"),
        ('"urn:oid:1.2.3"', '"1.2.3"', "issuer 2, system", "is a URI"),
        ('"CITY"', '"urn:oid:1.2.4"', "issuer 2, system", "is a URI"),
    ],
)
def test_what_is_wrong_with_them_is_told(old: str, new: str, field: str, word: str) -> None:
    told = wrong(GOOD + changed(old, new, OUT))
    assert [one for one in told if one[1] == field and word in one[2]], told


@pytest.mark.parametrize("way", ["tls", "insecure"])
def test_a_system_beyond_this_machine_is_told_under_tls_or_where_the_file_says_in_clear(way: str) -> None:
    text = changed('host = "127.0.0.1"\nport = 11114', f'host = "10.0.0.1"\nport = 1\n{way} = true', OUT)
    assert getattr(read_toml_text(GOOD + text).outlinks[0], way)
    assert read_toml_text(GOOD + OUT.replace("127.0.0.1", "localhost")).outlinks[0].host == "localhost"


EHR = """
[[ehr]]
name = "RIVER-FHIR"
base = "https://fhir.river.example/R4/"
sends = ["appointments", "studies"]
client_id = "xraydesk"
key = "/etc/xraydesk/river.jwk"
token = "https://river.example/token"
networks = ["10.0.0.0/8"]
secret = "/etc/xraydesk/river.secret"
only_its_orders = true

[ehr.pulls]
ServiceRequest = "category=imaging"
Patient = ""
"""


def test_an_ehr_is_read_with_what_is_fetched_from_it_and_what_goes_there() -> None:
    (ehr,) = read_toml_text(GOOD + EHR).ehrs
    assert (ehr.where, ehr.tls, ehr.sends) == (
        "https://fhir.river.example/R4",
        True,
        (Pushes.APPOINTMENTS, Pushes.STUDIES),
    )
    assert dict(ehr.pulls) == {"ServiceRequest": "category=imaging", "Patient": ""}
    assert ehr.only_its_orders
    assert (
        read_toml_text(GOOD + EHR.replace('token = "https://river.example/token"\n', "")).ehrs[0].token == ""
    )
    quiet = EHR.replace('sends = ["appointments", "studies"]\n', "").replace("https://fhir", "http://fhir")
    (ehr,) = read_toml_text(GOOD + quiet.replace("client_id", "insecure = true\nclient_id")).ehrs
    assert (ehr.sends, ehr.tls) == ((), False)
    assert read_toml_text(GOOD + EHR.replace("https://fhir.river.example", "http://127.0.0.1:8090")).ehrs


@pytest.mark.parametrize(
    ("old", "new", "field", "word"),
    [
        ('"RIVER-FHIR"', '"EHR-OUT"', "ehr 1, name", "already"),
        ("https://fhir", "http://fhir", "ehr 1, base", "in clear"),
        ("https://fhir.", "ftp://fhir.", "ehr 1, base", "begins with https"),
        ("https://fhir.river", "https://[fhir.river", "ehr 1, base", "begins with https"),
        ("https://fhir.river", "https://me:secret@fhir.river", "ehr 1, base", "nobody's password"),
        ("/R4/", "/R4?x=1", "ehr 1, base", "without a search"),
        ("https://river", "river", "ehr 1, token", "begins with https"),
        ("Patient = ", "Observation = ", "ehr 1, pulls, Observation", "one of: ServiceRequest"),
        ('key = "/etc/xraydesk/river.jwk"\n', "", "ehr 1, key", "needs its key"),
        ('ServiceRequest = "category=imaging"\n', "", "ehr 1, only_its_orders", "write ServiceRequest"),
        ("10.0.0.0/8", "ten", "ehr 1, networks 1", "no address or network"),
        (
            '[ehr.pulls]\nServiceRequest = "category=imaging"\nPatient = ""\n',
            "",
            "ehr 1, secret",
            "write pulls",
        ),
    ],
)
def test_what_is_wrong_with_an_ehr_is_told(old: str, new: str, field: str, word: str) -> None:
    told = wrong(GOOD + OUT + changed(old, new, EHR))
    assert [one for one in told if one[1] == field and word in one[2]], told


SUBSCRIBER = """
[[subscriber]]
name = "lab"
networks = ["10.0.0.0/8"]
insecure = true
"""


def test_a_subscriber_within_is_named_with_where_it_may_be_called() -> None:
    (told,) = read_toml_text(GOOD + SUBSCRIBER).subscribers
    assert (told.name, told.networks, told.insecure, told.authority) == ("lab", ("10.0.0.0/8",), True, "")
    assert [one[1] for one in wrong(GOOD + SUBSCRIBER + SUBSCRIBER)] == ["subscriber 2, name"]
    told_wrong = wrong(GOOD + changed('"10.0.0.0/8"', '"ten"', SUBSCRIBER))
    assert [one[1] for one in told_wrong] == ["subscriber 1, networks 1"]


def test_a_machine_in_clear_is_named_by_its_ae_title_and_needs_no_facility() -> None:
    machine = """
[[link]]
name = "XR1-CLEAR"
kind = "dicom"
sending_application = "XR1"
insecure = true
peers = ["10.1.0.0/16"]
"""
    (_, link) = read_toml_text(GOOD + machine).links
    assert (link.kind, link.sending_application, link.sending_facility) == ("dicom", "XR1", "")
    assert link.takes_in_clear("10.1.2.3")
    assert not link.takes_in_clear("10.2.2.3")


POLICY = "stat_due_minutes = 60"


@pytest.mark.parametrize(
    ("line", "field", "word"),
    [
        ("tell_minutes = [60, 720]", "policies, tell_minutes", "three whole numbers"),
        ("tell_minutes = [60, 720, 0]", "policies, tell_minutes 3", "between 1"),
        ('next_person_minutes = "soon"', "policies, next_person_minutes", "list"),
        ('fetch_classes = ["i"]', "policies, fetch_classes 1", "one capital letter"),
        ("fetch_early_minutes = 121", "policies, fetch_early_minutes", "between 0 and 120"),
        ("message_days = 7", "policies, message_days", "30 and more"),
        ("charge_needs_report = 1", "policies, charge_needs_report", "true or false"),
        ('phrases = { "free air" = 4 }', "policies, phrases, free air", "between 1 and 3"),
    ],
)
def test_policies_of_results_and_transport_have_limits(line: str, field: str, word: str) -> None:
    told = wrong(changed(POLICY, line))
    assert [one for one in told if one[1] == field and word in one[2]], told


def test_policies_of_results_and_transport_are_read() -> None:
    usual = read_toml_text(GOOD).policies
    assert (usual.fetch_classes, usual.tell_minutes) == (("I",), (60, 720, 10_080))
    assert usual.charge_needs_report
    said = read_toml_text(
        changed(
            POLICY,
            'fetch_classes = ["I", "E"]\ntell_minutes = [30, 600, 9000]\ncharge_needs_report = false\n'
            'phrases = { "free air" = 1 }',
        )
    ).policies
    assert (said.fetch_classes, said.tell_minutes) == (("I", "E"), (30, 600, 9000))
    assert (said.charge_needs_report, said.phrases) == (False, {"free air": 1})
    assert read_toml_text(changed(POLICY, "fetch_classes = []")).policies.fetch_classes == ()


def test_the_desk_does_nothing_by_itself_without_its_table_and_what_is_left_out_is_as_usual() -> None:
    assert read_toml_text(GOOD, item_kinds=["exam held"]).policies.autopilot == AutopilotPlan()
    assert AutopilotPlan().on is False
    table = """
[policies.autopilot]
on = true
priorities = ["stat", "urgent", "stat"]
hours = { weekdays = ["07:00-19:00"] }
"""
    made = read_toml_text(GOOD + table, item_kinds=["exam held"]).policies.autopilot
    assert made == AutopilotPlan(
        on=True,
        priorities=(GivesWayTo.STAT, GivesWayTo.URGENT),
        hours=dict.fromkeys(WEEKDAYS[:5], ((time(7), time(19)),)),
    )


RULES = """
[link.fields]
accession = "ZDS-1"
ward = ["ZPV-1", "PV1-3"]
priority = { from = ["OBR-27.6", "OBR-5"], values = { "1" = "S" } }
"""


def with_rules(text: str) -> str:
    return (
        GOOD.replace('kind = "orders"\n', 'kind = "orders"\n' + "", 1)
        + '\n[[link]]\nname = "RULED"\nkind = "orders"\n'
        + ('sending_application = "R"\nsending_facility = "R"\n' + text)
    )


def test_a_link_says_what_its_sender_puts_elsewhere() -> None:
    link = read_toml_text(with_rules(RULES)).links[-1]
    assert [str(rule) for rule in link.fields] == [
        "accession from ZDS-1",
        "priority from OBR-27.6 or OBR-5, 1 is S",
        "ward from ZPV-1 or PV1-3",
    ]
    assert from_json(to_json(read_toml_text(with_rules(RULES)))).links[-1] == link


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ('accession = "ZDS1"', "no place in a message"),
        ('accession = ""', "is empty"),
        ("accession = 4", "list in brackets"),
        ('colour = "ZDS-1"', "no such field"),
        ('priority = { values = { "1" = "S" } }', "is missing"),
        ('priority = { from = "OBR-5", values = { "1" = 2 } }', "must be text"),
        ('priority = { from = "OBR-5", maps = 1 }', "no such field"),
    ],
)
def test_a_rule_that_cannot_be_followed_is_told(wrong: str, says: str) -> None:
    with pytest.raises(SiteFileErrors, match=says):
        read_toml_text(with_rules(f"[link.fields]\n{wrong}\n"))


SFTP = f"""host = "files.example"
port = 22
folder = "in/hl7"
user = "xraydesk"
key = "/etc/xraydesk/sftp"
host_keys = ["SHA256:{"A" * 43}"]"""


def test_a_system_may_take_files_by_sftp() -> None:
    text = OUT.replace('host = "127.0.0.1"\nport = 11114', SFTP)
    plan = read_toml_text(GOOD + text)
    (outlink,) = plan.outlinks
    assert (outlink.user, outlink.where) == ("xraydesk", "sftp://files.example:22/in/hl7")
    assert from_json(to_json(plan)) == plan


@pytest.mark.parametrize(
    ("old", "new", "field", "says"),
    [
        ('folder = "in/hl7"\n', "", "folder", "where files are put"),
        ('key = "/etc/xraydesk/sftp"\n', "", "user", "one of the two"),
        ('key = "', 'password = "/p"\nkey = "', "user", "one of the two"),
        (f'host_keys = ["SHA256:{"A" * 43}"]', "", "host_keys", "fingerprint of the host's key"),
        ("SHA256:", "MD5:", "host_keys 1", "is no fingerprint"),
        ("user =", "tls = true\nuser =", "user", "leave tls"),
        ('user = "xraydesk"\n', "", "user", "are for SFTP"),
    ],
)
def test_what_is_wrong_with_sftp_is_told(old: str, new: str, field: str, says: str) -> None:
    text = OUT.replace('host = "127.0.0.1"\nport = 11114', SFTP.replace(old, new))
    told = wrong(GOOD + text)
    assert [one for one in told if one[1] == f"outlink 1, {field}" and says in one[2]], told


def test_a_system_may_have_a_folder_in_place_of_a_host() -> None:
    text = OUT.replace('host = "127.0.0.1"\nport = 11114', 'folder = "/srv/hl7/out"')
    (outlink,) = read_toml_text(GOOD + text).outlinks
    assert (outlink.folder, outlink.host, outlink.where) == ("/srv/hl7/out", "", "/srv/hl7/out")
    assert read_toml_text(GOOD + OUT).outlinks[0].where == "127.0.0.1:11114"


def test_a_system_may_be_spoken_to_in_an_older_version() -> None:
    plan = read_toml_text(GOOD + OUT.replace("port = 11114", 'port = 11114\nversion = "2.3.1"'))
    assert plan.outlinks[0].version == "2.3.1"
    assert read_toml_text(GOOD + OUT).outlinks[0].version == "2.5.1"
    assert from_json(to_json(plan)) == plan
    told = wrong(GOOD + OUT.replace("port = 11114", 'port = 11114\nversion = "2.2"'))
    assert [one for one in told if one[1] == "outlink 1, version" and "is none of" in one[2]], told
