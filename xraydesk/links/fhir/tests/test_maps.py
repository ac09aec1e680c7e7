"""The department's codes beside those of others: told, translated both ways, and read in orders. The codes here are invented."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse
from fhir.resources.R4B.conceptmap import ConceptMap
from fhir.resources.R4B.parameters import Parameters

from tests.factories import AT, make_exam, make_patient, make_site
from xraydesk.access.models import Site
from xraydesk.desk.tests.people import signed_in
from xraydesk.links.fhir.map_codec import BODY_PARTS
from xraydesk.links.fhir.tests.test_fhir import caller, get
from xraydesk.links.fhir.tests.test_writes import order_of, send, without
from xraydesk.orders import code_tables
from xraydesk.orders.code_table_rules import BODY_SITES, PROCEDURES, BadTable
from xraydesk.orders.models import Exam, Procedure

pytestmark = pytest.mark.django_db
OTHERS, SITES = "http://codes.example/exams", "http://codes.example/body"


def site_with_tables() -> Site:
    site = make_site()
    Procedure.objects.filter(site=site, code="XRCHEST2").update(body_part="CHEST")
    load(site, "local,code,display,equivalence\nXRCHEST2,C-2,Chest two,\nXRCHEST2,C-0,Chest,narrower\n")
    load(site, "local,code\nCHEST,B-1\n", of=BODY_SITES, system=SITES)
    return site


def load(site: Site, text: str, of: str = PROCEDURES, system: str = OTHERS) -> None:
    code_tables.load(site=site, of=of, system=system, version="1", text=text, at=AT)


def matches(told: Any) -> list[tuple[str, str, str]]:
    Parameters.model_validate(told)
    found = [p["part"] for p in told["parameter"] if p["name"] == "match"]
    assert told["parameter"][0] == {"name": "result", "valueBoolean": bool(found)}
    return [(e["valueCode"], c["valueCoding"]["system"], c["valueCoding"]["code"]) for e, c, _ in found]


def test_codes_stand_side_by_side_in_what_is_told() -> None:
    site = site_with_tables()
    exam = make_exam(site)
    _, told = get(caller(site), f"ServiceRequest/{exam.pk}")
    assert [(c.get("system"), c["code"]) for c in told["code"]["coding"]] == [
        ("urn:xraydesk:codes:L", "XRCHEST2"),
        (OTHERS, "C-2"),
    ]
    assert told["bodySite"][0]["coding"] == [{"system": SITES, "code": "B-1"}]


def test_codes_are_translated_both_ways() -> None:
    client = caller(site_with_tables())
    own = "ConceptMap/$translate?system=urn:xraydesk:codes:L&code=XRCHEST2"
    assert matches(get(client, own)[1]) == [("equivalent", OTHERS, "C-2"), ("narrower", OTHERS, "C-0")]
    assert matches(get(client, f"{own}&targetsystem={SITES}")[1]) == []
    back = f"ConceptMap/$translate?system={OTHERS}&code=C-0"
    assert matches(get(client, back)[1]) == [("wider", "urn:xraydesk:codes:L", "XRCHEST2")]
    part = f"ConceptMap/$translate?system={BODY_PARTS}&code=CHEST"
    assert matches(get(client, part)[1]) == [("equivalent", SITES, "B-1")]
    assert matches(get(client, f"ConceptMap/$translate?system={SITES}&code=B-1")[1]) == [
        ("equivalent", BODY_PARTS, "CHEST")
    ]
    for asked in (
        {"name": "coding", "valueCoding": {"system": OTHERS, "code": "C-2"}},
        {"name": "codeableConcept", "valueCodeableConcept": {"coding": [{"system": OTHERS, "code": "C-2"}]}},
    ):
        told = {"resourceType": "Parameters", "parameter": [asked]}
        status, answered, _ = send(client, "POST", "ConceptMap/$translate", told)
        assert (status, matches(answered)) == (200, [("equivalent", "urn:xraydesk:codes:L", "XRCHEST2")])
    assert get(client, "ConceptMap/$translate?code=C-2")[0] == 400
    assert matches(get(client, f"ConceptMap/$translate?system={OTHERS}&code=none")[1]) == []


def test_a_table_is_a_concept_map_of_its_site() -> None:
    site = site_with_tables()
    client = caller(site)
    _, found = get(client, f"ConceptMap?target-system={OTHERS}")
    [entry] = found["entry"]
    ConceptMap.model_validate(entry["resource"])
    assert [t["code"] for t in entry["resource"]["group"][0]["element"][0]["target"]] == ["C-2", "C-0"]
    key, url = entry["resource"]["id"], entry["resource"]["url"]
    assert get(client, f"ConceptMap?url={url}")[1]["total"] == 1
    assert len(matches(get(client, f"ConceptMap/{key}/$translate?system={OTHERS}&code=C-2")[1])) == 1
    assert matches(get(client, f"ConceptMap/{key}x/$translate?system={OTHERS}&code=C-2")[1]) == []
    other = caller(make_site("OTHER"), name="other")
    assert matches(get(other, f"ConceptMap/$translate?system={OTHERS}&code=C-2")[1]) == []
    assert get(other, "ConceptMap")[1]["total"] == 0


def test_an_order_that_names_another_table_s_code_alone_is_read_and_comes_back_equal() -> None:
    site = site_with_tables()
    client = caller(site)
    patient = make_patient(site).pk
    sent = order_of(patient) | {"code": {"coding": [{"system": OTHERS, "code": "C-2"}], "text": "Chest"}}
    status, told, _ = send(client, "POST", "ServiceRequest", sent)
    assert status == 201, told
    assert without(told, "id", "meta", "identifier") == sent
    assert Exam.objects.get().procedure_code == "XRCHEST2"
    wider = order_of(patient) | {"code": {"coding": [{"system": OTHERS, "code": "C-0"}]}}
    assert send(client, "POST", "ServiceRequest", wider)[0] == 422
    assert get(client, "ServiceRequest?code=XRCHEST2")[1]["total"] == 1


def test_a_table_takes_the_place_of_the_one_before_or_changes_nothing() -> None:
    site = site_with_tables()
    with pytest.raises(BadTable):
        load(site, "local,code\nXRNONE,1\n")
    load(site, "local,code\nXRCHEST2,C-9\n")
    assert [p.code for p in code_tables.pairs_of(site, PROCEDURES)] == ["C-9"]
    assert OTHERS in signed_in(site).get(reverse("codes")).content.decode()
    assert code_tables.drop(site=site, of=PROCEDURES, system=OTHERS)
    assert not code_tables.drop(site=site, of=PROCEDURES, system=OTHERS)
