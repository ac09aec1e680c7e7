"""What is asked by QIDO-RS, and what is read of its answers."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xraydesk.links.dicom.archive_codec import Asked
from xraydesk.links.dicomweb.query_codec import (
    ANSWERS_A_PAGE_MAX,
    SERIES_KEYS,
    STUDY_KEYS,
    BadAnswer,
    any_study,
    has_more,
    media_type,
    objects_of,
    read_answers,
    series_of,
    studies_of,
)

ADA = Asked("MR 1&2", "HOSP", date(1969, 5, 12))


def test_studies_are_asked_for_by_number_and_days_a_page_at_a_time() -> None:
    search = studies_of(ADA, since=date(2015, 3, 1), until=date(2025, 3, 1))
    asked = search.page(offset=100)
    assert asked.startswith("studies?PatientID=MR+1%262&StudyDate=20150301-20250301&includefield=00100020&")
    assert asked.endswith("&limit=100&offset=100")
    assert "includefield=00100021" in asked
    assert "IssuerOfPatientID=" not in asked


def test_series_and_objects_are_asked_for_below_their_study() -> None:
    assert series_of("1.2").page(offset=0).startswith("studies/1.2/series?includefield=0020000E&")
    assert objects_of("1.2").page(offset=0).startswith("studies/1.2/instances?includefield=00080016&")
    assert any_study().page(offset=0, limit=1) == "studies?includefield=0020000D&limit=1&offset=0"
    assert series_of("1.2/../3").page(offset=0).startswith("studies/1.2%2F..%2F3/series?")


def element(vr: str, *values: Any) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)}


def test_an_answer_is_read_by_keyword_and_what_is_missing_is_left_out() -> None:
    told = [
        {
            "00100020": element("LO", " MR1 "),
            "00100030": {"vr": "DA"},
            "0020000D": element("UI", "1.2"),
            "00080020": element("DA", 20250301),
            "00081030": element("LO", "Knee\r\nleft", "another"),
            "00080061": element("CS"),
        },
        {},
    ]
    assert read_answers(json.dumps(told).encode(), STUDY_KEYS) == [
        {
            "PatientID": "MR1",
            "StudyInstanceUID": "1.2",
            "StudyDate": "20250301",
            "StudyDescription": "Kneeleft",
        },
        {},
    ]
    assert read_answers(b"[]", STUDY_KEYS) == []


@pytest.mark.parametrize(
    ("told", "read"),
    [
        (element("CS", "KNEE"), {"BodyPartExamined": "KNEE"}),
        (element("PN", {"Alphabetic": "KNEE", "Ideographic": "x"}), {"BodyPartExamined": "KNEE"}),
        (element("PN", {"Ideographic": "x"}), {}),
        (element("CS", None), {}),
        (element("CS", True), {}),
        (element("CS", ["KNEE"]), {}),
        (element("CS", "K" * 1000), {"BodyPartExamined": "K" * 330}),
        ({"vr": "CS", "Value": "KNEE"}, {}),
        ("KNEE", {}),
        (None, {}),
    ],
)
def test_a_value_that_is_none_is_as_good_as_absent(told: Any, read: dict[str, str]) -> None:
    assert read_answers(json.dumps([{"00180015": told}]).encode(), SERIES_KEYS) == [read]


def test_tags_in_small_letters_are_read_as_well() -> None:
    assert read_answers(b'[{"0020000e": {"vr": "UI", "Value": ["1.2"]}}]', SERIES_KEYS) == [
        {"SeriesInstanceUID": "1.2"}
    ]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "cannot be read"),
        (b"\xff[]", "cannot be read"),
        (b"[" * 100_000, "cannot be read"),
        (b"{}", "no list"),
        (b"[1]", "no list"),
        (b"[" + b",".join([b"{}"] * (ANSWERS_A_PAGE_MAX + 1)) + b"]", "more than 5,000"),
    ],
)
def test_what_is_no_answer_is_refused_with_the_reason(body: bytes, why: str) -> None:
    with pytest.raises(BadAnswer, match=why):
        read_answers(body, STUDY_KEYS)


def test_another_page_is_asked_for_while_there_is_more() -> None:
    full = [{"StudyInstanceUID": str(n)} for n in range(100)]
    warning = '299 dcm "There are 7 additional results that can be requested"'
    assert has_more(full, warning="")
    assert not has_more(full[:99], warning="")
    assert has_more(full[:20], warning=warning)
    assert not has_more([], warning=warning)


def test_a_media_type_is_read_without_what_follows() -> None:
    assert media_type("Application/DICOM+json; charset=utf-8") == "application/dicom+json"


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["0020000D", "vr", "Value", "Alphabetic"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(ANY_JSON)
def test_whatever_is_answered_is_texts_or_refused(told: Any) -> None:
    try:
        answers = read_answers(json.dumps(told).encode(), STUDY_KEYS)
    except BadAnswer:
        return
    assert all(isinstance(value, str) and value for one in answers for value in one.values())
