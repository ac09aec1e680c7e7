"""What is read in an EHR's answers, and how resources are written for it; without a socket."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from xraydesk.links.ehr.push_codec import for_ehr, number_of, own_number, says_the_same, words_of_outcome
from xraydesk.links.ehr.request_rules import steps_asked
from xraydesk.links.ehr.searchset_codec import (
    NotASearchset,
    Page,
    first_search,
    id_of,
    read_json,
    read_page,
    remote_id,
    search_url,
    updated_at,
    version_of,
)
from xraydesk.links.ehr.statement import table_of_writes
from xraydesk.siteplan.link_plan import OrderControl

BASE = "https://ehr.example/R4"


@pytest.mark.parametrize(
    ("said", "standing", "steps"),
    [
        ("active", "", [OrderControl.NEW]),
        ("on-hold", "", []),
        ("revoked", "", []),
        ("completed", "active", []),
        ("draft", "active", []),
        ("active", "active", [OrderControl.CHANGE]),
        ("active", "on-hold", [OrderControl.RELEASE, OrderControl.CHANGE]),
        ("on-hold", "active", [OrderControl.HOLD]),
        ("on-hold", "on-hold", [OrderControl.CHANGE]),
        ("revoked", "active", [OrderControl.CANCEL]),
        ("entered-in-error", "on-hold", [OrderControl.CANCEL]),
        ("revoked", "revoked", []),
    ],
)
def test_what_a_status_asks_of_an_order(said: str, standing: str, steps: list[OrderControl]) -> None:
    assert list(steps_asked(said, standing)) == steps


def test_where_the_first_page_is_asked_for() -> None:
    since = datetime(2026, 3, 2, 15, tzinfo=UTC)
    assert search_url(BASE, "Patient") == f"{BASE}/Patient?_count=100&_sort=_lastUpdated"
    assert search_url(BASE, "Patient", narrowed="a=b", since=since) == (
        f"{BASE}/Patient?a=b&_count=100&_sort=_lastUpdated&_lastUpdated=ge2026-03-02T15%3A00%3A00%2B00%3A00"
    )
    assert first_search("") == "status=active"
    assert first_search("category=x") == "category=x&status=active"
    assert first_search("status=active,on-hold") == "status=active,on-hold"


def test_a_page_is_read_with_the_next_one() -> None:
    bundle = {
        "resourceType": "Bundle",
        "entry": [
            {"resource": {"resourceType": "Patient", "id": "1"}},
            {"resource": {"resourceType": "OperationOutcome"}},
            {"fullUrl": "x"},
            "nonsense",
        ],
        "link": [{"relation": "self", "url": "a"}, {"relation": "next", "url": "Patient?page=2"}],
    }
    page = read_page(bundle, here=f"{BASE}/Patient?x")
    assert page == Page(({"resourceType": "Patient", "id": "1"},), f"{BASE}/Patient?page=2")
    assert read_page({"resourceType": "Bundle", "entry": 7}, here=BASE) == Page((), "")


@pytest.mark.parametrize(
    "told",
    [
        [],
        {"resourceType": "Patient"},
        {"resourceType": "Bundle", "link": [{"relation": "next"}]},
        {"resourceType": "Bundle", "link": [{"relation": "next", "url": 7}]},
    ],
)
def test_what_is_no_page_is_said_so(told: Any) -> None:
    with pytest.raises(NotASearchset):
        read_page(told, here=BASE)


def test_json_is_read_or_said_to_be_none() -> None:
    assert read_json(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}
    for bad in (b"", b"\xff", b"<html>", b"[" * 100_000):
        with pytest.raises(NotASearchset):
            read_json(bad)


def test_ids_versions_and_times_are_taken_only_where_they_are_right() -> None:
    assert id_of({"id": "a.B-1"}) == "a.B-1"
    for wrong in ({}, {"id": 1}, {"id": "a/b"}, {"id": "x" * 65}):
        assert id_of(wrong) == ""
    assert version_of({"meta": {"versionId": "7"}}) == "7"
    digest = version_of({"a": 1, "meta": {"versionId": ""}})
    assert digest == version_of({"a": 1, "meta": "x"})
    assert digest != version_of({"a": 2})
    assert updated_at({"meta": {"lastUpdated": "2026-03-02T15:00:00Z"}}) == datetime(
        2026, 3, 2, 15, tzinfo=UTC
    )
    for told in ({}, {"meta": 1}, {"meta": {"lastUpdated": 1}}, {"meta": {"lastUpdated": "soon"}}):
        assert updated_at(told) is None
    assert updated_at({"meta": {"lastUpdated": "2026-03-02T15:00:00"}}) is None


def test_a_reference_is_the_ehrs_own_or_nobodys() -> None:
    assert remote_id("Patient/1", "Patient", BASE) == "1"
    assert remote_id(f"{BASE}/Patient/1/_history/2", "Patient", BASE) == "1"
    for other in (None, "", "#p", "Group/1", "https://other.example/R4/Patient/1", "Patient/a b"):
        assert remote_id(other, "Patient", BASE) == ""


def test_a_resource_for_the_ehr_has_no_id_of_ours() -> None:
    resource = {
        "resourceType": "Appointment",
        "id": "7",
        "meta": {"versionId": "x"},
        "identifier": [{"value": "A1"}],
        "slot": [{"reference": "Slot/9"}],
        "basedOn": [{"reference": "ServiceRequest/3"}],
        "participant": [
            {"actor": {"reference": "Patient/5"}, "status": "accepted"},
            {"actor": {"reference": "Location/2", "display": "Room 2"}, "status": "accepted"},
            {"actor": {"reference": "Practitioner/2"}, "status": "accepted"},
        ],
        "minutesDuration": 10,
    }
    own = own_number("HOSP", "Appointment", "A1")
    told = for_ehr(
        resource, own, lambda kind, key: {"reference": f"{kind}/there"} if kind == "Patient" else {}
    )
    assert told == {
        "resourceType": "Appointment",
        "identifier": [{"system": "urn:xraydesk:HOSP:appointment", "value": "A1"}, {"value": "A1"}],
        "participant": [
            {"actor": {"reference": "Patient/there"}, "status": "accepted"},
            {"actor": {"display": "Room 2"}, "status": "accepted"},
        ],
        "minutesDuration": 10,
    }
    assert number_of(told) == ("urn:xraydesk:HOSP:appointment", "A1")
    assert for_ehr({"resourceType": "Communication"}, own, lambda kind, key: {})["identifier"] == [own]


def test_the_same_is_said_whatever_is_added_and_however_a_time_is_written() -> None:
    ours = {"a": [{"b": "x"}], "start": "2026-03-02T10:00:00-05:00", "n": 1}
    there = {"a": [{"c": 1}, {"b": "x", "d": 2}], "start": "2026-03-02T15:00:00Z", "n": 1, "more": True}
    assert says_the_same(there, ours)
    for name, value in (
        ("a", []),
        ("a", {}),
        ("start", "2026-03-02T15:00:01Z"),
        ("start", "later"),
        ("n", 2),
    ):
        assert not says_the_same(there | {name: value}, ours)
    assert not says_the_same("2026-03-02T15:00:00", "2026-03-02T15:00:01")
    assert not says_the_same("Tuesday", "2026-03-02T15:00:01Z")
    assert not says_the_same([], ours)


def test_what_an_outcome_says() -> None:
    outcome = {
        "resourceType": "OperationOutcome",
        "issue": [
            {"code": "invalid", "diagnostics": "wrong", "expression": ["Appointment.start"]},
            {"code": "invalid", "details": {"text": "also wrong"}, "location": []},
            {"code": "conflict"},
            {},
            "nonsense",
        ],
    }
    assert words_of_outcome(outcome) == "Appointment.start wrong; also wrong; conflict"
    for none in (None, {}, {"issue": 1}):
        assert words_of_outcome(none) == ""


def test_the_page_lists_what_the_code_writes() -> None:
    page = Path(__file__).parents[4] / "docs" / "conformance" / "fhir.md"
    assert table_of_writes() in page.read_text(encoding="utf-8")
