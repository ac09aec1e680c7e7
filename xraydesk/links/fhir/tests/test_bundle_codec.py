"""What a stranger's bundle and resources mean, and what of them nobody may guess."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from xraydesk.links.fhir import bundle_codec, overlay_codec, request_codec, shape_codec

THERE = "http://other.example/R4"


@pytest.mark.parametrize(
    ("full_url", "reference", "meant"),
    [
        (f"{THERE}/ServiceRequest/1", "Patient/55", f"{THERE}/Patient/55"),
        (f"{THERE}/ServiceRequest/1/_history/2", "Patient/55/_history/3", f"{THERE}/Patient/55/_history/3"),
        (f"{THERE}/ServiceRequest/1", "http://third/Patient/55", "http://third/Patient/55"),
        (f"{THERE}/ServiceRequest/1", "Patient?identifier=N1", "Patient?identifier=N1"),
        (f"{THERE}/ServiceRequest/1", "#p", "#p"),
        ("urn:uuid:1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed", "Patient/55", "Patient/55"),
        ("", "Patient/55", "Patient/55"),
    ],
)
def test_a_relative_reference_is_of_the_server_that_its_entry_is_of(
    full_url: str, reference: str, meant: str
) -> None:
    assert bundle_codec.whole(reference, bundle_codec.server_of(full_url)) == meant


def test_an_entry_whose_full_url_another_one_has_is_found() -> None:
    assert bundle_codec.repeated([{}, {}, {"fullUrl": "a"}, {"fullUrl": "b"}]) is None
    assert bundle_codec.repeated([{"fullUrl": "a"}, {}, {"fullUrl": "a"}]) == 2


@pytest.mark.parametrize(
    ("element", "path"),
    [
        ({"active": "true"}, "Patient.active"),
        ({"active": 1}, "Patient.active"),
        ({"multipleBirthInteger": "2"}, "Patient.multipleBirthInteger"),
        ({"multipleBirthInteger": True}, "Patient.multipleBirthInteger"),
        ({"extension": [{"url": "x", "valueDecimal": "1.0"}]}, "Patient.extension[0].valueDecimal"),
        ({"communication": [{"language": {}, "preferred": "yes"}]}, "Patient.communication[0].preferred"),
        ({"name": None}, "Patient.name"),
        ({"name": [{"family": None}]}, "Patient.name[0].family"),
        ({"birthDate": 0}, "Patient.birthDate"),
        ({"deceasedDateTime": 0}, "Patient.deceasedDateTime"),
        ({"name": [{"period": {"start": Decimal("0.0")}}]}, "Patient.name[0].period.start"),
        ({"extension": [{"url": "x", "valueTime": 0}]}, "Patient.extension[0].valueTime"),
        ({"name": [{"family": "a\0b"}]}, "Patient.name[0].family"),
        ({"contained": [{"resourceType": "Basic"}, {"resourceType": "Whim"}]}, "Patient.contained[1]"),
        ({"contained": [{"resourceType": 0}]}, "Patient.contained[0]"),
        ({"extension": [{"url": "x", "valueUrl": 0}]}, "Patient.extension[0]"),
        ({"multipleBirthInteger": Decimal("2.0")}, "Patient.multipleBirthInteger"),
        (
            {"extension": [{"url": "x", "valueDecimal": Decimal("1e400")}]},
            "Patient.extension[0].valueDecimal",
        ),
    ],
)
def test_values_of_another_kind_than_json_has_for_them_are_refused(
    element: dict[str, Any], path: str
) -> None:
    assert [
        issue.path for issue in shape_codec.issues_of({"resourceType": "Patient", **element}, "Patient")
    ] == [path]


def test_values_of_their_own_kind_are_taken_and_none_of_a_list_stands_beside_its_extension() -> None:
    given = {"given": ["a", None], "_given": [None, {"extension": [{"url": "x", "valueString": "y"}]}]}
    told = {
        "resourceType": "Patient",
        "active": True,
        "multipleBirthInteger": 2,
        "_birthDate": {"extension": [{"url": "x", "valueDateTime": "1980-02-03T05:06:07.1-03:00"}]},
        "extension": [{"url": "x", "valueDecimal": 1.5}, {"url": "y", "valueDecimal": Decimal("2.50")}],
        "name": [given],
    }
    assert shape_codec.issues_of(told, "Patient") == []


def test_what_turns_the_meaning_of_a_resource_is_found_wherever_it_stands() -> None:
    request = {
        "resourceType": "ServiceRequest",
        "implicitRules": "http://rules",
        "contained": [{"resourceType": "Patient", "modifierExtension": [{"url": "x", "valueBoolean": True}]}],
        "modifierExtension": [],
    }
    paths = [issue.path for issue in shape_codec.not_understood(request, "ServiceRequest")]
    assert paths == ["ServiceRequest.implicitRules", "ServiceRequest.contained[0].modifierExtension"]


def test_how_confidential_a_resource_is_comes_back_with_it() -> None:
    meta = {"security": [{"code": "R"}], "source": "urn:x", "profile": ["p"], "tag": [{"code": "t"}]}
    sent = {"resourceType": "Patient", "meta": meta | {"versionId": "9", "lastUpdated": "2020"}}
    assert overlay_codec.overlaid({"resourceType": "Patient", "id": "1"}, sent, ())["meta"] == meta


@pytest.mark.parametrize(
    ("inside", "requester", "said"),
    [
        ({"resourceType": "Practitioner", "name": [{"given": ["Ada"], "family": "House"}]}, {}, ("", "Ada House")),
        ({"resourceType": "Practitioner", "name": [{"text": "Dr House"}], "identifier": [{"system": "s"}, {"value": "77"}]},
         {}, ("77", "Dr House")),
        ({"resourceType": "PractitionerRole", "practitioner": {"display": "Dr Role"}}, {}, ("", "Dr Role")),
        ({"resourceType": "Organization", "name": "Ward W3"}, {}, ("", "Ward W3")),
        ({"resourceType": "Practitioner"}, {"display": "Said beside", "identifier": {"value": "5"}}, ("5", "Said beside")),
    ],
)  # fmt: skip
def test_who_asks_may_stand_within_the_request(
    inside: dict[str, Any], requester: dict[str, Any], said: tuple[str, str]
) -> None:
    request = {
        "contained": [{"id": "x"}, inside | {"id": "dr"}],
        "requester": {"reference": "#dr"} | requester,
    }
    assert request_codec.read_requester(request) == said
    assert request_codec.read_requester({"requester": {"reference": "#nobody"}}) == ("", "")


def test_a_resource_of_no_type_within_another_is_named_and_breaks_nothing() -> None:
    odd = {"resource": {"resourceType": "Whim"}, "request": {"method": "POST", "url": "Whim"}}
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": [{"request": odd["request"]}, odd]}
    assert [issue.path for issue in shape_codec.issues_of(bundle, "Bundle")] == ["Bundle.entry[1]"]
