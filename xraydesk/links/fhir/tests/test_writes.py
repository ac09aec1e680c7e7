"""What an EHR writes: patients, orders and who pays, with conditions, in bundles, by many at once."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.operationoutcome import OperationOutcome

from tests.factories import make_exam, make_patient, make_site, plan_with
from xraydesk.access.models import RecordRead
from xraydesk.access.roles import Role
from xraydesk.facts.models import Fact
from xraydesk.journey.book import book_by_policy
from xraydesk.lib import clock
from xraydesk.links.fhir.tests.test_fhir import BASE, caller
from xraydesk.links.models import Message
from xraydesk.orders.models import Exam
from xraydesk.patients.models import Patient
from xraydesk.siteplan.jsonform import from_json, to_json
from xraydesk.siteplan.link_plan import IssuerPlan

pytestmark = pytest.mark.django_db
ADA = {
    "resourceType": "Patient",
    "identifier": [{"system": "urn:xraydesk:issuer:HOSP", "value": "N900"}],
    "name": [{"use": "official", "family": "Prüfer", "given": ["Ada", "Maria"]}],
    "gender": "female",
    "birthDate": "1969-05-12",
    "maritalStatus": {"text": "Married"},
    "telecom": [{"system": "phone", "value": "555-1", "use": "home"}, {"system": "email", "value": "a@b.c"}],
}


def send(client: Client, method: str, path: str, resource: Any, **headers: str) -> tuple[int, Any, Any]:
    body = resource if isinstance(resource, bytes) else json.dumps(resource).encode()
    response = client.generic(
        method,
        BASE + path,
        body,
        content_type="application/fhir+json",
        headers={k.replace("_", "-"): v for k, v in headers.items()},
    )
    return response.status_code, response.json() if response.content else None, response


def order_of(patient: Any, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "order",
        "code": {"coding": [{"code": "XRCHEST2"}]},
        "subject": {"reference": f"Patient/{patient}"},
        **more,
    }


def without(resource: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in resource.items() if name not in names}


def test_numbers_come_back_with_the_digits_that_they_were_sent_with() -> None:
    site = make_site()
    client = caller(site)
    weight = b'{"url": "urn:weight", "valueQuantity": {"value": 72.50, "unit": "kg"}}'
    sent = (
        json.dumps(ADA | {"extension": []})
        .encode()
        .replace(b'"extension": []', b'"extension": [%s]' % weight)
    )
    status, told, made = send(client, "POST", "Patient", sent)
    assert status == 201
    read = client.get(BASE + f"Patient/{told['id']}")
    bundle = client.get(BASE + f"Patient?_id={told['id']}")
    assert all(b'"value": 72.50' in answer.content for answer in (made, read, bundle))
    assert read["ETag"] == made["ETag"]
    payer = json.dumps(
        {
            "resourceType": "Coverage",
            "status": "active",
            "beneficiary": {"reference": f"Patient/{told['id']}"},
            "payor": [{"display": "Payer"}],
            "costToBeneficiary": [{"valueMoney": {"value": "20.00", "currency": "USD"}}],
        }
    ).replace('"20.00"', "20.00")
    status, told, _ = send(client, "POST", "Coverage", payer.encode())
    assert status == 201
    assert b'"value": 20.00' in client.get(BASE + f"Coverage/{told['id']}").content


def test_a_patient_of_another_server_is_nobody_here_though_the_id_is_the_same() -> None:
    site = make_site()
    client = caller(site)
    patient = make_patient(site).pk
    elsewhere = {"subject": {"reference": f"https://ehr.example/R4/Patient/{patient}"}}
    status, told, _ = send(client, "POST", "ServiceRequest", order_of(patient) | elsewhere)
    assert (status, told["issue"][0]["expression"]) == (422, ["ServiceRequest.subject"])
    here = {"subject": {"reference": f"http://testserver/fhir/R4/Patient/{patient}"}}
    status, told, _ = send(client, "POST", "ServiceRequest", order_of(patient) | here)
    assert status == 201
    _, found, _ = send(client, "GET", f"ServiceRequest?_id={told['id']}&_include=ServiceRequest:patient", b"")
    assert [e["resource"]["resourceType"] for e in found["entry"]] == ["ServiceRequest", "Patient"]


@pytest.mark.parametrize("form", ['W/"{}"', '"{}"', 'W/"older", W/"{}"', "*"])
def test_a_version_is_named_in_any_form_of_http(form: str) -> None:
    client = caller(make_site())
    _, made, _ = send(client, "POST", "Patient", ADA)
    named = form.format(made["meta"]["versionId"])
    assert client.get(BASE + f"Patient/{made['id']}", headers={"If-None-Match": named}).status_code == 304
    assert send(client, "PUT", f"Patient/{made['id']}", ADA, If_None_Match=named)[0] == 412
    assert send(client, "PUT", f"Patient/{made['id']}", ADA, If_None_Match='"other"')[0] == 200
    assert send(client, "PUT", f"Patient/{made['id']}", ADA, If_Match=named)[0] == 200


def test_a_bundle_is_taken_at_the_base_with_or_without_a_stroke() -> None:
    client = caller(make_site())
    client.handler.enforce_csrf_checks = True  # as it is outside of tests
    bundle = json.dumps({"resourceType": "Bundle", "type": "batch", "entry": []})
    for address in ("/fhir/R4", "/fhir/R4/"):
        assert client.post(address, bundle, content_type="application/fhir+json").status_code == 200


def test_who_looks_at_the_base_is_led_to_what_is_served() -> None:
    anybody = Client()
    told = anybody.get("/fhir/R4/", follow=True)
    assert (told.redirect_chain, told.json()["resourceType"]) == (
        [("/fhir/R4/metadata", 302)],
        "CapabilityStatement",
    )
    searched = anybody.get("/fhir/R4/?_type=Patient,Coverage")
    assert (searched.status_code, searched.json()["resourceType"]) == (400, "OperationOutcome")
    assert anybody.put("/fhir/R4/").status_code == 401
    assert caller(make_site()).put("/fhir/R4/").status_code == 405


def test_a_patient_comes_back_as_it_was_sent_until_somebody_changes_it() -> None:
    site = make_site()
    client = caller(site)
    status, made, response = send(client, "POST", "Patient", ADA)
    assert status == 201
    version = made["meta"]["versionId"]
    assert response["ETag"] == f'W/"{version}"'
    assert response["Location"].endswith(f"/fhir/R4/Patient/{made['id']}/_history/{version}")
    assert without(made, "id", "meta") == ADA
    Patient.objects.filter(pk=made["id"]).update(family="Other", name_folded="other ada maria")
    changed = client.get(BASE + f"Patient/{made['id']}").json()
    assert changed["name"] == [{"family": "Other", "given": ["Ada", "Maria"]}]
    assert changed["maritalStatus"] == {"text": "Married"}
    assert changed["meta"]["versionId"] != version


def test_a_number_that_is_known_is_that_patient_and_no_second_one() -> None:
    site = make_site()
    known = make_patient(site, number="N900")
    status, told, _ = send(caller(site), "POST", "Patient", ADA | {"address": [{"text": "Elm 1"}]})
    assert (status, told["id"]) == (200, str(known.pk))
    assert Patient.objects.count() == 1
    known.refresh_from_db()
    assert (known.middle, known.address) == ("Maria", "Elm 1")


def test_a_patient_without_a_number_is_given_one() -> None:
    status, told, _ = send(caller(make_site()), "POST", "Patient", without(ADA, "identifier"))
    assert status == 201
    [number] = told["identifier"]
    assert number["system"] == "urn:xraydesk:issuer:DESK"


def test_numbers_of_two_patients_are_a_conflict_that_names_the_element() -> None:
    site = make_site()
    make_patient(site, number="N900")
    make_patient(site, number="N901")
    both = [{"system": "HOSP", "value": value} for value in ("N900", "N901")]
    status, told, _ = send(caller(site), "POST", "Patient", ADA | {"identifier": both})
    assert status == 409
    assert told["issue"][0]["expression"] == ["Patient.identifier"]


@pytest.mark.django_db(transaction=True)
def test_sixteen_conditional_creates_at_once_make_one_patient() -> None:
    """Row 21 of the faults: one 201, the rest 200."""
    site = make_site()
    caller(site)

    def create(_: int) -> tuple[int, str]:
        try:
            client = Client(headers={"Authorization": "Bearer ehr"})
            condition = "identifier=urn:xraydesk:issuer:HOSP|N900"
            status, told, _ = send(client, "POST", "Patient", ADA, If_None_Exist=condition)
            return status, told["id"]
        finally:
            connection.close()

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(create, range(16)))
    assert sorted(status for status, _ in answers) == [200] * 15 + [201]
    assert len({key for _, key in answers}) == 1
    assert Patient.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_first_messages_for_one_new_patient_at_once_make_one_row() -> None:
    """Row 20 of the faults, by FHIR and without any condition."""
    site = make_site()
    caller(site)

    def create(_: int) -> int:
        try:
            return send(Client(headers={"Authorization": "Bearer ehr"}), "POST", "Patient", ADA)[0]
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(create, range(8))) == [200] * 7 + [201]
    assert Patient.objects.count() == 1


def test_a_condition_that_fits_several_is_refused() -> None:
    site = make_site()
    make_patient(site)
    make_patient(site)
    status, told, _ = send(caller(site), "POST", "Patient", ADA, If_None_Exist="family=prufer")
    assert (status, told["issue"][0]["code"]) == (412, "multiple-matches")


def test_an_update_needs_the_version_that_it_names() -> None:
    site = make_site()
    client = caller(site)
    _, made, first = send(client, "POST", "Patient", ADA)
    path = f"Patient/{made['id']}"
    status, changed, _ = send(client, "PUT", path, ADA | {"gender": "other"}, If_Match=first["ETag"])
    assert (status, changed["gender"]) == (200, "other")
    status, told, _ = send(client, "PUT", path, ADA, If_Match=first["ETag"])
    assert status == 412
    OperationOutcome.model_validate(told)
    assert client.get(BASE + path).json()["gender"] == "other"
    assert send(client, "PUT", "Patient/999999", ADA)[0] == 405
    assert send(client, "PUT", path, ADA | {"id": "other"})[0] == 400


def test_an_update_by_condition_makes_one_or_changes_the_one_there_is() -> None:
    client = caller(make_site())
    path = "Patient?identifier=urn:xraydesk:issuer:HOSP|N900"
    assert send(client, "PUT", path, ADA)[0] == 201
    assert send(client, "PUT", path, ADA | {"gender": "other"})[0] == 200
    assert Patient.objects.get().sex == "O"


def test_an_order_is_decided_upon_at_once_and_waits_for_its_booking() -> None:
    site = make_site()
    patient = make_patient(site)
    asked = order_of(
        patient.pk,
        identifier=[{"system": "http://ehr.example/orders", "value": "P77"}],
        priority="asap",
        occurrenceDateTime="2026-03-05T09:30:00-05:00",
        requester={"reference": "Practitioner/ehr-7", "display": "Dr Okafor"},
        reasonCode=[{"text": "cough"}],
        note=[{"text": "in a wheelchair"}],
    )
    client = caller(site)
    status, told, _ = send(client, "POST", "ServiceRequest", asked)
    assert status == 201
    exam = Exam.objects.select_related("order").get()
    assert (exam.triage, exam.priority, exam.reason) == ("accepted", "urgent", "cough")
    assert (exam.order.placer, exam.order.placer_authority) == ("P77", "http://ehr.example/orders")
    assert exam.requested_at is not None
    assert without(told, "id", "meta", "identifier") == without(asked, "identifier")
    assert told["identifier"][0] == asked["identifier"][0]
    assert book_by_policy(exam_id=exam.pk, at=clock.now()) is None
    exam.refresh_from_db()
    assert "Waits for its booking" in exam.booking_blocked
    for search in (
        "requester=Practitioner/ehr-7",
        "requester:identifier=ehr-7",
        "identifier=P77",
        "priority=asap",
    ):
        assert client.get(BASE + f"ServiceRequest?{search}").json()["total"] == 1, search
    again, same, _ = send(client, "POST", "ServiceRequest", asked)
    assert (again, same["id"]) == (200, told["id"])
    assert Exam.objects.count() == 1


def test_an_order_without_a_number_is_given_one() -> None:
    site = make_site()
    status, told, _ = send(caller(site), "POST", "ServiceRequest", order_of(make_patient(site).pk))
    assert status == 201
    assert told["identifier"][0]["value"].startswith("W")


def test_an_order_is_changed_held_released_and_cancelled() -> None:
    site = make_site()
    client = caller(site)
    asked = order_of(make_patient(site).pk)
    _, told, _ = send(client, "POST", "ServiceRequest", asked)
    path = f"ServiceRequest/{told['id']}"
    for change, field, value in (
        ({"priority": "stat"}, "priority", "stat"),
        ({"status": "on-hold"}, "triage", "held"),
        ({"status": "active"}, "triage", "accepted"),
        ({"status": "revoked"}, "triage", "cancelled"),
        ({"status": "revoked"}, "triage", "cancelled"),
    ):
        asked |= change
        status, now, _ = send(client, "PUT", path, asked)
        assert status == 200, now
        assert getattr(Exam.objects.get(), field) == value
        assert now["status"] == asked["status"]
    status, told, _ = send(client, "PUT", path, asked | {"status": "active", "priority": "routine"})
    assert (status, told["issue"][0]["expression"]) == (409, ["ServiceRequest.status"])


@pytest.mark.parametrize(
    ("change", "path", "status"),
    [
        (
            {"code": {"coding": [{"system": "http://snomed.info/sct", "code": "73761001"}]}},
            "ServiceRequest.code",
            422,
        ),
        ({"subject": {"reference": "Patient/example"}}, "ServiceRequest.subject", 422),
        ({"intent": "plan"}, "ServiceRequest.intent", 422),
        ({"status": "draft"}, "ServiceRequest.status", 422),
        ({"status": "on-hold"}, "ServiceRequest.status", 422),
        ({"doNotPerform": True}, "ServiceRequest.doNotPerform", 422),
        ({"occurrenceTiming": {"repeat": {"count": 2}}}, "ServiceRequest.occurrenceTiming", 422),
        ({"occurrenceDateTime": "9999-12-31T23:59:59Z"}, "ServiceRequest.occurrence[x]", 422),
        ({"occurrencePeriod": {"start": "0001-01-01T00:00:00+14:00"}}, "ServiceRequest.occurrence[x]", 422),
        ({"identifier": [{"value": "1", "system": "urn:" + "x" * 300}]}, "ServiceRequest.identifier", 422),
        ({"priority": "soon"}, "ServiceRequest.priority", 400),
        ({"occurrenceDateTime": "2026-03-05T09:30:00"}, "ServiceRequest.occurrenceDateTime", 400),
        ({"reasonCode": [{"txt": "x"}]}, "ServiceRequest.reasonCode[0].txt", 400),
        ({"resourceType": "Patient"}, "ServiceRequest.resourceType", 400),
    ],
)
def test_what_cannot_be_taken_names_its_element(change: dict[str, Any], path: str, status: int) -> None:
    site = make_site()
    asked = order_of(make_patient(site).pk) | change
    client = caller(site)
    answered, told, _ = send(client, "POST", "ServiceRequest", asked)
    assert answered == status
    OperationOutcome.model_validate(told)
    assert told["issue"][0]["expression"] == [path]
    assert not Exam.objects.exists()
    status, told, _ = send(client, "POST", "ServiceRequest/$validate", asked)
    assert (status, told["issue"][0]["expression"]) == (200, [path])


def test_validating_writes_nothing() -> None:
    site = make_site()
    client = caller(site)
    told = {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": ADA}]}
    status, outcome, _ = send(client, "POST", "Patient/$validate", told)
    assert (status, outcome["issue"][0]["severity"]) == (200, "information")
    assert not Patient.objects.exists()
    assert not Fact.objects.exists()


def test_validating_in_the_place_of_one_that_is_here() -> None:
    site = make_site()
    client = caller(site)
    _, made, _ = send(client, "POST", "Patient", ADA)
    where = f"Patient/{made['id']}/$validate"
    parameters = {"resourceType": "Parameters", "parameter": []}
    for method, sent in (
        ("GET", b""),
        ("POST", b""),
        ("POST", parameters),
        ("POST", made | {"gender": "male"}),
    ):
        status, told, _ = send(client, method, where, sent)
        assert (status, told["issue"][0]["severity"]) == (200, "information")
    _, told, _ = send(client, "POST", where, made | {"id": "999"})
    assert told["issue"][0]["expression"] == ["Patient.id"]
    profile = [{"name": "resource", "resource": ADA}, {"name": "profile", "valueUri": "http://x"}]
    _, told, _ = send(client, "POST", "Patient/$validate", parameters | {"parameter": profile})
    assert told["issue"][0]["code"] == "not-supported"
    assert send(client, "GET", "Patient/999999/$validate", b"")[0] == 404
    assert send(client, "GET", "Appointment/1/$validate", b"")[0] == 404
    assert client.get(BASE + f"Patient/{made['id']}").json() == made


def test_validating_an_order_uses_up_no_accession_number() -> None:
    site = make_site()
    client = caller(site)
    asked = order_of(make_patient(site).pk)
    assert send(client, "POST", "ServiceRequest", asked)[0] == 201
    for _ in range(3):
        status, outcome, _ = send(client, "POST", "ServiceRequest/$validate", asked)
        assert (status, outcome["issue"][0]["severity"]) == (200, "information")
    assert send(client, "POST", "ServiceRequest", order_of(make_patient(site).pk))[0] == 201
    first, second = Exam.objects.order_by("pk")
    assert second.pk == first.pk + 1
    assert int(second.accession.removeprefix("T")) == int(first.accession.removeprefix("T")) + 1


def test_who_pays_comes_back_as_it_was_sent() -> None:
    site = make_site()
    patient = make_patient(site)
    sent = {
        "resourceType": "Coverage",
        "identifier": [{"system": "http://payer.example", "value": "C1"}],
        "status": "active",
        "beneficiary": {"reference": f"Patient/{patient.pk}"},
        "payor": [{"display": "Payer"}],
        "period": {"start": "2026-01-01"},
        "class": [{"type": {"text": "plan"}, "value": "Gold"}],
    }
    client = caller(site)
    status, told, _ = send(client, "POST", "Coverage", sent)
    assert status == 201
    assert without(told, "id", "meta") == sent
    assert send(client, "POST", "Coverage", sent)[0] == 200
    status, told, _ = send(client, "PUT", f"Coverage/{told['id']}", sent | {"status": "cancelled"})
    assert (status, told["status"]) == (200, "cancelled")
    for search in (f"patient={patient.pk}", "identifier=C1", "status=cancelled"):
        assert client.get(BASE + f"Coverage?{search}").json()["total"] == 1, search


def bundle_of(*entries: dict[str, Any], kind: str = "transaction") -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def test_a_transaction_is_done_whole_whatever_its_order() -> None:
    site = make_site()
    order = order_of("none") | {"subject": {"reference": "urn:uuid:1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"}}
    asked = bundle_of(
        {"request": {"method": "GET", "url": "Patient?identifier=N900"}},
        {"resource": order, "request": {"method": "POST", "url": "ServiceRequest"}},
        {
            "fullUrl": "urn:uuid:1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed",
            "resource": ADA,
            "request": {"method": "POST", "url": "Patient", "ifNoneExist": "identifier=N900"},
        },
    )
    status, told, _ = send(caller(site), "POST", "", asked)
    assert status == 200, told
    Bundle.model_validate(told)
    assert [e["response"]["status"] for e in told["entry"]] == ["200 OK", "201 Created", "201 Created"]
    assert told["entry"][0]["resource"]["total"] == 1
    assert Exam.objects.get().patient.identifiers.get().value == "N900"


def test_a_transaction_with_one_wrong_entry_changes_nothing_and_says_which() -> None:
    site = make_site()
    asked = bundle_of(
        {"resource": ADA, "request": {"method": "POST", "url": "Patient"}},
        {
            "resource": order_of("none")
            | {"subject": {"reference": "Patient?identifier=N900"}, "code": {"text": "?"}},
            "request": {"method": "POST", "url": "ServiceRequest"},
        },
    )
    status, told, _ = send(caller(site), "POST", "", asked)
    assert (status, told["issue"][0]["expression"]) == (422, ["Bundle.entry[1].resource.code"])
    assert not Patient.objects.exists()


def test_a_batch_does_what_it_can() -> None:
    site = make_site()
    asked = bundle_of(
        {"resource": ADA, "request": {"method": "POST", "url": "Patient"}},
        {"resource": order_of("none"), "request": {"method": "POST", "url": "ServiceRequest"}},
        {"request": {"method": "DELETE", "url": "Patient/1"}},
        {"request": {"method": "GET", "url": "Patient?shoe-size=9"}},
        kind="batch",
    )
    status, told, _ = send(caller(site), "POST", "", asked)
    assert status == 200
    Bundle.model_validate(told)
    assert [e["response"]["status"][:3] for e in told["entry"]] == ["201", "422", "405", "400"]
    assert Patient.objects.count() == 1


def test_who_may_not_write_is_told_so_or_finds_nothing() -> None:
    site = make_site()
    status, told, _ = send(caller(site, Role.COORDINATOR), "POST", "Patient", ADA)
    assert (status, told["issue"][0]["code"]) == (403, "forbidden")
    assert send(Client(), "POST", "Patient", ADA)[0] == 401
    assert send(caller(site, Role.PORTER, "porter"), "POST", "Patient", ADA)[0] == 404
    assert not Patient.objects.exists()


def test_another_sites_patient_is_not_written() -> None:
    site, other = make_site(), make_site("OTHER")
    patient, exam = make_patient(other), make_exam(other)
    client = caller(site)
    assert send(client, "PUT", f"Patient/{patient.pk}", ADA)[0] == 405
    assert send(client, "PUT", f"ServiceRequest/{exam.pk}", order_of(patient.pk))[0] == 405
    assert send(client, "POST", "ServiceRequest", order_of(patient.pk))[0] == 422


def test_what_was_sent_is_kept_and_the_access_is_written_down() -> None:
    site = make_site()
    client = caller(site)
    _, made, _ = send(client, "POST", "Patient", ADA)
    send(client, "POST", "Patient", ADA | {"gender": "unsaid"})
    kept = Message.objects.order_by("id")
    assert [(m.type, m.state, m.link) for m in kept] == [
        ("POST Patient", "applied", "fhir:ehr"),
        ("POST Patient", "refused", "fhir:ehr"),
    ]
    assert json.loads(bytes(kept[0].raw)) == ADA
    log = client.get(BASE + f"AuditEvent?patient=Patient/{made['id']}").json()
    [entry] = log["entry"]
    assert entry["resource"]["action"] == "C"
    assert RecordRead.objects.get().what == "FHIR create Patient"


def test_bodies_that_are_none_are_refused() -> None:
    client = caller(make_site())
    for body in (
        b"{not json",
        b"[" * 100_000,
        b"\xff",
        b'{"resourceType":"Patient","name":[{"family":"\\u0000"}]}',
        b"[]",
    ):
        status, told, _ = send(client, "POST", "Patient", body)
        assert status == 400
        OperationOutcome.model_validate(told)
    response = client.post(BASE + "Patient", "x=1", content_type="text/plain")
    assert response.status_code == 415
    assert client.post(BASE + "Location", b"{}", content_type="application/fhir+json").status_code == 405
    assert client.delete(BASE + "Patient/1").status_code == 405


def test_one_patient_by_hl7_and_by_fhir_is_one_where_the_site_pairs_the_issuers() -> None:
    site = make_site()
    issuers = (IssuerPlan("HOSP", "http://hosp.example/mrn"), IssuerPlan("CITY", "urn:oid:1.2.3"))
    site.plan = to_json(replace(from_json(plan_with()), issuers=issuers))
    site.save()
    known = make_patient(site, number="N900")
    client = caller(site)
    numbers = [
        {"system": "http://hosp.example/mrn", "value": "N900"},
        {"system": "urn:oid:1.2.3", "value": "C1"},
    ]
    status, told, _ = send(client, "POST", "Patient", ADA | {"identifier": numbers})
    assert (status, told["id"], told["identifier"]) == (200, str(known.pk), numbers)
    assert [i.authority for i in known.identifiers.order_by("id")] == ["HOSP", "CITY"]
    for search in ("http://hosp.example/mrn|N900", "urn:oid:1.2.3|C1", "urn:xraydesk:issuer:HOSP|N900"):
        assert client.get(BASE + f"Patient?identifier={search}").json()["total"] == 1, search
    order = order_of("none") | {"subject": {"identifier": numbers[1]}}
    assert send(client, "POST", "ServiceRequest", order)[0] == 201
    assert Exam.objects.get().patient_id == known.pk
