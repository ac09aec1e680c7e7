"""Real resources of the standard and of other projects: each goes in and comes back, or its element is named."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from tests.factories import make_patient, make_site
from tests.shared_data import ROOT, shared_data
from xraydesk.links.fhir.kinds import KINDS
from xraydesk.links.fhir.tests.test_fhir import BASE, caller
from xraydesk.links.fhir.tests.test_writes import send, without
from xraydesk.orders.models import Procedure

pytestmark = [pytest.mark.django_db, pytest.mark.data]
FILES = sorted(path.name for path in ROOT.joinpath("fhir_r4").glob("*.json")) or ["absent"]


def read(name: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(shared_data("fhir_r4", name).read_text(encoding="utf-8"))
    return told


def made_ready(client: Client, resource: dict[str, Any], patient: int) -> dict[str, Any]:
    """The resource with the patient that is known here in the place of the example's."""
    for name in ("subject", "beneficiary"):
        if name in resource:
            resource[name] = resource[name] | {"reference": f"Patient/{patient}"}
    return resource


@pytest.mark.parametrize("name", FILES)
def test_each_file_of_a_served_type_goes_in_and_comes_back_or_its_element_is_named(name: str) -> None:
    resource = read(name)
    kind = str(resource.get("resourceType"))
    client = caller(make_site())
    if kind not in KINDS:
        status, told, _ = send(client, "POST", "Patient", resource)
        assert (status, told["issue"][0]["expression"]) == (400, ["Patient.resourceType"])
        return
    status, told, _ = send(client, "POST", f"{kind}/$validate", resource)
    assert status == 200
    assert all(issue.get("expression") or issue["severity"] == "information" for issue in told["issue"])
    status, told, _ = send(client, "POST", kind, resource)
    if status == 201:
        assert without(told, "id", "meta", "identifier") == without(resource, "id", "meta", "identifier")
        assert told["identifier"][: len(resource["identifier"])] == resource["identifier"]
        assert client.get(BASE + f"{kind}/{told['id']}").json() == told
    elif "create" in KINDS[kind].writes:
        assert (status, told["issue"][0]["expression"][0].partition(".")[0]) == (422, kind)
    else:
        assert (status, told["issue"][0]["expression"]) == (405, [kind])


@pytest.mark.parametrize(
    "name", [name for name in FILES if name.startswith(("ServiceRequest-", "Coverage-"))] or ["absent"]
)
def test_a_file_whose_patient_and_code_are_known_comes_back_equal(name: str) -> None:
    resource = read(name)
    site = make_site()
    client = caller(site)
    resource = made_ready(client, resource, make_patient(site).pk)
    if kind_is_order := resource["resourceType"] == "ServiceRequest":
        code = "EXAMPLE"
        sides = ["R"] if "bodySite" in resource else []
        Procedure.objects.create(
            site=site, code=code, text="Example", minutes=10, room_kinds=["general"], laterality=sides
        )
        resource["code"]["coding"].append({"code": code})
    status, told, _ = send(client, "POST", resource["resourceType"], resource)
    if kind_is_order and (resource["status"] != "active" or resource["intent"] == "plan"):
        assert status == 422
        assert told["issue"][0]["expression"][0] in ("ServiceRequest.status", "ServiceRequest.intent")
        return
    assert status == 201, told
    assert without(told, "id", "meta", "identifier") == without(resource, "id", "meta", "identifier")


def test_the_patients_of_the_files_come_in() -> None:
    client = caller(make_site())
    for name in FILES:
        if name.startswith("Patient-"):
            assert send(client, "POST", "Patient", read(name))[0] == 201, name
