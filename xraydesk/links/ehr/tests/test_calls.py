"""An EHR calls because something changed: who is let in, and what follows."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from xraydesk.access.models import Site
from xraydesk.access.roles import Role
from xraydesk.desk.tests.people import signed_in
from xraydesk.journey.tests.performing import jobs
from xraydesk.links.ehr.tests.ehr_peer import Ehr
from xraydesk.links.ehr.tests.test_fetch import asked_site
from xraydesk.links.models import Fetching

pytestmark = pytest.mark.django_db

SECRET = "a word of twenty-four and more letters"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "secret").write_text(f"{SECRET}\n", encoding="utf-8")
    return asked_site(Ehr("http://127.0.0.1:9/R4"), secret=str(tmp_path / "secret"))


def call(told: str = f"Bearer {SECRET}", site: str = "HOSP", ehr: str = "RIVER", body: bytes = b"") -> int:
    where = reverse("ehr-call", args=[site, ehr])
    headers = {"Authorization": told} if told else {}
    client = Client(enforce_csrf_checks=True, headers=headers)
    return client.post(where, data=body, content_type="application/fhir+json").status_code


def asked(site: Site) -> int:
    return jobs("fetch").count({"site_id": site.pk, "ehr": "RIVER"})


@pytest.mark.parametrize("body", [b"", b"nonsense", b'{"resourceType": "Bundle", "type": "history"}'])
def test_a_call_lets_the_desk_ask_at_once_whatever_it_says(site: Site, body: bytes) -> None:
    Fetching.objects.create(site=site, ehr="RIVER", kind="ServiceRequest")
    assert [call(body=body) for _ in range(3)] == [200] * 3
    assert asked(site) == 1
    page = signed_in(site, Role.ADMINISTRATOR).get(reverse("link", args=["in", "RIVER"])).content.decode()
    assert "called last" in page


@pytest.mark.parametrize(
    "told",
    ["", "Bearer", "Bearer ", "Bearer another word of more than twenty-four letters", f"Basic {SECRET}", "é"],
)
def test_a_stranger_calls_in_vain(site: Site, told: str) -> None:
    assert call(told) == 401
    assert asked(site) == 0


def test_nobody_learns_who_is_known_here(site: Site) -> None:
    assert call(site="NOWHERE") == call(ehr="NOBODY") == 401
    assert Client().get(reverse("ehr-call", args=["HOSP", "RIVER"])).status_code == 405


@pytest.mark.parametrize("kept", ["", "short", None])
def test_without_a_word_that_is_long_enough_nobody_is_let_in(tmp_path: Path, kept: str | None) -> None:
    if kept is not None:
        (tmp_path / "secret").write_text(kept, encoding="utf-8")
    site = asked_site(Ehr("http://127.0.0.1:9/R4"), secret=str(tmp_path / "secret"))
    for told in ("Bearer ", f"Bearer {kept}"):
        assert call(told) == 401
    site = asked_site(Ehr("http://127.0.0.1:9/R4"))
    assert call("Bearer ") == 401
    assert asked(site) == 0
