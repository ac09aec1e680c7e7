"""CDS Hooks: what triage would say while an order is written, and whether a time is free before it is booked."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.factories import make_booking, make_exam, make_patient, make_site
from xraydesk.access.models import RecordRead
from xraydesk.access.roles import Role
from xraydesk.facts.models import Fact
from xraydesk.lib import clock
from xraydesk.links.fhir import hooks_codec
from xraydesk.links.fhir.tests.test_fhir import caller
from xraydesk.links.fhir.tests.test_writes import order_of
from xraydesk.orders.models import Exam
from xraydesk.orders.rules import Code, Decision, Finding, Level
from xraydesk.patients.models import Patient

pytestmark = pytest.mark.django_db
WHERE = "/fhir/cds-services/"
ADA: dict[str, Any] = {
    "resourceType": "Patient",
    "identifier": [{"value": "N77"}],
    "name": [{"family": "Prüfer", "given": ["Ada"]}],
    "birthDate": "1969-05-12",
    "gender": "female",
}


HERE = "http://testserver/fhir/R4"


def call(
    client: Client, hook: str, context: dict[str, Any], patient: Any = None, **more: str
) -> tuple[int, Any]:
    told: dict[str, Any] = {"hook": hook, "hookInstance": "1", "context": context, **more}
    if patient is not None:
        told["prefetch"] = {"patient": patient}
    response = client.post(WHERE + hook, json.dumps(told), content_type="application/json")
    return response.status_code, response.json()


def drafts(*orders: dict[str, Any], **more: Any) -> dict[str, Any]:
    entries = [{"resource": order} for order in orders]
    return {"patientId": "ehr-1", "draftOrders": {"resourceType": "Bundle", "entry": entries}, **more}


def draft(key: str, code: str = "XRCHEST2", **more: Any) -> dict[str, Any]:
    asked = order_of("ehr-1") | {"id": key, "status": "draft", "intent": "proposal"} | more
    return asked | {"code": {"coding": [{"code": code}]}}


def test_what_is_offered_is_told_to_anybody() -> None:
    told = Client().get("/fhir/cds-services").json()
    assert [s["hook"] for s in told["services"]] == ["order-select", "order-sign", "appointment-book"]


def test_what_would_hold_an_order_up_is_told_before_it_is_signed() -> None:
    site = make_site()
    status, told = call(caller(site), "order-sign", drafts(draft("1", "XRKNEE2"), draft("2", "LAB")), ADA)
    assert status == 200
    [card] = told["cards"]
    assert card["indicator"] == "warning"
    assert card["summary"].startswith("Knee 2 views: would be held. The side is missing")
    assert len(card["summary"]) < 140
    assert "Not said" in card["detail"]
    assert card["source"]["label"] == "X-ray desk"
    assert card["links"][0]["url"].endswith("/triage")
    for table in (Patient, Exam, Fact):
        assert not table.objects.exists()
    again = call(caller(site, name="again"), "order-sign", drafts(draft("1", "XRKNEE2")), ADA)[1]
    assert again["cards"][0]["uuid"] == card["uuid"]


def test_a_duplicate_is_told_of_whoever_is_here() -> None:
    site = make_site()
    patient = make_patient(site, number="N77")
    exam = make_exam(site, patient=patient, created_at=clock.now())
    client = caller(site)
    for context, prefetch in (
        (drafts(draft("1")), ADA),
        (drafts(draft("1")) | {"patientId": str(patient.pk)}, None),
    ):
        _, told = call(client, "order-sign", context, prefetch, fhirServer=HERE)
        assert f"asked for already: {exam.accession}" in told["cards"][0]["summary"]
    assert {r.patient for r in RecordRead.objects.all()} == {patient.pk}


@pytest.mark.parametrize("server", [{}, {"fhirServer": "https://ehr.example/fhir/R4"}])
def test_an_id_of_the_ehrs_is_nobody_here_and_without_a_patient_there_is_no_silence(
    server: dict[str, str],
) -> None:
    site = make_site()
    patient = make_patient(site, number="N77")
    exam = make_exam(site, patient=patient, created_at=clock.now())
    client = caller(site)
    context = drafts(draft("1")) | {"patientId": str(patient.pk)}
    for nobody in (None, {"resourceType": "Patient", "name": 7}):
        status, told = call(client, "order-sign", context, nobody, **server)
        assert (status, told["issue"][0]["expression"]) == (412, ["prefetch.patient"])
    tomorrow = (clock.now() + timedelta(days=1)).isoformat()
    assert call(client, "appointment-book", wanted(exam.pk, tomorrow), **server) == (200, {"cards": []})
    assert not RecordRead.objects.exists()
    _, told = call(client, "appointment-book", wanted(exam.pk, "", f"{HERE}/"), **server)
    assert len(told["cards"]) == 1


def test_what_nothing_speaks_against_is_answered_by_silence() -> None:
    site = make_site()
    whole = draft("1", requester={"display": "Dr Okafor"}, reasonCode=[{"text": "cough"}])
    assert call(caller(site), "order-sign", drafts(whole), ADA) == (200, {"cards": []})


def test_only_what_is_selected_is_looked_at() -> None:
    site = make_site()
    context = drafts(draft("1", "XRKNEE2"), draft("2", "XRKNEE2"), selections=["ServiceRequest/2"])
    assert len(call(caller(site), "order-select", context, ADA)[1]["cards"]) == 1
    many = drafts(*(draft(str(n), "XRKNEE2") for n in range(30)))
    assert len(call(caller(site, name="b"), "order-select", many, ADA)[1]["cards"]) == hooks_codec.DRAFTS_MAX


def wanted(exam: Any, start: Any, server: str = "") -> dict[str, Any]:
    one = {
        "resourceType": "Appointment",
        "id": "a",
        "status": "proposed",
        "basedOn": [{"reference": f"{server}ServiceRequest/{exam}"}],
        "start": start,
    }
    return {"appointments": {"resourceType": "Bundle", "entry": [{"resource": one}]}}


def test_a_time_that_is_not_free_is_told_with_those_that_are() -> None:
    site = make_site(rooms=1)
    start = (clock.now() + timedelta(days=1)).replace(hour=15, minute=0, second=0, microsecond=0)
    make_booking(make_exam(site), start=start)
    told = {"reason": "cough"}
    exam = make_exam(site, **told)
    exam.order.provider_name = "Dr Okafor"
    exam.order.save()
    client = caller(site)
    here = {"fhirServer": f"{HERE}/"}
    _, taken = call(client, "appointment-book", wanted(exam.pk, start.isoformat()), **here)
    assert [c["summary"] for c in taken["cards"]] == ["Chest 2 views: that time is not free."]
    assert taken["cards"][0]["detail"].count("\n- ") == 3
    later = start + timedelta(minutes=30)
    assert call(client, "appointment-book", wanted(exam.pk, later.isoformat()), **here)[1] == {"cards": []}
    for nothing in ("", "soon", "2026-03-05T10:00:00", "9999-12-31T23:59:59-14:00"):
        assert call(client, "appointment-book", wanted(exam.pk, nothing), **here)[1] == {"cards": []}
    assert call(client, "appointment-book", wanted(999999, start.isoformat()), **here)[1] == {"cards": []}
    by_number = wanted(exam.pk, start.isoformat())
    entry = by_number["appointments"]["entry"][0]["resource"]
    for number, cards in ((exam.accession, 1), ("none", 0)):
        entry["basedOn"] = [{"identifier": {"value": number}}]
        assert len(call(client, "appointment-book", by_number)[1]["cards"]) == cards


@pytest.mark.parametrize(
    "context",
    [
        {},
        {"draftOrders": 7},
        {"draftOrders": {"entry": [7, {"resource": 7}]}},
        {"draftOrders": {"entry": [{"resource": {"resourceType": "ServiceRequest", "code": 5}}]}},
    ],
)
def test_what_is_no_draft_is_passed_over(context: dict[str, Any]) -> None:
    assert call(caller(make_site()), "order-sign", context, {"resourceType": "Patient", "name": 7}) == (
        200,
        {"cards": []},
    )


def test_who_may_not_ask_is_told_so() -> None:
    site = make_site()
    assert call(Client(), "order-sign", drafts())[0] == 401
    assert call(caller(site, Role.PORTER), "order-sign", drafts())[0] == 404
    client = caller(site, name="b")
    assert call(client, "patient-view", drafts())[0] == 404
    assert client.get(WHERE + "order-sign").status_code == 405
    for body in (
        b"{}",
        b"[]",
        b'{"hook": "order-select", "context": {}}',
        b'{"hook": "order-sign", "context": 7}',
    ):
        assert client.post(WHERE + "order-sign", body, content_type="application/json").status_code == 400


def test_a_call_costs_few_questions_to_the_database() -> None:
    site = make_site()
    make_patient(site, number="N77")
    client = caller(site)
    context = drafts(*(draft(str(n), "XRKNEE2") for n in range(10)))
    call(client, "order-sign", context, ADA)
    with CaptureQueriesContext(connection) as queries:
        call(client, "order-sign", context, ADA)
    assert len(queries) <= 40


def test_notes_alone_are_an_info_card_and_long_ones_are_cut() -> None:
    note = Finding(Level.NOTE, Code.COMPLETE, "Not said: the reason.")
    good = Finding(Level.GOOD, Code.DUPLICATE, "No duplicate.")
    card = hooks_codec.card_of("Chest", Decision(True, (note, good)), about="1")
    assert card is not None
    assert (card.summary, card.indicator) == ("Chest: Not said: the reason.", "info")
    assert hooks_codec.card_of("Chest", Decision(True, (good,)), about="1") is None
    assert len(hooks_codec.shortened_summary("x" * 200)) == hooks_codec.SUMMARY_LENGTH_MAX
