"""The FHIR side of the simulated EHR answers as a real one would, and what it gives is read by the desk's own codecs."""

from __future__ import annotations

import json
import time
from datetime import date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from xraydesk.lib import clock
from xraydesk.links.ehr.searchset_codec import read_page, search_url
from xraydesk.links.fhir.coverage_codec import read_coverage
from xraydesk.links.fhir.patient_codec import read_patient
from xraydesk.links.fhir.request_codec import read_request
from xraydesk.links.fhir.shape_codec import issues_of
from xraydesk.parties import fhir_server
from xraydesk.parties.department import Address, Department, FhirDoor, NotLoopback, read_department
from xraydesk.parties.ehr import Ehr
from xraydesk.parties.faults import ANSWERS_ONE_IN, TO_FHIR, Fault, read
from xraydesk.parties.fhir_answers import FHIR_JSON, Asked, FhirSide, Tokens, Told
from xraydesk.parties.fhir_server import FhirServer, opened
from xraydesk.parties.fhir_store import Store
from xraydesk.parties.mllp import Sender
from xraydesk.parties.practice import Practice
from xraydesk.siteplan.invented import invent
from xraydesk.siteplan.reading import read_toml, to_json

HOSPITAL = Path(__file__).parents[1] / "site" / "hospital.toml"
BASE = "http://127.0.0.1:11115/R4"
DOOR = FhirDoor("PRACTICES", BASE)


@pytest.fixture
def here(tmp_path: Path) -> Department:
    nobody = Address("127.0.0.1", 1)
    return Department(tmp_path, read_toml(HOSPITAL), nobody, nobody, nobody, seed=7, doors=(DOOR,))


@pytest.fixture
def side(here: Department) -> FhirSide:
    return FhirSide(Store(here.folder / DOOR.file), BASE)


@pytest.fixture
def practice(here: Department) -> Practice:
    return Practice(here, DOOR, Random(1))


def told(answer: Told) -> Any:
    return json.loads(answer.body)


def ordered(practice: Practice, count: int = 1) -> list[str]:
    """So many orders of as many people; their placer numbers."""
    knee = next(p for p in practice.department.plan.procedures if {"L", "R"} <= set(p.laterality))
    placers = [f"E{number:07d}" for number in range(count)]
    for number, placer in enumerate(placers):
        person = invent(Random(number), f"4800000{number}", date(2026, 3, 2))
        practice.order(person, knee, placer, datetime(2026, 3, 2, 10, 30))
    return placers


def get(side: FhirSide, path: str, query: str = "") -> Told:
    return side.answer(Asked("GET", path, query))


def write(side: FhirSide, method: str, path: str, resource: object, **headers: str) -> Told:
    body = json.dumps(resource).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return side.answer(Asked(method, path, headers={"content-type": FHIR_JSON} | named, body=body))


def appointment(number: str = "A1", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Appointment",
        "identifier": [{"system": "urn:xraydesk:HOSP:appointment", "value": number}],
        "status": "booked",
        "participant": [{"actor": {"display": "Room 1"}, "status": "accepted"}],
        **more,
    }


def test_what_a_practice_orders_is_read_by_the_desk_as_it_was_meant(
    practice: Practice, side: FhirSide
) -> None:
    (placer,) = ordered(practice)
    request = told(get(side, f"ServiceRequest/{placer}"))
    key = request["subject"]["reference"].removeprefix("Patient/")
    patient, coverage = told(get(side, f"Patient/{key}")), told(get(side, f"Coverage/c{key}"))
    for resource in (request, patient, coverage):
        assert issues_of(resource, resource["resourceType"]) == []
    person = read_patient(patient)
    assert (person.identifiers[0].value, person.identifiers[0].authority) == ("48000000", "HOSP")
    code = request["code"]["coding"][0]
    asked = read_request(request, patient=person, offered=[(code["code"], "L")])
    (exam,) = asked.exams
    assert (asked.placer, asked.placer_authority, exam.code) == (placer, "EHR", code["code"])
    assert exam.laterality in ("L", "R")
    assert exam.requested_at is not None
    assert exam.requested_at.utcoffset() is not None
    assert read_coverage(coverage).subscriber == "M48000000"


def test_the_desks_own_search_is_answered_page_by_page_and_a_change_meanwhile_hides_nothing(
    practice: Practice, side: FhirSide
) -> None:
    placers = ordered(practice, 5)
    url = search_url(
        BASE, "ServiceRequest", narrowed="category=RAD", since=clock.now() - timedelta(minutes=1)
    )
    url = url.replace("_count=100", "_count=2")
    seen: list[str] = []
    while url:
        page = read_page(told(get(side, "ServiceRequest", url.partition("?")[2])), here=url)
        seen += [str(one["id"]) for one in page.resources]
        if len(seen) == 2:
            practice.revoke(placers[0])
        url = page.further
    assert seen == [*placers, placers[0]]
    found = told(get(side, "ServiceRequest", "status=active&_include=ServiceRequest:subject&_count=50"))
    modes = [(e["resource"]["resourceType"], e["search"]["mode"]) for e in found["entry"]]
    assert modes == [("ServiceRequest", "match")] * 4 + [("Patient", "include")] * 4
    assert found["total"] == 4
    assert "next" not in [link["relation"] for link in found["link"]]
    newest = told(get(side, "ServiceRequest", "_sort=-_lastUpdated&_count=1"))["entry"][0]["resource"]
    assert (newest["id"], newest["status"]) == (placers[0], "revoked")


@pytest.mark.parametrize(
    ("kind", "query", "count"),
    [
        ("Coverage", "patient=48000001", 1),
        ("Patient", "identifier=urn:xraydesk:issuer:HOSP|48000001", 1),
        ("Patient", "identifier=48000001,48000000", 2),
        ("Patient", "identifier=urn:another|48000001", 0),
        ("ServiceRequest", "subject=Patient/48000001", 1),
        ("ServiceRequest", "category=LAB", 0),
        ("ServiceRequest", "_lastUpdated=lt2026-01-01T00:00:00Z", 0),
        ("ServiceRequest", "_id=E0000000,E0000001", 2),
        ("Appointment", "", 0),
    ],
)  # fmt: skip
def test_what_is_searched_by(practice: Practice, side: FhirSide, kind: str, query: str, count: int) -> None:
    ordered(practice, 2)
    assert told(get(side, kind, query))["total"] == count


def test_a_create_under_a_condition_is_made_once_and_an_update_of_an_old_version_is_refused(
    side: FhirSide,
) -> None:
    condition = "identifier=urn%3Axraydesk%3AHOSP%3Aappointment%7CA1"
    made = write(side, "POST", "Appointment", appointment(), if_none_exist=condition)
    assert (made.status, made.headers["ETag"]) == (201, 'W/"1"')
    again = write(side, "POST", "Appointment", appointment(), if_none_exist=condition)
    assert (again.status, told(again)["id"]) == (200, told(made)["id"])
    key = told(made)["id"]
    assert made.headers["Location"] == f"{BASE}/Appointment/{key}/_history/1"
    changed = appointment(id=key, status="cancelled")
    assert write(side, "PUT", f"Appointment/{key}", changed, if_match='W/"1"').status == 200
    late = write(side, "PUT", f"Appointment/{key}", changed, if_match='W/"1"')
    assert (late.status, told(late)["issue"][0]["code"]) == (412, "conflict")
    assert told(get(side, f"Appointment/{key}/_history/1"))["status"] == "booked"
    minimal = write(side, "PUT", f"Appointment/{key}", changed, prefer="return=minimal")
    assert (minimal.body, minimal.headers["ETag"]) == (b"", 'W/"3"')
    side.store.put(appointment())
    assert write(side, "POST", "Appointment", appointment(), if_none_exist=condition).status == 412


@pytest.mark.parametrize(
    ("request_line", "resource", "headers", "status"),
    [
        ("POST Appointment", appointment(), {"content_type": "text/plain"}, 415),
        ("POST Appointment", {"resourceType": "Patient"}, {}, 422),
        ("POST Appointment", ["nothing"], {}, 422),
        ("POST Appointment", appointment(status=""), {}, 422),
        ("POST Appointment", appointment(basedOn=[{"reference": "ServiceRequest/99"}]), {}, 422),
        ("POST Appointment", appointment(), {"if_none_exist": "status=booked"}, 400),
        ("PUT Appointment/7", appointment(id="8"), {}, 400),
        ("PUT Appointment/7", appointment(id="7"), {}, 404),
        ("POST Patient", {"resourceType": "Patient"}, {}, 403),
        ("POST Claim", {"resourceType": "Claim"}, {}, 404),
        ("DELETE Appointment/7", {}, {}, 405),
    ],
)  # fmt: skip
def test_what_is_refused_is_said_by_an_outcome(
    side: FhirSide, request_line: str, resource: object, headers: dict[str, str], status: int
) -> None:
    method, _, path = request_line.partition(" ")
    answer = write(side, method, path, resource, **headers)
    assert answer.status == status
    assert told(answer)["resourceType"] == "OperationOutcome"
    assert side.store.count_versions("Appointment") == 0


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("Appointment/7", "", 404),
        ("Appointment/7/_history/1", "", 404),
        ("Patient", "eye-colour=brown", 400),
        ("Patient", "_lastUpdated=ge2026-01-01", 400),
        ("Patient", "_lastUpdated=zz2026-01-01T00:00:00Z", 400),
        ("Patient", "_page=nonsense", 410),
    ],
)
def test_what_is_not_here_or_not_understood(
    practice: Practice, side: FhirSide, path: str, query: str, status: int
) -> None:
    ordered(practice)
    assert get(side, path, query).status == status


def proof(key: ECKey, **more: Any) -> bytes:
    claims = {
        "iss": "xraydesk",
        "sub": "xraydesk",
        "aud": f"{BASE}/token",
        "exp": int(time.time()) + 240,
        "jti": "1",
    }
    signed = jwt.encode({"alg": "ES384"}, claims | more, key, algorithms=["ES384"])
    return f"grant_type=client_credentials&scope=system/Patient.rs&client_assertion={signed}".encode()


def test_only_whoever_proves_who_they_are_gets_a_token_and_a_proof_is_good_once(side: FhirSide) -> None:
    key, other = ECKey.generate_key("P-384"), ECKey.generate_key("P-384")
    side.tokens = Tokens(key.as_dict(private=False))
    assert get(side, "Patient").status == 401
    place = told(get(side, ".well-known/smart-configuration"))["token_endpoint"]
    assert place == f"{BASE}/token"
    for wrong in (
        proof(other),
        proof(key, aud="x", jti="2"),
        proof(key, exp=1, jti="3"),
        proof(key, iss="y", jti="4"),
        b"",
    ):
        assert side.answer(Asked("POST", "token", body=wrong)).status == 400
    given = told(side.answer(Asked("POST", "token", body=proof(key, jti="5"))))
    assert side.answer(Asked("POST", "token", body=proof(key, jti="5"))).status == 400
    let_in = Asked("GET", "Patient", headers={"authorization": f"Bearer {given['access_token']}"})
    assert side.answer(let_in).status == 200
    side.tokens.end_all()
    assert side.answer(let_in).status == 401


def test_its_statement_says_what_it_does(side: FhirSide) -> None:
    (rest,) = told(get(side, "metadata"))["rest"]
    done = {one["type"]: [i["code"] for i in one["interaction"]] for one in rest["resource"]}
    assert "create" in done["Appointment"]
    assert "create" not in done["Patient"]


@pytest.mark.parametrize("fault", TO_FHIR)
def test_each_mood_is_what_it_says_and_is_on_record(
    here: Department, practice: Practice, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    monkeypatch.setattr(fhir_server, "LATE_SECONDS", (0, 0))
    ordered(practice)
    ehr = opened(here, DOOR)
    ehr.side.tokens.good["t"] = time.monotonic() + 60
    ehr.due = [fault]
    answer, is_half = ehr.answer(Asked("GET", "ServiceRequest"))
    assert is_half is (fault is Fault.FHIR_CUT)
    assert answer.status == {Fault.FHIR_BUSY: 503, Fault.FHIR_MANY: 429}.get(fault, 200)
    assert ("Retry-After" in answer.headers) is (answer.status != 200)
    assert ("t" in ehr.side.tokens.good) is (fault is not Fault.FHIR_EXPIRED)
    if fault is Fault.FHIR_PAGE:
        assert answer.headers["Content-Type"] == "text/html"
    elif answer.status == 200:
        page = told(answer)
        assert len(page["entry"]) == (2 if fault is Fault.FHIR_TWICE else 1)
        assert (page["link"][0]["url"] == fhir_server.ELSEWHERE) is (fault is Fault.FHIR_ELSEWHERE)
    (done,) = read(here.folder)
    assert (done.fault, done.about) == (
        fault,
        {"link": "PRACTICES", "method": "GET", "type": "ServiceRequest"},
    )


def test_a_page_goes_wrong_only_where_there_is_one(here: Department) -> None:
    ehr = opened(here, DOOR)
    ehr.due = [Fault.FHIR_TWICE, Fault.FHIR_BUSY]
    assert ehr.answer(Asked("GET", "Patient/7"))[0].status == 503
    assert ehr.due == [Fault.FHIR_TWICE]
    assert ehr.answer(Asked("GET", "Patient/7"))[0].status == 404


def test_answers_go_wrong_by_seed_and_never_at_first(
    here: Department, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, count = Asked("GET", "Patient"), ANSWERS_ONE_IN * len(TO_FHIR)
    ehr = FhirServer(here, "PRACTICES", FhirSide(Store(here.folder / "x.sqlite"), BASE))
    assert {ehr.next_fault(asked) for _ in range(count)} == {None}
    monkeypatch.setattr(fhir_server, "CALM_SECONDS", 0.0)
    happened = [fault for _ in range(count) if (fault := ehr.next_fault(asked))]
    assert sorted(happened) == sorted(TO_FHIR)


def test_of_the_outpatients_some_are_ordered_by_fhir_and_none_both_ways(
    here: Department, practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    ehr, sent = Ehr(here, Random(3), Sender(here.mllp), practice=practice), list[list[str]]()
    monkeypatch.setattr(ehr, "send", sent.append)
    for _ in range(20):
        ehr.outpatient(5, 60)
    by_hl7 = [
        segment.split("|")[2].partition("^")[0]
        for segments in sent
        for segment in segments
        if segment.startswith("ORC")
    ]
    by_fhir = [one["id"] for one in practice.store.all("ServiceRequest")]
    assert 0 < len(by_fhir) < 20
    assert len({*by_hl7, *by_fhir}) == len(by_hl7) + len(by_fhir) == 20


def test_the_parties_are_told_of_the_doors_and_of_none_beyond_this_machine(tmp_path: Path) -> None:
    door = {"name": "PRACTICES", "base": BASE, "public_key": {"kty": "EC"}, "word": "w"}
    rest = {
        "plan": to_json(read_toml(HOSPITAL)),
        "mllp": "127.0.0.1:1",
        "dicom": "127.0.0.1:2",
        "http": "127.0.0.1:3",
        "seed": 1,
    }
    path = tmp_path / "parties.json"
    path.write_text(json.dumps(rest | {"doors": [door]}))
    assert read_department(tmp_path).doors == (FhirDoor("PRACTICES", BASE, {"kty": "EC"}, "w"),)
    path.write_text(json.dumps(rest | {"doors": [door | {"base": "http://192.0.2.1:80/R4"}]}))
    with pytest.raises(NotLoopback):
        read_department(tmp_path)
