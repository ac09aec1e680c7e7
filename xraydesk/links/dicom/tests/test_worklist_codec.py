"""Matching by PS3.4 C.2.2.2 and K.2, without a database."""

from __future__ import annotations

from datetime import date, datetime, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xraydesk.links.dicom.elements import BadKey, Element
from xraydesk.links.dicom.worklist_codec import (
    STEPS,
    Span,
    answer,
    constraints,
    find,
    has_unsupported,
    matches,
    moment_matches,
    name_matches,
    read_days,
    read_times,
    text_matches,
)

NAME, ACCESSION, STUDY, STATION, DAY, CLOCK = (
    0x00100010,
    0x00080050,
    0x0020000D,
    0x00400001,
    0x00400002,
    0x00400003,
)
SUPPORTED = {
    NAME: None,
    ACCESSION: None,
    STUDY: None,
    STEPS: dict.fromkeys((STATION, DAY, CLOCK, 0x00080060)),
}


def one(vr, *values):
    return Element(vr, values)


def step(**keys):
    names = {"station": (STATION, "AE"), "day": (DAY, "DA"), "clock": (CLOCK, "TM")}
    return Element("SQ", items=({names[k][0]: one(names[k][1], *v.split("\\")) for k, v in keys.items()},))


ENTRY = {
    NAME: one("PN", "Prüfer^Ada"),
    ACCESSION: one("SH", "A1"),
    STUDY: one("UI", "1.2.3"),
    STEPS: step(station="XR1\\XR1B", day="20260302", clock="100000"),
}


def found(**keys):
    query = {STEPS: step(**keys)} if set(keys) & {"station", "day", "clock"} else keys["query"]
    return matches(constraints(query), ENTRY)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, True),
        ({ACCESSION: one("SH")}, True),
        ({ACCESSION: one("SH", " A1 ")}, True),
        ({ACCESSION: one("SH", "a1")}, False),
        ({ACCESSION: one("SH", "A*")}, True),
        ({ACCESSION: one("SH", "?1")}, True),
        ({ACCESSION: one("SH", "A1?")}, False),
        ({ACCESSION: one("SH", "***")}, True),
        ({ACCESSION: one("SH", "X", "A1")}, True),
        ({STUDY: one("UI", "1.2.9", "1.2.3")}, True),
        ({STUDY: one("UI", "1.2.*")}, False),
        ({STUDY: one("UI", "*")}, False),
        ({NAME: one("PN", "prufer^ada")}, True),
        ({NAME: one("PN", "prufer")}, False),
        ({NAME: one("PN", "Prufer*")}, True),
        ({NAME: one("PN", "^")}, True),
        ({NAME: one("PN", "*^*")}, True),
        ({NAME: one("PN", "=")}, True),
        ({NAME: one("LO", "prufer*")}, True),
        ({0x00100020: one("LO", "N1")}, False),
        ({0x00100020: one("LO", "*")}, True),
        ({0x00080005: one("CS", "ISO_IR 192"), 0x00080201: one("SH", "+0100")}, True),
        ({STEPS: Element("SQ")}, True),
        ({STEPS: Element("SQ", items=({},))}, True),
        ({0x00321064: Element("SQ", items=({0x00080100: one("SH", "X")},))}, False),
        ({0x00100030: one("DA", "19690512")}, False),
    ],
)
def test_a_key_matches_as_the_standard_says(query, expected):
    assert matches(constraints(query), ENTRY) is expected


def test_dates_and_times_that_are_no_pair_match_by_themselves():
    entry = {0x00100030: one("DA", "19690512"), 0x00100032: one("TM", "0815"), 0x00101030: one("DS", "70")}
    assert matches({0x00100030: one("DA", "1969.05.01-19690531")}, entry)
    assert not matches({0x00100030: one("DA", "19690513-")}, entry)
    assert matches({0x00100032: one("TM", "-0900")}, entry)
    assert not matches({0x00100032: one("TM", "09-")}, entry)
    assert matches({0x00101030: one("DS", "70")}, entry)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"station": "XR1B"}, True),
        ({"station": "XR2"}, False),
        ({"station": "XR1", "day": "20260302"}, True),
        ({"day": "20260301-20260302", "clock": "2200-0900"}, False),
        ({"day": "20260301-20260302", "clock": "2200-1000"}, True),
        ({"day": "20260302", "clock": "0900-1100"}, True),
        ({"day": "20260302-", "clock": "1000-"}, True),
        ({"day": "20260302-", "clock": "100001-"}, False),
        ({"day": "-20260302", "clock": "-10"}, True),
        ({"day": "-20260302", "clock": "-0959"}, False),
        ({"day": "20260301-20260303", "clock": "10"}, True),
        ({"day": "20260301-20260303", "clock": "11"}, False),
        ({"clock": "0900-1030"}, True),
        ({"clock": "1100-"}, False),
        ({"day": "20260303"}, False),
    ],
)
def test_a_step_is_found_by_its_station_and_its_moment(keys, expected):
    assert found(**keys) is expected


def test_an_entry_without_a_moment_is_found_by_none():
    assert not matches(constraints({STEPS: step(day="20260302")}), {STEPS: step(station="XR1")})
    assert not matches(constraints({STEPS: step(day="20260302", clock="10-")}), {STEPS: step(day="20260302")})
    assert not matches(constraints({STEPS: step(clock="10-")}), {STEPS: step(station="XR1")})


@pytest.mark.parametrize(
    "text", ["2026", "20260230", "yesterday", "-", " - ", "20260301-2026", "20260101-20260201-20260301"]
)
def test_a_date_that_is_none_is_refused_with_its_element(text):
    with pytest.raises(BadKey) as wrong:
        list(find({STEPS: step(day=text)}, [], SUPPORTED))
    assert wrong.value.tag == DAY


@pytest.mark.parametrize("text", ["25", "1", "10:61", "1000000", "noon", "10-1"])
def test_a_time_that_is_none_is_refused_with_its_element(text):
    with pytest.raises(BadKey) as wrong:
        list(find({STEPS: step(clock=text)}, [], SUPPORTED))
    assert wrong.value.tag == CLOCK


def test_a_time_that_is_told_in_part_reaches_over_all_of_it():
    assert read_times(CLOCK, "10") == Span(time(10), time(10, 59, 59, 999_999), is_single=True)
    assert read_times(CLOCK, "10:30-") == Span(time(10, 30), None)
    assert read_times(CLOCK, "-103015.5") == Span(None, time(10, 30, 15, 599_999))
    assert read_times(CLOCK, "235960") == Span(time(23, 59, 59), time(23, 59, 59, 999_999), is_single=True)
    assert read_days(DAY, " ") is None


def test_a_day_may_end_at_twenty_four_but_none_begins_then():
    for text in ("0800-2400", "080000-240000", "08-24", "08:00-24:00:00"):
        assert read_times(CLOCK, text) == Span(time(8), time.max)
    for text in ("24", "240000-", "0800-2430"):
        with pytest.raises(BadKey):
            read_times(CLOCK, text)


@given(
    st.dates(date(2000, 1, 1), date(2001, 1, 1)), st.dates(date(2000, 1, 1), date(2001, 1, 1)),
    st.times(), st.times(), st.datetimes(datetime(1999, 12, 1), datetime(2001, 2, 1)),
)  # fmt: skip
def test_two_ranges_are_one_interval(low_day, high_day, low, high, moment):
    """Row 37."""
    days = read_days(DAY, f"{low_day:%Y%m%d}-{high_day:%Y%m%d}")
    times = read_times(CLOCK, f"{low:%H%M%S.%f}-{high:%H%M%S.%f}")
    inside = datetime.combine(low_day, low) <= moment <= datetime.combine(high_day, high)
    assert moment_matches(days, times, moment.date(), moment.time()) is inside


_TEXT = st.text("ab^= *?é", max_size=8)


@given(_TEXT)
def test_a_text_is_found_by_itself_and_by_each_of_its_beginnings(text):
    plain = text.replace("*", "x").replace("?", "y")
    assert text_matches(plain, plain)
    for cut in range(len(plain) + 1):
        assert text_matches(plain[:cut] + "*", plain)
        assert text_matches("*" + plain[cut:], plain)
        assert text_matches(plain[:cut] + "?" + plain[cut + 1 :], plain) or cut == len(plain)


@given(st.text("abéÜñ", min_size=1, max_size=6), st.text("abéÜñ", min_size=1, max_size=6))
def test_a_name_is_found_without_its_case_and_accents(family, given_name):
    plain = str.maketrans("éÜñ", "eun")
    assert name_matches(
        f"{family.translate(plain).upper()}^{given_name.translate(plain)}", f"{family}^{given_name}"
    )


def test_a_name_is_found_in_each_of_its_groups():
    name = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    assert name_matches("山田*", name)
    assert name_matches("yamada^tarou", name)
    assert name_matches("=山田^太郎", name)
    assert name_matches("YAMADA*=山*", name)
    assert not name_matches("Yamada*=川*", name)
    assert not name_matches("Yamada*=山*=x=y", name)
    assert name_matches("Smith^John^^", "Smith^John")
    assert name_matches("=山田*", "山田^太郎")
    assert name_matches("*=山田*=*", "山田^太郎")
    assert name_matches("*=*", name)
    assert not name_matches("=川*", "山田^太郎")


def test_a_name_of_one_word_is_found_by_a_query_that_gives_a_place_to_the_others():
    for wanted in ("Doe^*", "DOE^*^*", "Doe*^*", "doe^", "*^^*"):
        assert name_matches(wanted, "Doe"), wanted
    for wanted in ("Doe^J*", "Doe^?", "Do^*", "^Doe"):
        assert not name_matches(wanted, "Doe"), wanted
    assert name_matches("Doe^*", "Doe^John")
    assert name_matches("Doe^J*^*", "Doe^John")


def test_an_answer_holds_what_was_asked_for_and_is_known():
    query = {
        NAME: one("PN"), 0x00100020: one("LO"), 0x00101000: one("LO"),
        STEPS: Element("SQ", items=({STATION: one("AE", "XR1B"), 0x00080060: one("CS")},)),
    }  # fmt: skip
    supported = {**SUPPORTED, 0x00100020: None}
    got = answer(query, ENTRY, supported)
    assert got == {
        NAME: ENTRY[NAME],
        0x00100020: one("LO"),
        STEPS: Element("SQ", items=({STATION: one("AE", "XR1B"), 0x00080060: one("CS")},)),
    }
    assert answer({STEPS: Element("SQ")}, ENTRY, SUPPORTED)[STEPS] == ENTRY[STEPS]
    assert answer({0x00321064: Element("SQ")}, ENTRY, {0x00321064: {}}) == {}


def test_of_several_items_only_those_that_match_are_answered():
    entry = {STEPS: Element("SQ", items=(*step(station="XR1").items, *step(station="XR2").items))}
    got = answer({STEPS: step(station="XR2")}, entry, SUPPORTED)
    assert got[STEPS].items == ({STATION: one("AE", "XR2")},)


def test_several_stations_are_all_answered_where_none_was_asked_for():
    got = answer({STEPS: Element("SQ", items=({STATION: one("AE")},))}, ENTRY, SUPPORTED)
    assert got[STEPS].items[0][STATION].values == ("XR1", "XR1B")


def test_a_key_that_is_not_known_is_told_at_any_depth():
    assert not has_unsupported({NAME: one("PN"), 0x00080005: one("CS"), 0x00080201: one("SH")}, SUPPORTED)
    assert has_unsupported({0x00102201: one("LO")}, SUPPORTED)
    assert has_unsupported({STEPS: Element("SQ", items=({0x00400099: one("LO")},))}, SUPPORTED)
    assert not has_unsupported({STEPS: Element("SQ")}, SUPPORTED)


def test_find_answers_in_the_order_of_the_entries():
    entries = [{ACCESSION: one("SH", name)} for name in ("A2", "B1", "A1")]
    got = find({ACCESSION: one("SH", "A*")}, entries, SUPPORTED)
    assert [each[ACCESSION].values[0] for each in got] == ["A2", "A1"]
