"""What clients of others ask that none of ours would: nothing is guessed, nobody is taken for another, nothing breaks."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from tests.factories import load_demo_site, make_booking, make_exam, make_patient, make_site
from xraydesk.links.fhir.tests.test_fhir import BASE, caller, get
from xraydesk.links.fhir.tests.test_writes import ADA, bundle_of, order_of, send
from xraydesk.orders.models import Exam
from xraydesk.patients.models import Patient

pytestmark = pytest.mark.django_db


def posted(resource: dict[str, Any], full_url: str) -> dict[str, Any]:
    return {
        "fullUrl": full_url,
        "resource": resource,
        "request": {"method": "POST", "url": resource["resourceType"]},
    }


def test_a_patient_of_another_servers_bundle_is_never_ours_of_the_same_id() -> None:
    site = make_site()
    ours = make_patient(site)
    there = "http://other.example/R4"
    order = posted(order_of(ours.pk), f"{there}/ServiceRequest/1")
    client = caller(site)
    status, told, _ = send(client, "POST", "", bundle_of(order))
    assert (status, told["issue"][0]["expression"]) == (422, ["Bundle.entry[0].resource.subject"])
    status, told, _ = send(client, "POST", "", bundle_of(order, posted(ADA, f"{there}/Patient/{ours.pk}")))
    assert status == 200
    assert Exam.objects.get().patient != ours
    assert Exam.objects.get().patient == Patient.objects.get(identifiers__value="N900")


def test_two_entries_of_one_full_url_are_refused() -> None:
    site = make_site()
    status, told, _ = send(caller(site), "POST", "", bundle_of(posted(ADA, "urn:a"), posted(ADA, "urn:a")))
    assert (status, told["issue"][0]["expression"]) == (400, ["Bundle.entry[1].fullUrl"])


@pytest.mark.parametrize("condition", ["identifier=", "identifier=urn:xraydesk:issuer:HOSP|", "family=", "?"])
def test_a_condition_whose_number_was_left_out_means_nobody(condition: str) -> None:
    site = make_site()
    make_patient(site)
    client = caller(site)
    for method, path, header in (
        ("POST", "Patient", {"If_None_Exist": condition}),
        ("PUT", f"Patient?{condition.lstrip('?')}", {}),
    ):
        status, told, _ = send(client, method, path, ADA, **header)
        assert (status, told["issue"][0]["code"]) == (412, "required")
    order = order_of("x", subject={"reference": f"Patient?{condition.lstrip('?')}"})
    assert send(client, "POST", "", bundle_of(posted(order, "urn:o")))[0] == 412
    assert Patient.objects.count() == 1
    assert not Exam.objects.exists()


@pytest.mark.parametrize(
    "change",
    [{"modifierExtension": [{"url": "http://x", "valueBoolean": True}]}, {"implicitRules": "http://x"}],
)
def test_what_turns_the_meaning_of_an_order_is_not_passed_over(change: dict[str, Any]) -> None:
    site = make_site()
    patient = make_patient(site)
    status, told, _ = send(caller(site), "POST", "ServiceRequest", order_of(patient.pk, **change))
    assert (status, told["issue"][0]["expression"]) == (422, [f"ServiceRequest.{next(iter(change))}"])


def test_an_element_that_is_null_is_refused_and_breaks_nothing() -> None:
    status, told, _ = send(caller(make_site()), "POST", "Patient", ADA | {"name": None})
    assert (status, told["issue"][0]["expression"]) == (400, ["Patient.name"])


def test_an_order_that_was_cancelled_is_not_said_to_be_active_again() -> None:
    site = make_site()
    exam = make_exam(site)
    client = caller(site)
    order = order_of(exam.patient_id, id=str(exam.pk))
    assert (
        send(client, "PUT", f"ServiceRequest/{exam.pk}", order | {"status": "revoked"})[1]["status"]
        == "revoked"
    )
    for again in ("active", "on-hold"):
        status, told, _ = send(client, "PUT", f"ServiceRequest/{exam.pk}", order | {"status": again})
        assert (status, told["issue"][0]["expression"]) == (409, ["ServiceRequest.status"])


def test_an_id_with_a_nought_before_it_is_another_id() -> None:
    site = make_site()
    patient = make_patient(site)
    client = caller(site)
    assert get(client, f"Patient/{patient.pk}")[0] == 200
    assert get(client, f"Patient/0{patient.pk}")[0] == 404


def test_an_actor_of_no_type_is_asked_for_its_type() -> None:
    status, told = get(caller(make_site()), "Appointment?actor=1")
    assert (status, told["issue"][0]["diagnostics"]) == (400, "actor names the type too, as Patient/1.")


@pytest.mark.parametrize(
    "search", ["Appointment?_include=Appointment:slot", "Slot?service-type=XRCHEST2&start=lt2020-01-01"]
)
def test_places_of_the_past_are_free_no_more_and_break_nothing(search: str) -> None:
    site = make_site()
    make_booking(make_exam(site))
    status, told = get(caller(site), search)
    assert status == 200
    slots = [
        e["resource"]["status"] for e in told.get("entry", ()) if e["resource"]["resourceType"] == "Slot"
    ]
    assert slots in ([], ["busy"])


def test_fhirpy_counts() -> None:
    site = make_site()
    make_patient(site)
    assert get(caller(site), "Patient?_count=0&_totalMethod=count")[1]["total"] == 1


def test_a_time_to_the_nanosecond_is_read() -> None:
    assert get(caller(make_site()), "Patient?_lastUpdated=ge2026-11-28T00:00:00.123456789Z")[0] == 200


def types_beside(told: dict[str, Any]) -> list[str]:
    return sorted(e["resource"]["resourceType"] for e in told["entry"] if e["search"]["mode"] == "include")


@pytest.mark.parametrize(
    ("search", "beside"),
    [
        ("ServiceRequest?_id={exam}&_revinclude=Appointment:based-on", ["Appointment"]),
        (
            "ServiceRequest?_id={exam}&_revinclude=Appointment:based-on&_include:iterate=Appointment:location",
            ["Appointment", "Location"],
        ),
        (
            "Patient?_id={patient}&_revinclude=ServiceRequest:patient&_revinclude:iterate=Appointment:based-on"
            "&_include:iterate=Appointment:actor",
            ["Appointment", "Location", "Practitioner", "ServiceRequest"],
        ),
        ("Slot?service-type=XRCHEST2&_count=1&_include=Slot:schedule", ["Schedule"]),
    ],
)
def test_what_is_put_beside_is_followed_where_it_is_asked_for(search: str, beside: list[str]) -> None:
    site = load_demo_site() if search.startswith("Slot") else make_site()
    exam = make_exam(site)
    if not search.startswith("Slot"):
        make_booking(exam)
    status, told = get(caller(site), search.format(exam=exam.pk, patient=exam.patient_id))
    assert (status, types_beside(told)) == (200, beside)


def test_the_statement_lists_no_search_that_is_refused() -> None:
    client = caller(make_site())
    _, told = get(client, "metadata")
    listed = {one["type"]: one.get("searchRevInclude", []) for one in told["rest"][0]["resource"]}
    assert "Slot:schedule" not in listed["Schedule"]
    status, told = get(client, "Schedule?_revinclude=Slot:schedule")
    assert (status, told["issue"][0]["code"]) == (400, "invalid")


def test_whoever_writes_to_the_statement_is_told_in_fhir_that_it_is_read_only() -> None:
    client = Client(enforce_csrf_checks=True)
    response = client.post(f"{BASE}metadata", "{}", content_type="application/fhir+json")
    assert (response.status_code, response.json()["resourceType"]) == (405, "OperationOutcome")


def test_everything_of_a_patient_since_a_time_and_nothing_that_is_not_understood() -> None:
    site = make_site()
    exam = make_exam(site)
    client, path = caller(site), f"Patient/{exam.patient_id}/$everything"
    assert get(client, f"{path}?_since=2000-01-01T00:00:00Z&_count=5")[1]["total"] == 3
    assert get(client, f"{path}?_since=2999-01-01T00:00:00Z")[1]["total"] == 1
    assert get(client, f"{path}?_since=lately")[0] == 400
    assert get(client, f"{path}?start=2020-01-01")[0] == 400
    response = client.get(f"{BASE}{path}?start=2020-01-01", headers={"Prefer": "handling=lenient"})
    assert response.status_code == 200
