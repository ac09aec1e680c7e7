"""A machine's query, kept and held against one exam key by key."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from xraydesk.links.dicom.elements import Element
from xraydesk.links.dicom.query_codec import KeyVerdict, json_of_tree, judge_keys, tree_of_json
from xraydesk.links.dicom.worklist_codec import STEPS, constraints, known, matches

NAME, ACCESSION, STATION, DAY, CLOCK, CODES, CODE, MEANING = (
    0x00100010,
    0x00080050,
    0x00400001,
    0x00400002,
    0x00400003,
    0x00321064,
    0x00080100,
    0x00080104,
)


def one(vr, *values):
    return Element(vr, values)


def sequence(*items):
    return Element("SQ", items=items)


ENTRY = {
    NAME: one("PN", "Prüfer^Ada"),
    ACCESSION: one("SH", "A1"),
    STEPS: sequence(
        {STATION: one("AE", "XR1", "XR1B"), DAY: one("DA", "20260302"), CLOCK: one("TM", "100000")}
    ),
    CODES: sequence(
        {CODE: one("SH", "CHEST"), MEANING: one("LO", "Chest")},
        {CODE: one("SH", "KNEE"), MEANING: one("LO", "Knee")},
    ),
}


def test_each_key_is_met_or_not_and_a_date_with_its_time_is_one():
    query = {
        NAME: one("PN", "prufer*"),
        ACCESSION: one("SH", ""),
        STEPS: sequence(
            {STATION: one("AE", "XR2"), DAY: one("DA", "20260302"), CLOCK: one("TM", "1100-1200")}
        ),
    }
    assert judge_keys(query, ENTRY) == (
        KeyVerdict((NAME,), "prufer*", "Prüfer^Ada", True),
        KeyVerdict((STEPS, STATION), "XR2", "XR1\\XR1B", False),
        KeyVerdict((STEPS, DAY), "20260302, 1100-1200", "20260302, 100000", False),
    )


def test_a_time_without_a_date_stands_for_itself():
    (verdict,) = judge_keys({STEPS: sequence({CLOCK: one("TM", "1000")})}, ENTRY)
    assert verdict == KeyVerdict((STEPS, CLOCK), "1000", "100000", True)


def test_of_a_sequence_the_item_that_meets_the_most_speaks():
    query = {CODES: sequence({CODE: one("SH", "KNEE"), MEANING: one("LO", "Knie")})}
    assert [(v.have, v.passed) for v in judge_keys(query, ENTRY)] == [("KNEE", True), ("Knee", False)]


def test_a_sequence_that_the_exam_lacks_meets_nothing():
    query = {STEPS: sequence({STATION: one("AE", "*1")})}
    for entry in ({}, {STEPS: sequence()}):
        assert judge_keys(query, entry) == (KeyVerdict((STEPS, STATION), "*1", "", False),)


_AE = st.sampled_from(["", "*", "XR1", "XR?", "XR2"])
_DAY = st.sampled_from(["", "20260302", "20260303-", "-20260302"])
_CLOCK = st.sampled_from(["", "10", "1100-", "0900-1030"])
_CODE = st.sampled_from(["", "CHEST", "KNEE", "FOOT"])


_QUERY = st.builds(
    lambda station, day, clock, code, meaning: {
        STEPS: sequence({STATION: one("AE", station), DAY: one("DA", day), CLOCK: one("TM", clock)}),
        CODES: sequence({CODE: one("SH", code), MEANING: one("LO", meaning.capitalize())}),
    },
    _AE,
    _DAY,
    _CLOCK,
    _CODE,
    _CODE,
)


@given(_QUERY, st.booleans())
def test_all_keys_are_met_just_where_a_query_finds_the_exam(asked, has_codes):
    entry = ENTRY if has_codes else {STEPS: ENTRY[STEPS]}
    assert all(v.passed for v in judge_keys(asked, entry)) == matches(constraints(asked), entry)


def test_a_query_is_kept_as_it_was_sent():
    kept = json.loads(json.dumps(json_of_tree(ENTRY)))
    assert tree_of_json(kept) == ENTRY
    assert kept["00080050"] == {"vr": "SH", "values": ["A1"]}


def test_a_key_that_is_not_known_restricts_nothing():
    supported = {ACCESSION: None, STEPS: {STATION: None}, CODES: None}
    asked = {
        NAME: one("PN", "Ada"),
        ACCESSION: one("SH", "A1"),
        STEPS: sequence({STATION: one("AE", "XR1"), DAY: one("DA", "20260302")}),
        CODES: sequence({CODE: one("SH", "KNEE")}),
    }
    found = known(asked, supported)
    assert found == {
        ACCESSION: one("SH", "A1"),
        STEPS: sequence({STATION: one("AE", "XR1")}),
        CODES: asked[CODES],
    }
    assert known({STEPS: sequence({DAY: one("DA", "20260302")})}, supported) == {}
