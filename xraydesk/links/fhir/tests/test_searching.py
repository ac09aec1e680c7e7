"""Searching as FHIR R4 §3.1.1 has it: pages, order, what is put beside, what is left out, and what is refused."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.capabilitystatement import CapabilityStatement

from tests.factories import AT, make_booking, make_exam, make_patient, make_site
from xraydesk.access.models import Site, User
from xraydesk.access.roles import Role
from xraydesk.journey.triage import hold_exam
from xraydesk.links.fhir.kinds import KINDS
from xraydesk.links.fhir.tests.test_fhir import BASE, begin, caller, get, make_image, make_report
from xraydesk.orders.models import Exam
from xraydesk.results.models import Finding
from xraydesk.results.states import FindingSource, FindingState
from xraydesk.rooms.models import Room
from xraydesk.transport.models import TransportJob
from xraydesk.transport.states import JobKind

pytestmark = pytest.mark.django_db


def whole_day(site: Site) -> Exam:
    """One exam with something of every type."""
    exam = make_exam(site, patient=make_patient(site, number="MRN77"), priority="stat", requested_at=AT)
    make_booking(exam)
    make_image(exam, 1)
    begin(exam)
    report = make_report(exam)
    Finding.objects.create(
        site=site,
        exam=exam,
        report=report,
        key="flag",
        source=FindingSource.FLAG,
        category=1,
        words="Pneumothorax.",
        state=FindingState.OPEN,
        found_at=AT,
        opened_at=AT,
        due_at=AT,
        people=[{"role": "provider", "name": "Dr Okafor"}],
    )
    TransportJob.objects.create(
        site=site,
        exam=exam,
        patient=exam.patient,
        kind=JobKind.FETCH,
        from_place="W3",
        to_place="XR1",
        due_at=AT,
        asked_at=AT,
    )
    return exam


def asked_with(kind: str, sign: str = "?") -> str:
    """What a type cannot be searched without."""
    return f"{sign}service-type=XRCHEST2" if kind == "Slot" else ""


def total(client: Client, path: str) -> int:
    status, found = get(client, path)
    assert status == 200, found
    Bundle.model_validate(found)
    assert found["total"] == len([e for e in found.get("entry", ()) if e["search"]["mode"] == "match"])
    return int(found["total"])


def test_every_type_that_is_served_can_be_searched_and_read() -> None:
    site = make_site()
    whole_day(site)
    client = caller(site)
    for kind in KINDS:
        status, found = get(client, kind + asked_with(kind))
        assert status == 200
        Bundle.model_validate(found)
        if kind in ("Coverage", "Subscription", "ConceptMap"):
            continue
        one = found["entry"][0]["resource"]
        status, again = get(client, f"{kind}/{one['id']}")
        assert (status, again) == (200, one), kind
        assert get(client, f"{kind}/{one['id']}/_history/{one['meta']['versionId']}")[0] == 200
        assert get(client, f"{kind}/{one['id']}/_history/other")[0] == 404


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_of_the_statement_is_answered_and_nothing_of_another_site(kind: str) -> None:
    site, other = make_site(), make_site("OTHER")
    whole_day(other)
    client = caller(site)
    _, statement = get(client, "metadata")
    CapabilityStatement.model_validate(statement)
    [served] = [r for r in statement["rest"][0]["resource"] if r["type"] == kind]
    values = {
        "date": "ge2020",
        "token": "active",
        "reference": "Patient/1",
        "string": "a",
        "uri": "https://a",
    }
    for parameter in served["searchParam"]:
        value = "true" if parameter["name"] in ("active", "deceased") else values[parameter["type"]]
        asked = f"{kind}?{parameter['name']}={value}{asked_with(kind, '&')}"
        assert get(client, asked)[0] == 200, parameter
    rooms = {"Location": 2, "Schedule": 2, "Practitioner": 2, "Slot": 50}
    assert total(client, kind + asked_with(kind)) == rooms.get(kind, 0)


@pytest.mark.parametrize(
    ("search", "count"),
    [
        ("Patient?name=ada", 1),
        ("Patient?name=pru", 1),
        ("Patient?family=PRÜF", 1),
        ("Patient?family=ada", 0),
        ("Patient?given=ad", 1),
        ("Patient?birthdate=1969-05-12", 1),
        ("Patient?birthdate=1969-05", 1),
        ("Patient?birthdate=lt1969", 0),
        ("Patient?gender=female", 1),
        ("Patient?gender:not=female", 0),
        ("Patient?active=true", 1),
        ("Patient?_lastUpdated=ge2020-01-01", 1),
        ("Patient?_lastUpdated=lt2020-01-01", 0),
        ("Patient?given=marí", 0),
        ("Patient?given:exact=Ada", 1),
        ("Patient?given:exact=ada", 0),
        ("Patient?name:contains=rüf", 1),
        ("Patient?family:contains=RÜF", 1),
        ("Patient?family:exact=Pr", 0),
        ("Patient?birthdate:missing=false", 1),
        ("Patient?phone:missing=true", 1),
        ("Patient?gender=http://hl7.org/fhir/administrative-gender|female", 1),
        ("Patient?gender=urn:other|female", 0),
        ("Patient?identifier=urn:xraydesk:issuer:HOSP|", 1),
        ("Patient?identifier=|MRN77", 0),
        ("Patient?identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|MR|MRN77", 1),
        ("Patient?identifier:of-type=|MR|MRN77", 1),
        ("Patient?identifier:of-type=|SS|MRN77", 0),
        ("Patient?identifier:of-type=urn:other|MR|MRN77", 0),
        ("ServiceRequest?identifier:of-type=|ACSN|{accession}", 1),
        ("ServiceRequest?identifier:of-type=|PLAC|{accession}", 0),
        ("ServiceRequest?identifier:of-type=|MR|{accession}", 0),
        ("ServiceRequest?patient.identifier:of-type=|MR|MRN77", 1),
        ("Appointment?identifier:of-type=|ACSN|{accession}", 1),
        ("Appointment?patient.identifier:of-type=|MR|MRN77", 1),
        ("ServiceRequest?status=http://hl7.org/fhir/request-status|completed", 1),
        ("ServiceRequest?status=urn:other|completed", 0),
        ("ServiceRequest?code=urn:xraydesk:codes:L|XRCHEST2", 1),
        ("ServiceRequest?code=urn:xraydesk:codes:L|", 1),
        ("ServiceRequest?code=http://loinc.org|XRCHEST2", 0),
        ("ServiceRequest?code=|XRCHEST2", 0),
        ("ServiceRequest?identifier=|{accession}", 1),
        ("ServiceRequest?occurrence:missing=true", 0),
        ("ServiceRequest?patient.birthdate=1969-05-12", 1),
        ("ServiceRequest?patient.birthdate=1969-05-13", 0),
        ("ServiceRequest?subject:Patient.family:exact=Prüfer", 1),
        ("ServiceRequest?subject:identifier=MRN77", 1),
        ("ServiceRequest?patient=http://testserver/fhir/R4/Patient/{patient}", 1),
        ("ServiceRequest?patient=https://ehr.example/R4/Patient/{patient}", 0),
        ("Appointment?based-on.identifier={accession}", 1),
        ("Appointment?actor:Location.name=room", 1),
        ("Appointment?actor.name=ada", 1),
        ("Appointment?practitioner:missing=true", 0),
        ("DiagnosticReport?based-on.code=XRCHEST2", 1),
        ("ImagingStudy?modality=http://dicom.nema.org/resources/ontology/DCM|DX", 1),
        ("Task?patient.name=ada", 2),
        ("ServiceRequest?status=completed", 1),
        ("ServiceRequest?status=active,on-hold,revoked", 0),
        ("ServiceRequest?intent=order&priority=stat", 1),
        ("ServiceRequest?intent=plan", 0),
        ("ServiceRequest?occurrence=2026-03-02", 1),
        ("ServiceRequest?occurrence=ne2026-03-02", 0),
        ("ServiceRequest?authored=2026-03", 1),
        ("ServiceRequest?authored=sa2026-03-02", 0),
        ("ServiceRequest?patient.identifier=MRN77", 1),
        ("ServiceRequest?patient:identifier=urn:xraydesk:issuer:HOSP|MRN77", 1),
        ("ServiceRequest?subject:Patient={patient}", 1),
        ("ServiceRequest?code=XRCHEST2", 1),
        ("ServiceRequest?_lastUpdated=gt2099", 0),
        ("Appointment?date=2026-03-02T15:00:00Z&status=booked", 1),
        ("Appointment?date=2026-03-02T15:01Z", 0),
        ("Appointment?status=arrived,pending", 0),
        ("Appointment?actor=Patient/{patient}", 1),
        ("Appointment?actor=Location/{room}", 1),
        ("Appointment?actor=Practitioner/0", 0),
        ("Appointment?actor=Group/1", 0),
        ("Appointment?location={room}&based-on=ServiceRequest/{exam}", 1),
        ("ImagingStudy?started=2026-03-02&modality=DX", 1),
        ("ImagingStudy?started=gt2026-03-02", 0),
        ("ImagingStudy?modality=CT", 0),
        ("DiagnosticReport?subject=Patient/{patient}&code=XRCHEST2", 1),
        ("Communication?status=in-progress&patient={patient}", 1),
        ("Task?code=transport&status=requested", 1),
        ("Task?code=triage&status=completed", 1),
        ("Task?patient={patient}", 2),
        ("Task?focus=ServiceRequest/{exam}&authored-on=2026-03-02", 2),
        ("Location?status=active", 2),
        ("Location?identifier=XR1", 1),
        ("Practitioner?active=true&identifier=T1", 1),
        ("Schedule?actor=Location/{room}", 1),
    ],
)
def test_searches_that_an_ehr_makes(search: str, count: int) -> None:
    site = make_site()
    exam = whole_day(site)
    room = Room.objects.get(site=site, code="XR1")
    path = search.format(patient=exam.patient_id, exam=exam.pk, room=room.pk, accession=exam.accession)
    assert total(caller(site), path) == count


def test_the_status_of_a_request_is_searched_as_it_is_told() -> None:
    site = make_site()
    make_exam(site)
    hold_exam(exam_id=make_exam(site).pk, at=AT, by="user:ada", why="wait")
    make_exam(site, triage="cancelled")
    begin(make_exam(site))
    client = caller(site)
    for status in ("active", "on-hold", "revoked", "completed"):
        _, found = get(client, f"ServiceRequest?status={status}")
        assert [e["resource"]["status"] for e in found["entry"]] == [status]


@pytest.mark.parametrize(
    "search",
    [
        "ServiceRequest?_sort=authored",
        "ServiceRequest?_sort=-authored",
        "ServiceRequest",
        "ServiceRequest?_sort=-_id",
        "ServiceRequest?_sort=authored,_id",
        "ServiceRequest?_sort=-authored,-_id",
        "ServiceRequest?_sort=_lastUpdated",
        "ServiceRequest?_sort=-_lastUpdated",
    ],
)
def test_pages_keep_their_order_while_rows_are_added(search: str) -> None:
    site = make_site()
    made = [make_exam(site, created_at=AT + timedelta(minutes=n // 2)) for n in range(5)]
    client = caller(site)
    _, page = get(client, f"{search}{'&' if '?' in search else '?'}_count=2")
    seen = [e["resource"]["id"] for e in page["entry"]]
    make_exam(site, created_at=AT - timedelta(days=1))
    while nexts := [link["url"] for link in page["link"] if link["relation"] == "next"]:
        page = client.get(nexts[0]).json()
        assert page["total"] == 5
        seen += [e["resource"]["id"] for e in page["entry"]]
    keys = [str(exam.pk) for exam in made]
    there = [key for key in seen if key in keys]
    assert there == (keys[::-1] if "=-" in search else keys)
    assert len(seen) == len(set(seen))


def test_a_second_sort_counts_where_the_first_is_alike() -> None:
    site = make_site()
    early, late = (make_exam(site, created_at=AT + timedelta(hours=n)) for n in range(2))
    same = make_exam(site, created_at=AT)
    client = caller(site)
    assert total(client, "Patient?_sort=name,-family") == 3
    seen: list[str] = []
    _, page = get(client, "ServiceRequest?_sort=-authored,_id&_count=1")
    seen += [e["resource"]["id"] for e in page["entry"]]
    while nexts := [link["url"] for link in page["link"] if link["relation"] == "next"]:
        page = client.get(nexts[0]).json()
        seen += [e["resource"]["id"] for e in page["entry"]]
    assert seen == [str(one.pk) for one in (late, early, same)]


def test_pages_of_two_sorts_of_tasks_follow_each_other() -> None:
    site = make_site()
    whole_day(site)
    make_exam(site)
    client = caller(site)
    _, page = get(client, "Task?_count=1")
    seen = [e["resource"]["id"].partition(".")[0] for e in page["entry"]]
    while nexts := [link["url"] for link in page["link"] if link["relation"] == "next"]:
        page = client.get(nexts[0]).json()
        seen += [e["resource"]["id"].partition(".")[0] for e in page["entry"]]
    assert seen == ["transport", "triage", "triage"]


def test_no_number_of_a_patient_stands_in_an_address_that_the_desk_makes() -> None:
    """Row 55 of the faults: a search by form, and each further page, has none in its addresses."""
    site = make_site()
    patient = make_patient(site, number="MRN77")
    for _ in range(3):
        make_exam(site, patient=patient)
    client = caller(site)
    response = client.generic(
        "POST",
        BASE + "ServiceRequest/_search",
        "patient.identifier=MRN77&_count=2",
        content_type="application/x-www-form-urlencoded",
    )
    found = response.json()
    assert (found["total"], len(found["entry"])) == (3, 2)
    links = {link["relation"]: link["url"] for link in found["link"]}
    assert not any("MRN77" in url for url in links.values())
    assert client.get(links["self"]).json()["total"] == 3
    assert len(client.get(links["next"]).json()["entry"]) == 1
    stranger = caller(make_site("OTHER"), name="other")
    assert stranger.get(links["next"]).status_code == 400
    assert (
        client.post(BASE + "ServiceRequest/_search", b"{}", content_type="application/json").status_code
        == 415
    )


def test_what_is_referred_to_is_put_beside() -> None:
    site = make_site()
    exam = whole_day(site)
    client = caller(site)
    _, found = get(client, "Appointment?_include=Appointment:actor&_include=Appointment:patient")
    modes = [(e["resource"]["resourceType"], e["search"]["mode"]) for e in found["entry"]]
    assert modes == [
        ("Appointment", "match"),
        ("Patient", "include"),
        ("Location", "include"),
        ("Practitioner", "include"),
    ]
    assert found["total"] == 1
    path = f"ServiceRequest?_id={exam.pk}&_revinclude=DiagnosticReport:based-on&_revinclude=Task:focus&_include=*"
    assert get(client, path)[0] == 400
    _, found = get(client, path.removesuffix("&_include=*") + "&_include=ServiceRequest:*")
    assert sorted(e["resource"]["resourceType"] for e in found["entry"][1:]) == [
        "DiagnosticReport",
        "Patient",
        "Task",
        "Task",
    ]


def test_summaries_and_elements_are_marked() -> None:
    site = make_site()
    whole_day(site)
    client = caller(site)
    for search, there, gone in (
        ("_summary=true", "birthDate", "maritalStatus"),
        ("_elements=gender", "gender", "birthDate"),
        ("_summary=text", "id", "gender"),
        ("_summary=data", "gender", "text"),
    ):
        _, found = get(client, f"Patient?{search}")
        one = found["entry"][0]["resource"]
        assert there in one
        assert gone not in one
        assert one["meta"]["tag"][0]["code"] == "SUBSETTED"
        Bundle.model_validate(found)
    _, counted = get(client, "Patient?_summary=count")
    assert (counted["total"], "entry" in counted) == (1, False)
    assert "total" not in get(client, "Patient?_total=none")[1]


@pytest.mark.parametrize(
    "search",
    [
        "Patient?shoe=9",
        "Patient?birthdate:exact=1969",
        "Patient?_sort=shoe",
        "Patient?_sort=name,shoe",
        "Patient?_sort=name,_id,family,name",
        "Patient?birthdate:missing=perhaps",
        "ServiceRequest?patient.shoe=9",
        "ServiceRequest?patient:Group.name=ada",
        "ServiceRequest?patient.general-practitioner.name=ada",
        "Slot?schedule.actor=Location/1",
        "Patient?_sort=name;drop",
        "Patient?_include=Patient:shoe",
        "Patient?_include=Nothing:patient",
        "Patient?_revinclude=Location:name",
        "Patient?_revinclude=Schedule:actor",
        "Patient?_summary=much",
        "Patient?_total=roughly",
        "Patient?active=perhaps",
        "Patient?birthdate=1969-13",
        "Patient?_lastUpdated=2026-03-02T10:00",
        "Patient?identifier=" + "9" * 300,
        "Patient?_page=none",
        "Patient?" + "&".join(f"name=a{n}" for n in range(60)),
        "Patient?_id=" + ",".join(str(n) for n in range(120)),
    ],
)
def test_what_is_not_on_the_list_is_refused(search: str) -> None:
    """Row 58 of the faults: names of fields, filters and orders come from a list."""
    status, told = get(caller(make_site()), search)
    assert status == 400
    assert told["issue"][0]["severity"] == "error"


def test_who_is_lenient_is_told_what_was_left_out() -> None:
    site = make_site()
    make_patient(site)
    response = caller(site).get(BASE + "Patient?shoe=9&gender=female", headers={"Prefer": "handling=lenient"})
    found = response.json()
    assert (response.status_code, found["total"]) == (200, 1)
    assert [e["search"]["mode"] for e in found["entry"]] == ["match", "outcome"]
    assert "shoe" not in found["link"][0]["url"]
    Bundle.model_validate(found)


def test_one_resource_is_read_in_part_and_a_part_is_not_written_back() -> None:
    site = make_site()
    patient = make_patient(site)
    client = caller(site)
    where = f"Patient/{patient.pk}"
    whole = client.get(BASE + where)
    part = client.get(BASE + f"{where}?_elements=gender")
    assert (part.status_code, part["ETag"]) == (200, whole["ETag"])
    assert set(part.json()) <= {"resourceType", "id", "meta", "gender"}
    assert get(client, f"{where}?_summary=count")[0] == 400
    refused = client.put(BASE + where, part.json(), content_type="application/fhir+json")
    assert (refused.status_code, refused.json()["issue"][0]["expression"]) == (422, ["Patient.meta.tag"])
    assert get(client, where) == (200, whole.json())


def test_what_was_not_changed_is_not_sent_again() -> None:
    site = make_site()
    patient = make_patient(site)
    client = caller(site)
    first = client.get(BASE + f"Patient/{patient.pk}")
    again = client.get(BASE + f"Patient/{patient.pk}", headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again["ETag"] == first["ETag"]
    assert first["Last-Modified"].endswith("GMT")


def test_other_forms_than_json_are_not_to_be_had() -> None:
    client = caller(make_site())
    for headers, path in (({"Accept": "application/fhir+xml"}, "Patient"), ({}, "Patient?_format=xml")):
        assert client.get(BASE + path, headers=headers).status_code == 406
    assert client.get(BASE + "Patient?_format=json").status_code == 200
    assert client.get(BASE + "metadata", headers={"Accept": "application/fhir+xml"}).status_code == 406


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_costs_the_same_number_of_queries_whatever_its_length(kind: str) -> None:
    site = make_site()
    whole_day(site)
    client = caller(site)
    path = f"{kind}?_count=20{asked_with(kind, '&')}"
    get(client, path)

    def queries() -> int:
        with CaptureQueriesContext(connection) as asked:
            assert get(client, path)[0] == 200
        return len(asked)

    few = queries()
    for number in range(5):
        exam = make_exam(site)
        make_booking(exam, start=AT + timedelta(hours=1, minutes=20 * number))
        make_image(exam, 100 + number)
        make_report(exam)
    assert queries() <= few
    assert few <= 25


def test_who_looked_at_whose_record_is_not_for_everybody() -> None:
    site = make_site()
    whole_day(site)
    assert get(caller(site, Role.COORDINATOR, "c"), "AuditEvent")[0] == 404
    assert get(caller(site, Role.ADMINISTRATOR, "a"), "AuditEvent")[0] == 200


def match(client: Client, **patient: Any) -> list[tuple[str, str]]:
    told = {
        "resourceType": "Parameters",
        "parameter": [{"name": "resource", "resource": {"resourceType": "Patient", **patient}}],
    }
    response = client.post(BASE + "Patient/$match", json.dumps(told), content_type="application/fhir+json")
    assert response.status_code == 200, response.content
    found = response.json()
    Bundle.model_validate(found)
    return [(e["resource"]["id"], e["search"]["extension"][0]["valueCode"]) for e in found.get("entry", ())]


def test_a_patient_is_matched_by_number_else_by_name_and_birth_date() -> None:
    site = make_site()
    ada = make_patient(site, number="MRN77")
    near = make_patient(
        site, number="N78", given="Adda", name_folded="prufer adda", birth_date=date(1970, 1, 1)
    )
    client = caller(site)
    assert match(client, identifier=[{"value": "MRN77"}]) == [(str(ada.pk), "certain")]
    named = {"name": [{"family": "Prufer", "given": ["ada"]}], "birthDate": "1969-05-12"}
    assert match(client, **named) == [(str(ada.pk), "probable")]
    adda = {"name": [{"family": "Prufer", "given": ["Addda"]}]}
    assert match(client, **adda) == [(str(near.pk), "possible")]
    assert match(client, gender="male") == []


def test_everything_of_a_patient() -> None:
    site = make_site()
    exam = whole_day(site)
    make_exam(site)
    client = caller(site)
    status, found = get(client, f"Patient/{exam.patient_id}/$everything")
    assert status == 200
    Bundle.model_validate(found)
    kinds = [e["resource"]["resourceType"] for e in found["entry"]]
    assert kinds[0] == "Patient"
    assert sorted(set(kinds)) == [
        "Appointment",
        "Communication",
        "DiagnosticReport",
        "ImagingStudy",
        "Patient",
        "ServiceRequest",
        "Task",
    ]
    _, some = get(client, f"Patient/{exam.patient_id}/$everything?_type=Task")
    assert {e["resource"]["resourceType"] for e in some["entry"]} == {"Patient", "Task"}
    assert get(client, "Patient/999999/$everything")[0] == 404
    assert get(client, f"Patient/{exam.patient_id}/$nothing")[0] == 404


def test_a_session_reads_and_writes_nothing(client: Client) -> None:
    site = make_site()
    user = User.objects.create(name="ada")
    membership = user.memberships.create(site=site, role=Role.COORDINATOR)
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    assert get(client, "Patient")[0] == 200
    body = json.dumps({"resourceType": "Patient"})
    response = client.post(BASE + "Patient", body, content_type="application/fhir+json")
    assert response.status_code == 403
    membership.locations.set(site.locations.all())
    assert get(client, "Patient")[0] == 404
