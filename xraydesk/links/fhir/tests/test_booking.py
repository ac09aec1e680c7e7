"""Booking by FHIR as an EHR does it: free slots, a place found, held and booked, lost to others, given up."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.operationoutcome import OperationOutcome

from tests.factories import ALL_DAY, make_exam, make_patient, make_site
from xraydesk.access.models import Site
from xraydesk.lib import clock
from xraydesk.links.fhir.tests.test_fhir import caller, get
from xraydesk.links.fhir.tests.test_writes import order_of, send
from xraydesk.orders.models import Exam
from xraydesk.rooms.models import Room
from xraydesk.scheduling.models import Booking, Hold

pytestmark = pytest.mark.django_db
SEARCH = "Slot?status=free&service-type=XRCHEST2"


@pytest.fixture
def site() -> Site:
    return make_site()


def tomorrow() -> str:
    return (clock.now() + timedelta(days=1)).strftime("%Y-%m-%dT12:00:00Z")


def first_slot(client: Client, number: int = 0) -> dict[str, Any]:
    _, found = get(client, f"{SEARCH}&start=ge{tomorrow()}&_count=5")
    slot: dict[str, Any] = found["entry"][number]["resource"]
    return slot


def ordered(client: Client, site: Site) -> dict[str, Any]:
    status, order, _ = send(client, "POST", "ServiceRequest", order_of(make_patient(site).pk))
    assert status == 201
    assert isinstance(order, dict)
    return order


def order_known(exam: Exam) -> dict[str, Any]:
    """What a program knows of an order that it read: its id, and whose it is."""
    return {"id": exam.pk, "subject": {"reference": f"Patient/{exam.patient_id}"}}


def wanted(order: dict[str, Any], slot: dict[str, Any], **more: Any) -> dict[str, Any]:
    appointment = {
        "resourceType": "Appointment",
        "status": "pending",
        "slot": [{"reference": f"Slot/{slot['id']}"}],
        "basedOn": [{"reference": f"ServiceRequest/{order['id']}"}],
        "participant": [{"actor": order["subject"], "status": "accepted"}],
        **more,
    }
    return parameters(("appointment-resource", "resource", appointment))


def parameters(*values: tuple[str, str, Any]) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": [{"name": n, of: value} for n, of, value in values]}


def test_free_slots_are_found_and_read_back(site: Site) -> None:
    client = caller(site)
    status, found = get(client, f"{SEARCH}&start=ge{tomorrow()}&_count=60")
    assert status == 200
    Bundle.model_validate(found)
    assert found["total"] == len(found["entry"]) == 60
    starts = [e["resource"]["start"] for e in found["entry"]]
    assert starts == sorted(starts)
    slot = found["entry"][0]["resource"]
    assert get(client, f"Slot/{slot['id']}") == (200, slot)
    schedule = slot["schedule"]["reference"]
    _, one_room = get(client, f"{SEARCH}&schedule={schedule}&start=ge{tomorrow()}&start=lt2099&_count=4")
    assert {e["resource"]["schedule"]["reference"] for e in one_room["entry"]} == {schedule}
    assert get(client, schedule)[0] == 200
    assert get(client, f"{SEARCH}&schedule=Schedule/x")[1]["total"] == 0
    assert get(client, "Slot?status=busy&service-type=XRCHEST2")[1]["total"] == 0
    assert get(client, "Slot?status=free&service-type=NONE")[1]["total"] == 0
    assert get(client, "Slot?status=free")[0] == 400
    assert get(client, "Slot?status:not=busy&service-type=XRCHEST2")[0] == 400
    for name in ("1", "1-2", "1-2-3", "x-y-z", f"{'9' * 30}-1-1"):
        assert get(client, f"Slot/{name}")[0] == 404


def test_a_place_is_booked_and_found_by_its_slot(site: Site) -> None:
    client = caller(site)
    order, slot = ordered(client, site), first_slot(client)
    status, booked, response = send(client, "POST", "Appointment/$book", wanted(order, slot))
    assert (status, booked["status"], booked["start"]) == (201, "booked", slot["start"])
    assert "/Appointment/" in response["Location"]
    rooms = [p["actor"]["reference"] for p in booked["participant"] if "Location" in p["actor"]["reference"]]
    assert rooms == [f"Location/{slot['schedule']['reference'].rpartition('/')[2]}"]
    assert booked["slot"] == [{"reference": f"Slot/{slot['id']}"}]
    assert booked["basedOn"] == [{"reference": f"ServiceRequest/{order['id']}"}]
    _, found = get(client, f"Appointment?slot=Slot/{slot['id']}&status=booked")
    assert [e["resource"]["id"] for e in found["entry"]] == [booked["id"]]
    assert get(client, f"Slot/{slot['id']}")[1]["status"] == "busy"
    again, same, _ = send(client, "POST", "Appointment/$book", wanted(order, slot))
    assert (again, same["id"]) == (200, booked["id"])
    assert Booking.objects.count() == 1


def test_a_place_that_is_held_is_booked_by_its_reference(site: Site) -> None:
    client = caller(site)
    order, slot = ordered(client, site), first_slot(client)
    status, held, _ = send(client, "POST", "Appointment/$hold", wanted(order, slot))
    assert (status, held["status"]) == (201, "pending")
    assert get(client, f"Slot/{slot['id']}")[1]["status"] == "busy"
    told = parameters(("appointment-reference", "valueReference", {"reference": f"Appointment/{held['id']}"}))
    for _ in range(2):
        status, booked, _ = send(client, "POST", "Appointment/$book", told)
        assert (status, booked["id"], booked["status"]) == (200, held["id"], "booked")


def test_a_held_place_is_given_back(site: Site) -> None:
    client = caller(site)
    order, slot = ordered(client, site), first_slot(client)
    _, held, _ = send(client, "POST", "Appointment/$hold", wanted(order, slot))
    status, told, _ = send(client, "PUT", f"Appointment/{held['id']}", held | {"status": "cancelled"})
    assert (status, told["status"]) == (200, "cancelled")
    assert get(client, f"Slot/{slot['id']}")[1]["status"] == "free"
    assert Hold.objects.get().state != "held"


def test_a_booked_place_is_cancelled_once_and_nothing_else_is_changed(site: Site) -> None:
    client = caller(site)
    order, slot = ordered(client, site), first_slot(client)
    _, booked, _ = send(client, "POST", "Appointment/$book", wanted(order, slot))
    path = f"Appointment/{booked['id']}"
    status, told, _ = send(client, "PUT", path, booked | {"status": "arrived"})
    assert (status, told["issue"][0]["expression"]) == (422, ["Appointment.status"])
    gone = booked | {"status": "cancelled", "cancelationReason": {"text": "the patient is ill"}}
    for _ in range(2):
        status, told, _ = send(client, "PUT", path, gone)
        assert (status, told["status"]) == (200, "cancelled")
    assert told["cancelationReason"] == {"text": "the patient is ill"}
    assert send(client, "POST", "Appointment", gone)[0] == 405


def test_another_place_is_booked_instead(site: Site) -> None:
    client = caller(site)
    order = ordered(client, site)
    _, first, _ = send(client, "POST", "Appointment/$book", wanted(order, first_slot(client)))
    status, second, _ = send(client, "POST", "Appointment/$book", wanted(order, first_slot(client, 3)))
    assert (status, second["status"]) == (201, "booked")
    assert get(client, f"Appointment/{first['id']}")[1]["status"] == "cancelled"


def test_a_place_that_is_taken_is_a_conflict_with_others_that_are_free(site: Site) -> None:
    client = caller(site)
    slot = first_slot(client)
    send(client, "POST", "Appointment/$book", wanted(ordered(client, site), slot))
    status, told, _ = send(client, "POST", "Appointment/$book", wanted(ordered(client, site), slot))
    assert status == 409
    OperationOutcome.model_validate(told)
    assert told["issue"][0]["code"] == "conflict"
    assert 1 <= len(told["contained"]) <= 5
    assert {c["resourceType"] for c in told["contained"]} == {"Slot"}
    assert slot["id"] not in [c["id"] for c in told["contained"]]
    status, _, _ = send(
        client, "POST", "Appointment/$book", wanted(ordered(client, site), told["contained"][0])
    )
    assert status == 201


@pytest.mark.django_db(transaction=True)
def test_of_fifty_programs_after_one_place_one_wins_and_the_others_are_offered_others() -> None:
    """Row 42 of the faults, over FHIR."""
    site = make_site()
    for room in Room.objects.filter(site=site):
        room.hours = ALL_DAY
        room.save()
    client = caller(site)
    slot = first_slot(client)
    orders = [order_known(make_exam(site)) for _ in range(50)]

    def book(order: dict[str, Any]) -> tuple[int, Any]:
        try:
            told = wanted(order, slot)
            return send(Client(headers={"Authorization": "Bearer ehr"}), "POST", "Appointment/$book", told)[
                :2
            ]
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(book, orders))
    assert sorted(status for status, _ in answers) == [201] + [409] * 49
    for status, told in answers:
        if status == 409:
            assert told["issue"][0]["code"] == "conflict"
            assert 1 <= len(told["contained"]) <= 5
    assert Booking.objects.count() == 1


def test_places_are_found_for_an_order_and_for_a_procedure(site: Site) -> None:
    client = caller(site)
    order = ordered(client, site)
    patient = order["subject"]["reference"]
    for asked in (
        parameters(
            ("based-on", "valueReference", {"reference": f"ServiceRequest/{order['id']}"}),
            ("start", "valueDateTime", tomorrow()),
            ("patient-reference", "valueReference", {"reference": patient}),
            ("count", "valueInteger", 3),
        ),
        parameters(
            ("service-type", "valueCodeableConcept", {"coding": [{"code": "XRCHEST2"}]}),
            ("start", "valueDateTime", tomorrow()),
            ("end", "valueDateTime", "2099-01-01T00:00:00Z"),
            ("count", "valueInteger", 3),
        ),
    ):
        status, found, _ = send(client, "POST", "Appointment/$find", asked)
        assert status == 200, found
        Bundle.model_validate(found)
        assert [e["resource"]["status"] for e in found["entry"]] == ["proposed"] * 3
    proposed = found["entry"][0]["resource"] | {"basedOn": [{"reference": f"ServiceRequest/{order['id']}"}]}
    told = parameters(("appointment-resource", "resource", proposed))
    assert send(client, "POST", "Appointment/$book", told)[0] == 201
    assert get(client, "Appointment/$find?service-type=XRCHEST2")[1]["total"] == 10
    room = Room.objects.filter(site=site).order_by("id").first()
    assert room is not None
    status, here = get(
        client, f"Appointment/$find?service-type=XRCHEST2&location-reference=Location/{room.pk}"
    )
    assert {e["resource"]["participant"][0]["actor"]["reference"] for e in here["entry"]} == {
        f"Location/{room.pk}"
    }


@pytest.mark.parametrize(
    ("change", "status", "path"),
    [
        ({"basedOn": []}, 422, "Appointment.basedOn"),
        ({"basedOn": [{"reference": "ServiceRequest/999999"}]}, 422, "Appointment.basedOn[0]"),
        ({"slot": [{"reference": "Slot/none"}]}, 422, "Appointment.slot[0]"),
        ({"slot": []}, 422, "Appointment.slot"),
        (
            {"participant": [{"actor": {"reference": "Patient/999999"}, "status": "accepted"}]},
            422,
            "Appointment.participant",
        ),
        ({"status": "wished"}, 400, "Appointment.status"),
    ],
)
def test_what_cannot_be_booked_names_its_element(
    site: Site, change: dict[str, Any], status: int, path: str
) -> None:
    client = caller(site)
    told = wanted(ordered(client, site), first_slot(client))
    asked = told["parameter"][0]["resource"] | change
    told["parameter"][0]["resource"] = {name: value for name, value in asked.items() if value != []}
    answered, outcome, _ = send(client, "POST", "Appointment/$book", told)
    assert (answered, outcome["issue"][0]["expression"]) == (status, [path])
    assert not Booking.objects.exists()


def test_a_place_is_named_by_room_and_start_too(site: Site) -> None:
    client = caller(site)
    order, slot = ordered(client, site), first_slot(client)
    room = slot["schedule"]["reference"].replace("Schedule", "Location")
    actors = [
        {"actor": {"reference": ref}, "status": "accepted"} for ref in (order["subject"]["reference"], room)
    ]
    told = wanted(order, slot, start=slot["start"], end=slot["end"], participant=actors)
    del told["parameter"][0]["resource"]["slot"]
    status, booked, _ = send(client, "POST", "Appointment/$book", told)
    assert (status, booked["start"]) == (201, slot["start"])


def test_what_triage_holds_is_not_booked(site: Site) -> None:
    client = caller(site)
    order = ordered(client, site)
    Exam.objects.update(triage="held")
    status, told, _ = send(client, "POST", "Appointment/$book", wanted(order, first_slot(client)))
    assert (status, told["issue"][0]["code"]) == (409, "conflict")


def test_another_sites_order_and_place_are_not_to_be_had(site: Site) -> None:
    other = make_site("OTHER")
    client, stranger = caller(site), caller(other, name="other")
    order, slot = ordered(client, site), first_slot(client)
    theirs = ordered(stranger, other)
    assert send(stranger, "POST", "Appointment/$book", wanted(order, slot))[0] == 422
    assert send(stranger, "POST", "Appointment/$book", wanted(theirs, slot))[0] == 422
    assert get(stranger, f"Slot/{slot['id']}")[0] == 404
    told = parameters(("appointment-reference", "valueReference", {"reference": "Appointment/1"}))
    assert send(stranger, "POST", "Appointment/$book", told)[0] == 422
    assert send(stranger, "POST", "Appointment/$book", parameters())[0] == 400
    assert send(stranger, "POST", "Appointment/$find", parameters())[0] == 422
    bad = parameters(("service-type", "valueCode", "XRCHEST2"), ("start", "valueDateTime", "today"))
    assert send(stranger, "POST", "Appointment/$find", bad)[0] == 400
    assert send(Client(), "POST", "Appointment/$book", wanted(order, slot))[0] == 401
    exam = make_exam(other)
    assert exam.bookings.count() == 0
